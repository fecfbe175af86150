/* What a workflow starts and awaits. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

ms_handle *ms__new_handle(ms__handle_kind kind, const char *name) {
    ms_handle *handle = ms__zeroed(sizeof *handle);
    handle->kind = kind;
    handle->name = name;
    handle->result.value = ms_null();
    handle->shielded = ms__run.current && ms__shielded(ms__run.current);
    return handle;
}

bool ms__scope_is_canceled(void) {
    return ms__run.cancel_requested && !ms__shielded(ms__run.current);
}

/* The host numbers from 1, without gaps. */
static void started(ms_handle *handle, uint32_t number) {
    if (number != ms__run.operations_count + 1) ms_panic("the host gives the number %u to an operation", number);
    if (number > ms__run.operations_capacity) {
        ms__run.operations_capacity = ms__run.operations_capacity ? ms__run.operations_capacity * 2 : 16;
        ms__run.operations = ms__grown(ms__run.operations, ms__run.operations_capacity * sizeof(ms_handle *));
    }
    ms__run.operations[ms__run.operations_count++] = handle;
    handle->operation = number;
}

ms_handle *ms__operation(uint32_t number) {
    return number >= 1 && number <= ms__run.operations_count ? ms__run.operations[number - 1] : 0;
}

void ms__resolve(ms_handle *handle, ms_result result) {
    /* A timer may fire in the very batch of events that cancels it: what came first stands. */
    if (handle->done) return;
    handle->done = true;
    if (!result.value) result.value = ms_null();
    handle->result = result;
    for (ms__waiter *waiter = handle->waiters; waiter; waiter = waiter->next) ms__wake(waiter->routine);
}

static ms_handle *done_with(ms_handle *handle, ms_failure *failure) {
    ms__resolve(handle, (ms_result){.failure = failure});
    return handle;
}

/* Whether the host is told, and otherwise how the operation ends. */
static bool may_start(ms_handle *handle, const char *action) {
    ms__changes(action);
    if (ms__scope_is_canceled()) {
        if (handle->kind == HANDLE_ACTIVITY) done_with(handle, ms__not_scheduled(handle->name));
        else done_with(handle, ms__canceled());
        return false;
    }
    return !ms__run.closed;
}

/* Waiting. Whoever waits stands in the list of each handle: in memory of their own stack, which stays. */

static void stop_waiting(ms_handle *handle, ms__waiter *waiter) {
    ms__waiter **at = &handle->waiters;
    while (*at && *at != waiter) at = &(*at)->next;
    if (*at) *at = waiter->next;
}

static void begin_waiting(ms_handle *handle, ms__waiter *waiter) {
    ms__waiter **at = &handle->waiters;
    while (*at) at = &(*at)->next;
    *waiter = (ms__waiter){ms__run.current, 0};
    *at = waiter;
    /* It belongs where it is awaited, so that a handle can be waited for in a shield. */
    handle->shielded = ms__shielded(ms__run.current);
    if (!handle->done && ms__scope_is_canceled()) ms_cancel(handle);
}

static const char *const KIND_NAMES[] = {"an activity",  "a timer",  "a child workflow",        "a signal to a workflow",
                                         "a cancel request", "a routine", "a signal", "a request to cancel", "a child workflow to begin"};

static void wait_done(ms_handle *handle) {
    if (handle->done) return;
    ms__waiter waiter;
    begin_waiting(handle, &waiter);
    while (!handle->done) ms__block(KIND_NAMES[handle->kind], handle);
    stop_waiting(handle, &waiter);
}

static ptrdiff_t first_done(ms_handle *const *handles, size_t count) {
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (!handles[i]) continue;
        if (handles[i]->done) return (ptrdiff_t)i;
        any = true;
    }
    return any ? -1 : MS_NOTHING;
}

static ms_handle *timeout_timer(int64_t timeout_ms) {
    /* Shielded: what is canceled finishes in its own way, and the time for that goes on running. */
    ms_shield_begin();
    ms_handle *timer = ms_start_timer(timeout_ms);
    ms_shield_end();
    return timer;
}

