/* Workflows in C for the end-to-end tests: each does one thing that a test wants to see. */

#include <assert.h>
#include <mainspring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS &(ms_activity_options){.start_to_close_ms = 30000}

/* Values. */

/* Gives back its arguments as a list. */
MS_WORKFLOW(EchoAll) {
    ms_json *all = ms_array();
    for (size_t i = 0; i < ms_input_count(); i++) ms_add(all, ms_input(i));
    return ms_return(all);
}

MS_WORKFLOW(Echo) {
    return ms_return(ms_input(0));
}

/* Each number of a list as it is read, written again, and by printf. */
MS_WORKFLOW(Numbers) {
    ms_json *written = ms_array(), *formatted = ms_array();
    for (size_t i = 0; i < ms_count(ms_input(0)); i++) {
        double number = ms_num(ms_at(ms_input(0), i));
        ms_add(written, ms_number(number));
        ms_add(formatted, ms_stringf("%.17g %g %e %.3f %10.2f|%-12.4e|", number, number, number, number, number, number));
    }
    return ms_return(ms_set(ms_set(ms_object(), "written", written), "formatted", formatted));
}

MS_WORKFLOW(Formats) {
    char text[128];
    snprintf(text, sizeof text, "%d|%5d|%-5d|%05d|%+d|%x|%#X|%c|%s|%.2s|%8s|%lld|%zu|%%", -7, 42, 42, 42, 42, 255u, 255u, 'x', "abc",
             "abc", "abc", -9007199254740993ll, (size_t)7);
    return ms_return_string(text);
}

/* Takes an integer, a string and a boolean out of an object. */
MS_WORKFLOW(Typed) {
    ms_json *value = ms_input(0);
    int64_t number = ms_integer(ms_get(value, "number"));
    const char *text = ms_str(ms_get(value, "text"));
    bool flag = ms_boolean(ms_get(value, "flag"));
    return ms_return(ms_stringf("%lld %s %d", (long long)number, text, flag));
}

MS_WORKFLOW(FailWith) {
    return ms_fail_with(ms_new_failure(&(ms_failure_options){
        .type = ms_str(ms_input(0)),
        .message = "failed as asked",
        .non_retryable = ms_boolean(ms_input(1)),
        .details = MS_ARGS(ms_input(2)),
    }));
}

/* Activities. */

/* Calls an activity so many times at once, and gives the results in the order in which they came. */
MS_WORKFLOW(FanOut) {
    const char *name = ms_str(ms_input(0));
    size_t count = (size_t)ms_integer(ms_input(1));
    ms_handle **calls = calloc(count, sizeof *calls);
    for (size_t i = 0; i < count; i++) calls[i] = ms_start_activity(name, MS_ARGS(ms_int((int64_t)i)), OPTIONS);
    ms_json *results = ms_array();
    ptrdiff_t done;
    while ((done = ms_wait_any(calls, count, MS_FOREVER)) != MS_NOTHING) {
        ms_result result = ms_wait(calls[done]);
        if (ms_failed(result)) return ms_fail(result);
        ms_add(results, result.value);
        calls[done] = NULL;
    }
    return ms_return(results);
}

/* Calls an activity, and tells how it failed. */
MS_WORKFLOW(Describe) {
    ms_result result = ms_execute_activity(ms_str(ms_input(0)), MS_NO_ARGS,
        &(ms_activity_options){.start_to_close_ms = ms_integer(ms_input(1)), .max_attempts = 1});
    if (!ms_failed(result)) return ms_return(result.value);
    const ms_failure *cause = result.failure->cause;
    ms_json *told = ms_object();
    ms_set(told, "activity", ms_string(result.failure->of));
    ms_set(told, "message", ms_string(cause ? cause->message : NULL));
    ms_set(told, "type", ms_string(cause ? cause->type : NULL));
    ms_set(told, "details", cause && cause->details.count ? cause->details.values[0] : ms_null());
    ms_set(told, "timeout", ms_bool(ms_is_timeout(result.failure)));
    return ms_return(told);
}

/* Passes an activity's failure on. */
MS_WORKFLOW(PassOn) {
    ms_result result = ms_execute_activity(ms_str(ms_input(0)), MS_NO_ARGS, &(ms_activity_options){.start_to_close_ms = 5000, .max_attempts = 1});
    return ms_failed(result) ? ms_fail(result) : ms_return(result.value);
}

/* Time. */

MS_WORKFLOW(Sleep) {
    int64_t began = ms_now_ms();
    ms_result slept = ms_sleep(ms_integer(ms_input(0)));
    if (ms_failed(slept)) return ms_fail(slept);
    return ms_return(ms_int(ms_now_ms() - began));
}

