/* A workflow that greets. Its activity runs in worker/worker.py. */

#include <mainspring.h>

/* Clients start it as `Greet`, with a name. */
MS_WORKFLOW(Greet) {
    const char *name = ms_str(ms_input(0));
    ms_result greeting = ms_execute_activity("compose_greeting", MS_ARGS(ms_string(name)),
                                             &(ms_activity_options){.start_to_close_ms = 10000, .max_attempts = 3});
    if (ms_failed(greeting)) return ms_fail(greeting);
    ms_log_info("composed: %s", ms_str(greeting.value));
    return ms_return(greeting.value);
}