ptrdiff_t ms_wait_any(ms_handle *const *handles, size_t count, int64_t timeout_ms) {
    ptrdiff_t done = first_done(handles, count);
    if (done != -1) return done;
    ms_handle *timer = timeout_ms >= 0 ? timeout_timer(timeout_ms) : 0;
    ms__waiter *waiters = ms__alloc((count + 1) * sizeof *waiters);
    for (size_t i = 0; i < count; i++)
        if (handles[i]) begin_waiting(handles[i], &waiters[i]);
    if (timer) {
        ms_shield_begin();
        begin_waiting(timer, &waiters[count]);
        ms_shield_end();
    }
    while ((done = first_done(handles, count)) == -1 && !(timer && timer->done)) ms__block("one of several", handles[0]);
    for (size_t i = 0; i < count; i++)
        if (handles[i]) stop_waiting(handles[i], &waiters[i]);
    if (timer) {
        stop_waiting(timer, &waiters[count]);
        if (done != -1) ms_cancel(timer);
    }
    free(waiters);
    return done;
}

void ms_wait_all(ms_handle *const *handles, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (handles[i]) wait_done(handles[i]);
}

ms_result ms_wait(ms_handle *handle) {
    wait_done(handle);
    return handle->result;
}

ms_result ms_wait_for(ms_handle *handle, int64_t timeout_ms) {
    if (ms_wait_any(&handle, 1, timeout_ms) == MS_TIMED_OUT) return (ms_result){.value = ms_null(), .timed_out = true};
    return handle->result;
}

bool ms_done(const ms_handle *handle) {
    return handle->done;
}

void ms_cancel(ms_handle *handle) {
    if (handle->done || handle->cancel_sent) return;
    ms__changes("cancel an operation");
    handle->cancel_sent = true;
    bool tell = !ms__run.closed && handle->operation != 0;
    switch (handle->kind) {
    case HANDLE_ACTIVITY:
        if (tell) wit_activities_cancel(handle->operation);
        break;
    case HANDLE_CHILD:
        if (tell) wit_children_cancel(handle->operation);
        break;
    case HANDLE_EXTERNAL_SIGNAL:
        if (tell) wit_external_cancel_signal(handle->operation);
        break;
    case HANDLE_TIMER:
        if (tell) wit_timers_cancel(handle->operation);
        done_with(handle, ms__canceled());
        break;
    case HANDLE_SIGNAL:
        handle->withdrawn = true;
        done_with(handle, ms__canceled());
        break;
    case HANDLE_EXTERNAL_CANCEL:
    case HANDLE_ROUTINE:
    case HANDLE_CANCEL_REQUEST:
    case HANDLE_CHILD_START: break;
    }
}

void ms__cancel_unshielded(void) {
    for (uint32_t i = 0; i < ms__run.operations_count; i++) {
        ms_handle *handle = ms__run.operations[i];
        if (handle && !handle->done && !handle->shielded) {
            /* Not by whoever happens to run: nobody does. */
            ms__run.current = ms__run.main;
            ms_cancel(handle);
            ms__run.current = 0;
        }
    }
}

/* Activities. */

ms_handle *ms_start_activity(const char *type, ms_args args, const ms_activity_options *options) {
    static const ms_activity_options none;
    if (!options) options = &none;
    ms_handle *handle = ms__new_handle(HANDLE_ACTIVITY, type);
    if (!may_start(handle, "schedule an activity")) return handle;
    wit_schedule_params params = {
        .activity_type = ms__string(type),
        .input = ms__payloads(args),
        .activity_id = ms__option_string(options->activity_id),
        .task_queue = ms__option_string(options->task_queue),
        .schedule_to_close_timeout = ms__option_duration(options->schedule_to_close_ms),
        .schedule_to_start_timeout = ms__option_duration(options->schedule_to_start_ms),
        .start_to_close_timeout = ms__option_duration(options->start_to_close_ms),
        .heartbeat_timeout = ms__option_duration(options->heartbeat_ms),
        .retry_policy = ms__option_retry_policy(&options->retry_policy, options->max_attempts),
        .cancellation_type = (uint8_t)options->cancellation,
        .summary = ms__option_string(options->summary),
    };
    started(handle, wit_activities_schedule(&params));
    ms__free_payloads(params.input);
    return handle;
}

/* Of a handle that nobody else has ever seen. */
static ms_result wait_and_free(ms_handle *handle) {
    ms_result result = ms_wait(handle);
    if (handle->operation) ms__run.operations[handle->operation - 1] = 0;
    free(handle);
    return result;
}

ms_result ms_execute_activity(const char *type, ms_args args, const ms_activity_options *options) {
    return wait_and_free(ms_start_activity(type, args, options));
}