MS_WORKFLOW(Chain) {
    int64_t count = ms_integer(ms_input(0)), ms = ms_integer(ms_input(1));
    for (int64_t i = 0; i < count; i++) {
        ms_result slept = ms_sleep(ms);
        if (ms_failed(slept)) return ms_fail(slept);
    }
    return ms_return(ms_int(count));
}

/* Blocks from deep inside, with locals of all kinds and memory on the stack around each call. */
static double dig(int depth, double carried, const char *above) {
    char here[128];
    snprintf(here, sizeof here, "%s.%d", above, depth);
    int64_t wide = (int64_t)depth << 40;
    float narrow = (float)depth / 3;
    if (depth == 0) {
        ms_result slept = ms_sleep(1);
        assert(!ms_failed(slept));
        return carried;
    }
    double below = dig(depth - 1, carried * 1.5 + depth, here);
    ms_sleep(1);
    assert(wide == (int64_t)depth << 40);
    assert(narrow == (float)depth / 3);
    assert(strlen(here) == strlen(above) + (depth > 9 ? 3 : 2));
    return below + depth;
}

MS_WORKFLOW(Dig) {
    return ms_return(ms_number(dig((int)ms_integer(ms_input(0)), 1, "")));
}

/* Blocks through a pointer to a function. */
static int64_t sleeps(int64_t ms) {
    return ms_failed(ms_sleep(ms)) ? -1 : ms;
}
static int64_t (*volatile pointer)(int64_t) = sleeps;

MS_WORKFLOW(Indirect) {
    return ms_return(ms_int(pointer(1) + pointer(2)));
}

/* Routines. */

typedef struct {
    int64_t ms, *sum;
    ms_json *order;
    const char *name;
} walker;

static void walk(void *context) {
    walker *it = context;
    for (int i = 0; i < 3; i++) {
        ms_sleep(it->ms);
        *it->sum += it->ms;
        ms_add(it->order, ms_stringf("%s%d", it->name, i));
    }
}

/* Three routines, each of which sleeps three times. */
MS_WORKFLOW(Routines) {
    int64_t sum = 0;
    ms_json *order = ms_array();
    walker walkers[] = {{300, &sum, order, "a"}, {400, &sum, order, "b"}, {500, &sum, order, "c"}};
    ms_handle *handles[3];
    for (int i = 0; i < 3; i++) handles[i] = ms_spawn(walk, &walkers[i]);
    ms_wait_all(handles, 3);
    assert(ms_count(order) == 9);
    return ms_return(ms_int(sum));
}

/* Signals, queries, updates. */

MS_WORKFLOW(SignalCounter) {
    ms_json *values = ms_array();
    for (int64_t count = ms_integer(ms_input(0)); count > 0; count--) {
        ms_result tick = ms_wait_signal("tick", MS_FOREVER);
        if (ms_failed(tick)) return ms_fail(tick);
        ms_add(values, tick.value);
    }
    return ms_return(values);
}

MS_WORKFLOW(SignalOrTimeout) {
    ms_result go = ms_wait_signal("go", ms_integer(ms_input(0)));
    if (go.timed_out) return ms_return_string("timeout");
    return ms_failed(go) ? ms_fail(go) : ms_return(go.value);
}

/* Whichever comes first: a signal, an activity or a timer. */
MS_WORKFLOW(Race) {
    ms_handle *runners[] = {
        ms_next_signal("go"),
        ms_start_activity(ms_str(ms_input(0)), MS_NO_ARGS, OPTIONS),
        ms_start_timer(ms_integer(ms_input(1))),
    };
    static const char *const names[] = {"signal", "activity", "timer"};
    ptrdiff_t winner = ms_wait_any(runners, 3, MS_FOREVER);
    for (int i = 0; i < 3; i++)
        if (!ms_done(runners[i])) ms_cancel(runners[i]);
    return ms_return_string(names[winner]);
}

typedef struct {
    int64_t sum;
    bool closed;
    ms_json *log;
} account;

static ms_outcome balance(const char *name, ms_args args, void *context) {
    (void)name, (void)args;
    return ms_return(ms_int(((account *)context)->sum));
}

static ms_outcome meddle(const char *name, ms_args args, void *context) {
    (void)name, (void)args, (void)context;
    ms_sleep(1);
    return ms_return_nothing();
}

static ms_outcome divided(const char *name, ms_args args, void *context) {
    (void)name;
    int64_t by = ms_integer(ms_arg(args, 0));
    if (by == 0) return ms_failf("DivisionByZero", "cannot divide by %d", 0);
    return ms_return(ms_int(((account *)context)->sum / by));
}

static ms_outcome positive(const char *name, ms_args args, void *context) {
    (void)name, (void)context;
    return ms_integer(ms_arg(args, 0)) > 0 ? ms_return_nothing() : ms_failf("NotPositive", "a deposit is positive");
}

