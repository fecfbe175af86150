/* The order workflow: charge the customer, then tell them so. The activities run in ../python/worker.py. */

#include <mainspring.h>

/* Returns the id of the payment transaction. */
MS_WORKFLOW(OrderWorkflow) {
    ms_json *order = ms_input(0);
    double amount = ms_num(ms_get(order, "amount"));
    const char *user_id = ms_str(ms_get(order, "user_id"));
    const char *email = ms_str(ms_get(order, "email"));

    ms_result charged = ms_execute_activity("charge_payment", MS_ARGS(ms_number(amount), ms_string(user_id)),
                                            &(ms_activity_options){.start_to_close_ms = 30000, .max_attempts = 3});
    if (ms_failed(charged)) return ms_fail(charged);
    const char *transaction = ms_str(charged.value);

    ms_result sent = ms_execute_activity("send_email", MS_ARGS(ms_string(email), ms_stringf("주문 완료: %s", transaction)),
                                         &(ms_activity_options){.start_to_close_ms = 10000});
    if (ms_failed(sent)) return ms_fail(sent);

    return ms_return_string(transaction);
}