/* Timers. */

ms_handle *ms_start_timer(int64_t after_ms) {
    ms_handle *handle = ms__new_handle(HANDLE_TIMER, "timer");
    if (!may_start(handle, "start a timer")) return handle;
    wit_duration after = ms__duration(after_ms);
    started(handle, wit_timers_start(after.seconds, after.nanoseconds, 0, 0, 0));
    return handle;
}

ms_result ms_sleep(int64_t ms) {
    return wait_and_free(ms_start_timer(ms));
}

/* Children. */

/* C begins enums at 0, and a parent mostly wants to know how its child ends. */
static const uint8_t CHILD_CANCELLATION[] = {2, 0, 1, 3};

ms_handle *ms_start_child(const char *type, ms_args args, const ms_child_options *options) {
    static const ms_child_options none;
    if (!options) options = &none;
    ms_handle *handle = ms__new_handle(HANDLE_CHILD, type);
    handle->begun = ms__new_handle(HANDLE_CHILD_START, type);
    handle->workflow_id = options->workflow_id ? strdup(options->workflow_id) : ms_uuid4();
    if (!may_start(handle, "start a child workflow")) {
        if (handle->done) ms__resolve(handle->begun, handle->result);
        return handle;
    }
    wit_start_child_params params = {
        .workflow_type = ms__string(type),
        .input = ms__payloads(args),
        .options = {
            .workflow_id = ms__option_string(handle->workflow_id),
            .task_queue = ms__option_string(options->task_queue),
            .execution_timeout = ms__option_duration(options->execution_timeout_ms),
            .run_timeout = ms__option_duration(options->run_timeout_ms),
            .task_timeout = ms__option_duration(options->task_timeout_ms),
            .retry_policy = ms__option_retry_policy(&options->retry_policy, 0),
            .parent_close_policy = (uint8_t)options->parent_close_policy,
            .workflow_id_reuse_policy = (uint8_t)options->workflow_id_reuse_policy,
            .cancellation_type = CHILD_CANCELLATION[options->cancellation],
            .memo = ms__fields(options->memo),
            .summary = ms__option_string(options->summary),
            .details = ms__option_string(options->details),
        },
    };
    started(handle, wit_children_start(&params));
    ms__free_payloads(params.input);
    return handle;
}

ms_result ms_execute_child(const char *type, ms_args args, const ms_child_options *options) {
    return ms_wait(ms_start_child(type, args, options));
}

ms_result ms_wait_child_started(ms_handle *child) {
    if (!child->begun->done) {
        /* A request to cancel ends the child, which ends the wait. */
        ms__waiter waiter;
        begin_waiting(child, &waiter);
        wait_done(child->begun);
        stop_waiting(child, &waiter);
    }
    return child->begun->result;
}

const char *ms_child_workflow_id(const ms_handle *child) {
    return child->workflow_id;
}

/* Messages to other workflows. */

static ms_handle *start_signal(bool is_execution, ms_handle *child, const char *id, const char *run_id, const char *name, ms_args args) {
    ms_handle *handle = ms__new_handle(HANDLE_EXTERNAL_SIGNAL, name);
    if (!may_start(handle, "signal a workflow")) return handle;
    wit_payloads input = ms__payloads(args);
    if (!run_id) run_id = "";
    uint32_t first = is_execution ? (uint32_t)(uintptr_t)id : child->operation;
    uint32_t length = is_execution ? strlen(id) : 0;
    started(handle, wit_external_signal(is_execution, first, length, run_id, strlen(run_id), name, strlen(name),
                                        input.ptr, input.len, 0, 0));
    ms__free_payloads(input);
    return handle;
}

ms_handle *ms_start_signal_child(ms_handle *child, const char *signal, ms_args args) {
    ms_result begun = ms_wait_child_started(child);
    if (begun.failure) return done_with(ms__new_handle(HANDLE_EXTERNAL_SIGNAL, signal), begun.failure);
    return start_signal(false, child, 0, 0, signal, args);
}

ms_handle *ms_start_signal_external(const char *workflow_id, const char *run_id, const char *signal, ms_args args) {
    return start_signal(true, 0, workflow_id, run_id, signal, args);
}