/* Calls an activity on the way: it is a routine of its own. */
static ms_outcome deposit(const char *name, ms_args args, void *context) {
    (void)name;
    account *it = context;
    ms_result checked = ms_execute_activity("check", MS_ARGS(ms_arg(args, 0)), OPTIONS);
    if (ms_failed(checked)) return ms_fail(checked);
    it->sum += ms_integer(ms_arg(args, 0));
    return ms_return(ms_int(it->sum));
}

static ms_outcome withdraw(const char *name, ms_args args, void *context) {
    (void)name;
    account *it = context;
    it->sum -= ms_integer(ms_arg(args, 0));
    ms_add(it->log, ms_string(ms_str(ms_arg(args, 1))));
    return ms_return_nothing();
}

static ms_outcome close_account(const char *name, ms_args args, void *context) {
    (void)name, (void)args;
    ((account *)context)->closed = true;
    return ms_return_nothing();
}

static bool is_closed(void *context) {
    return ((account *)context)->closed && ms_all_handlers_finished(NULL);
}

MS_WORKFLOW(Account) {
    account it = {0, false, ms_array()};
    ms_on_query("balance", balance, &it);
    ms_on_query("divided", divided, &it);
    ms_on_query("meddle", meddle, &it);
    ms_on_update("deposit", deposit, positive, &it);
    ms_on_signal("withdraw", withdraw, &it);
    ms_on_signal("close", close_account, &it);
    if (ms_wait_until(is_closed, &it, MS_FOREVER) == MS_CANCELED) return ms_canceled(MS_NO_ARGS);
    return ms_return(ms_add(ms_add(ms_array(), ms_int(it.sum)), it.log));
}

/* Cancellation. */

/* Calls an activity and, when it is canceled meanwhile, another one with the reason; then ends as canceled. */
MS_WORKFLOW(CancelMe) {
    ms_result result = ms_execute_activity(ms_str(ms_input(0)), MS_NO_ARGS, OPTIONS);
    if (!ms_failed(result)) return ms_return(result.value);
    if (!ms_is_canceled(result.failure)) return ms_fail(result);
    /* Nothing new begins here. */
    assert(ms_failed(ms_execute_activity("never", MS_NO_ARGS, OPTIONS)));
    assert(ms_failed(ms_sleep(1)));
    ms_shield_begin();
    ms_result undone = ms_execute_activity(ms_str(ms_input(1)), MS_ARGS(ms_string(ms_cancel_reason())), OPTIONS);
    ms_shield_end();
    if (ms_failed(undone)) return ms_fail(undone);
    return ms_canceled(MS_ARGS(undone.value));
}

static bool never(void *unused) {
    (void)unused;
    return false;
}

/* Waits in so many ways, one after the other, each of which a request to cancel ends. */
MS_WORKFLOW(CancelWaits) {
    const char *how = ms_str(ms_input(0));
    if (strcmp(how, "condition") == 0)
        return ms_wait_until(never, NULL, MS_FOREVER) == MS_CANCELED ? ms_return_string("canceled") : ms_failf("Wrong", "it went on");
    if (strcmp(how, "shielded") == 0) {
        ms_shield_begin();
        ms_result slept = ms_wait(ms_start_timer(ms_integer(ms_input(1))));
        ms_shield_end();
        return ms_return(ms_stringf("%s: %s", ms_failed(slept) ? "canceled" : "slept", ms_cancel_reason()));
    }
    ms_result waited;
    if (strcmp(how, "signal") == 0) waited = ms_wait_signal("never", MS_FOREVER);
    else if (strcmp(how, "timer") == 0) waited = ms_sleep(3600000);
    else if (strcmp(how, "child") == 0) waited = ms_execute_child("Sleep", MS_ARGS(ms_int(3600000)), NULL);
    else waited = ms_wait(ms_cancel_request());
    return ms_return_string(!ms_failed(waited) ? "asked" : ms_is_canceled(waited.failure) ? "canceled" : "failed");
}

/* Other workflows. */

MS_WORKFLOW(Parent) {
    ms_handle *child = ms_start_child("SignalCounter", MS_ARGS(ms_int(2)), NULL);
    ms_result begun = ms_wait_child_started(child);
    if (ms_failed(begun)) return ms_fail(begun);
    assert(*ms_str(begun.value));
    ms_result told = ms_signal_child(child, "tick", MS_ARGS(ms_string("one")));
    assert(!ms_failed(told));
    told = ms_signal_external(ms_child_workflow_id(child), NULL, "tick", MS_ARGS(ms_string("two")));
    assert(!ms_failed(told));
    ms_result result = ms_wait(child);
    if (ms_failed(result)) return ms_fail(result);
    ms_result nobody = ms_signal_external("nobody", NULL, "tick", MS_NO_ARGS);
    ms_result failing = ms_execute_child("FailWith", MS_ARGS(ms_string("Broken"), ms_bool(false)), NULL);
    ms_json *told_of = ms_array();
    ms_add(told_of, result.value);
    ms_add(told_of, ms_bool(ms_failed(nobody)));
    ms_add(told_of, ms_bool(ms_failed(failing) && ms_find_failure(failing.failure, "Broken")));
    return ms_return(told_of);
}

