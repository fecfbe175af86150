/* Human approval: an expense that waits for people. They look at it (a query), remark on it (a signal) and decide about
 * it (an update, which can be refused and is answered). When they do nothing, a timer asks somebody else. */

#include <mainspring.h>
#include <string.h>

typedef struct {
    size_t needed;
    ms_json *asked, *approved_by, *comments;
    const char *rejected_by;
} review;

static ms_json *report(const review *it) {
    ms_json *report = ms_object();
    ms_set(report, "needed", ms_int((int64_t)it->needed));
    ms_set(report, "asked", it->asked);
    ms_set(report, "approved_by", it->approved_by);
    ms_set(report, "rejected_by", ms_string(it->rejected_by));
    return ms_set(report, "comments", it->comments);
}

static bool is_decided(void *context) {
    const review *it = context;
    return it->rejected_by || ms_count(it->approved_by) >= it->needed;
}

static bool contains(const ms_json *names, const char *name) {
    for (size_t i = 0; i < ms_count(names); i++)
        if (strcmp(ms_str(ms_at(names, i)), name) == 0) return true;
    return false;
}

/* Query: where it stands. */
static ms_outcome status(const char *name, ms_args args, void *context) {
    (void)name, (void)args;
    return ms_return(report(context));
}

/* Signal: a remark, which nobody has to answer. */
static ms_outcome comment(const char *name, ms_args args, void *context) {
    (void)name;
    review *it = context;
    const char *author = ms_str(ms_arg(args, 0)), *text = ms_str(ms_arg(args, 1));
    ms_add(it->comments, ms_stringf("%s: %s", author, text));
    return ms_return_nothing();
}

/* What is refused here leaves no trace in the history. */
static ms_outcome may_decide(const char *name, ms_args args, void *context) {
    (void)name;
    const review *it = context;
    const char *person = ms_str(ms_arg(args, 0));
    ms_boolean(ms_arg(args, 1));
    if (!contains(it->asked, person)) return ms_failf("NotAsked", "%s was not asked", person);
    if (contains(it->approved_by, person)) return ms_failf("DecidedTwice", "%s has decided already", person);
    if (is_decided(context)) return ms_failf("TooLate", "it is decided");
    return ms_return_nothing();
}

/* Update: a decision; answers how many approvals are still missing. */
static ms_outcome decide(const char *name, ms_args args, void *context) {
    (void)name;
    review *it = context;
    ms_json *person = ms_arg(args, 0);
    if (ms_boolean(ms_arg(args, 1))) ms_add(it->approved_by, person);
    else it->rejected_by = ms_str(person);
    size_t approved = ms_count(it->approved_by);
    return ms_return(ms_int((int64_t)(it->needed > approved ? it->needed - approved : 0)));
}

static ms_result ask(review *it, const char *person, ms_json *text) {
    ms_add(it->asked, ms_string(person));
    return ms_execute_activity("notify", MS_ARGS(ms_string(person), text), &(ms_activity_options){.start_to_close_ms = 30000});
}

MS_WORKFLOW(ApproveExpense) {
    ms_json *expense = ms_input(0);
    const char *purpose = ms_str(ms_get(expense, "purpose")), *manager = ms_str(ms_get(expense, "manager"));
    ms_json *reviewers = ms_get(expense, "reviewers");
    int64_t reviewers_have_ms = ms_integer(ms_get(expense, "reviewers_have_ms"));
    int64_t manager_has_ms = ms_integer(ms_get(expense, "manager_has_ms"));
    review it = {(size_t)ms_integer(ms_get(expense, "needed")), ms_array(), ms_array(), ms_array(), NULL};
    ms_on_query("status", status, &it);
    ms_on_signal("comment", comment, &it);
    ms_on_update("decide", decide, may_decide, &it);

    for (size_t i = 0; i < ms_count(reviewers); i++) {
        ms_result asked = ask(&it, ms_str(ms_at(reviewers, i)), ms_stringf("please decide: %s", purpose));
        if (ms_failed(asked)) return ms_fail(asked);
    }
    ptrdiff_t waited = ms_wait_until(is_decided, &it, reviewers_have_ms);
    if (waited == MS_TIMED_OUT) {
        /* The last one to ask, whose word is enough. */
        it.needed = ms_count(it.approved_by) + 1;
        ms_result asked = ask(&it, manager, ms_stringf("nobody decides: %s", purpose));
        if (ms_failed(asked)) return ms_fail(asked);
        waited = ms_wait_until(is_decided, &it, manager_has_ms);
        if (waited == MS_TIMED_OUT) return ms_failf("Expired", "nobody has decided");
    }
    if (waited == MS_CANCELED) return ms_canceled(MS_NO_ARGS);
    return ms_return(report(&it));
}