ms_handle *ms_start_cancel_external(const char *workflow_id, const char *run_id, const char *reason) {
    ms_handle *handle = ms__new_handle(HANDLE_EXTERNAL_CANCEL, workflow_id);
    if (!may_start(handle, "cancel a workflow")) return handle;
    if (!run_id) run_id = "";
    if (!reason) reason = "";
    started(handle, wit_external_request_cancel(workflow_id, strlen(workflow_id), run_id, strlen(run_id), reason, strlen(reason)));
    return handle;
}

ms_result ms_signal_child(ms_handle *child, const char *signal, ms_args args) {
    return ms_wait(ms_start_signal_child(child, signal, args));
}

ms_result ms_signal_external(const char *workflow_id, const char *run_id, const char *signal, ms_args args) {
    return ms_wait(ms_start_signal_external(workflow_id, run_id, signal, args));
}

ms_result ms_cancel_external(const char *workflow_id, const char *run_id, const char *reason) {
    return ms_wait(ms_start_cancel_external(workflow_id, run_id, reason));
}

/* Conditions. */

typedef struct ms__condition {
    ms__routine *routine;
    bool (*condition)(void *);
    void *context;
    ms_handle *timer;
    struct ms__condition *next;
} condition;

bool ms__wake_conditions(void) {
    bool woken = false;
    for (condition *at = ms__run.conditions; at; at = at->next) {
        bool canceled = ms__run.cancel_requested && !ms__shielded(at->routine);
        if (canceled || (at->timer && at->timer->done) || at->condition(at->context)) {
            ms__wake(at->routine);
            woken = true;
        }
    }
    return woken;
}

ptrdiff_t ms_wait_until(bool (*test)(void *), void *context, int64_t timeout_ms) {
    if (test(context)) return 0;
    if (ms__scope_is_canceled()) return MS_CANCELED;
    condition wait = {ms__run.current, test, context, timeout_ms >= 0 ? timeout_timer(timeout_ms) : 0, 0};
    ms__waiter waiter;
    if (wait.timer) {
        ms_shield_begin();
        begin_waiting(wait.timer, &waiter);
        ms_shield_end();
    }
    condition **end = &ms__run.conditions;
    while (*end) end = &(*end)->next;
    *end = &wait;
    ptrdiff_t outcome;
    for (;;) {
        ms__block("a condition", 0);
        outcome = 0;
        if (test(context)) break;
        outcome = MS_CANCELED;
        if (ms__scope_is_canceled()) break;
        outcome = MS_TIMED_OUT;
        if (wait.timer && wait.timer->done) break;
    }
    condition **at = &ms__run.conditions;
    while (*at != &wait) at = &(*at)->next;
    *at = wait.next;
    if (wait.timer) {
        stop_waiting(wait.timer, &waiter);
        ms_cancel(wait.timer);
    }
    return outcome;
}

/* Routines. */

typedef struct {
    void (*function)(void *);
    void *context;
    ms_handle *handle;
} spawned;

static void run_spawned(ms__routine *routine) {
    spawned *it = routine->argument;
    it->function(it->context);
    ms__resolve(it->handle, (ms_result){0});
}

ms_handle *ms_spawn(void (*function)(void *), void *context) {
    ms__changes("start a routine");
    spawned *it = ms__alloc(sizeof *it);
    *it = (spawned){function, context, ms__new_handle(HANDLE_ROUTINE, "routine")};
    ms__routine *routine = ms__new_routine(ROUTINE_SPAWNED, "a routine", run_spawned, it);
    routine->own_scope = ms__shielded(ms__run.current);
    *ms__run.routines_end = routine;
    ms__run.routines_end = &routine->next;
    ms__wake(routine);
    return it->handle;
}

/* Cancellation. */

bool ms_cancel_requested(void) {
    return ms__run.cancel_requested;
}

const char *ms_cancel_reason(void) {
    return ms__run.cancel_reason;
}

ms_handle *ms_cancel_request(void) {
    if (!ms__run.cancel_handle) {
        ms__run.cancel_handle = ms__new_handle(HANDLE_CANCEL_REQUEST, "cancel request");
        if (ms__run.cancel_requested) ms__resolve(ms__run.cancel_handle, (ms_result){0});
    }
    return ms__run.cancel_handle;
}

void ms_shield_begin(void) {
    ms__run.current->shields++;
}

void ms_shield_end(void) {
    if (ms__run.current->shields == 0) ms_panic("ms_shield_end without ms_shield_begin");
    ms__run.current->shields--;
}