MS_WORKFLOW(Countdown) {
    int64_t left = ms_integer(ms_input(0));
    ms_sleep(1);
    if (left == 0) return ms_return_string(ms_info()->first_execution_run_id);
    return ms_continue_as_new(MS_ARGS(ms_int(left - 1)), NULL);
}

/* Steps of its own. */

static ms_outcome third_time(void *context) {
    int *attempts = context;
    if (++*attempts < 3) return ms_failf("NotYet", "attempt %d", *attempts);
    return ms_return(ms_int(*attempts));
}

static ms_json *draw(void *unused) {
    (void)unused;
    return ms_string(ms_uuid4());
}

MS_WORKFLOW(Steps) {
    int attempts = 0;
    ms_result lucky = ms_local_activity("lucky", third_time, &attempts, NULL);
    if (ms_failed(lucky)) return ms_fail(lucky);
    attempts = -10;
    ms_result unlucky = ms_local_activity("unlucky", third_time, &attempts, &(ms_local_activity_options){.retry_policy = {.maximum_attempts = 2}});
    ms_json *drawn = ms_side_effect(draw, NULL);
    ms_json *told = ms_object();
    ms_set(told, "lucky", lucky.value);
    ms_set(told, "unlucky", ms_string(unlucky.failure->cause->message));
    ms_set(told, "drawn", drawn);
    ms_set(told, "patched", ms_bool(ms_patched("a change")));
    ms_sleep(1);
    return ms_return(told);
}

/* What it draws, and when: the same in each replay. */
MS_WORKFLOW(Chance) {
    ms_json *drawn = ms_array();
    for (int i = 0; i < 5; i++) {
        ms_add(drawn, ms_string(ms_uuid4()));
        ms_add(drawn, ms_number(ms_random()));
        ms_result echoed = ms_execute_activity(ms_str(ms_input(0)), MS_ARGS(ms_at(drawn, 2 * (size_t)i), ms_int(ms_now_ms())), OPTIONS);
        if (ms_failed(echoed)) return ms_fail(echoed);
    }
    return ms_return(drawn);
}

MS_WORKFLOW(Info) {
    const ms_workflow_info *info = ms_info();
    ms_upsert_memo("stage", ms_string("told"));
    ms_json *told = ms_object();
    ms_set(told, "namespace", ms_string(info->namespace_));
    ms_set(told, "workflow_id", ms_string(info->workflow_id));
    ms_set(told, "run_id", ms_string(info->run_id));
    ms_set(told, "workflow_type", ms_string(info->workflow_type));
    ms_set(told, "task_queue", ms_string(info->task_queue));
    ms_set(told, "attempt", ms_int(info->attempt));
    ms_set(told, "parent", ms_string(info->parent_workflow_id));
    ms_set(told, "execution_timeout_ms", ms_int(info->execution_timeout_ms));
    ms_set(told, "memo", info->memo);
    ms_set(told, "history_length", ms_int(ms_history_length()));
    ms_log_info("told of %s", info->workflow_id);
    return ms_return(told);
}

/* Harm. */

MS_WORKFLOW(LoopForever) {
    for (volatile int i = 0;; i++) {}
    return ms_return_nothing();
}

MS_WORKFLOW(WildPointer) {
    *(volatile int *)0xfffffff0 = 1;
    return ms_return_nothing();
}

MS_WORKFLOW(Abort) {
    ms_sleep(1);
    abort();
}

MS_WORKFLOW(Assert) {
    assert(ms_input_count() == 99);
    return ms_return_nothing();
}

MS_WORKFLOW(AllocateForever) {
    while (malloc(1 << 20)) {}
    return ms_stringf("no memory is left") ? ms_failf("OutOfMemory", "malloc gives NULL") : ms_return_nothing();
}

#pragma clang diagnostic ignored "-Winfinite-recursion"
static int recurse(volatile int *above) {
    volatile int here[64] = {*above + 1};
    return recurse(here) + here[0];
}

MS_WORKFLOW(RecurseForever) {
    volatile int first = 0;
    return ms_return(ms_int(recurse(&first)));
}

/* Blocks deeper than there is room for what a function leaves behind. */
static int sink(int depth) {
    char here[1024];
    memset(here, depth, sizeof here);
    if (depth == 0) ms_sleep(1);
    else sink(depth - 1);
    return here[depth % 1024];
}

MS_WORKFLOW(Sink) {
    return ms_return(ms_int(sink((int)ms_integer(ms_input(0)))));
}
