/* The rest of what a workflow may ask for: how it ends, its input, time, chance, facts, versions, the log. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* How it ends. */

static ms_outcome value_outcome(ms_json *value) {
    return (ms_outcome){OUTCOME_VALUE, value, 0, 0};
}

ms_outcome ms_return(ms_json *value) {
    return value_outcome(value);
}

ms_outcome ms_return_string(const char *text) {
    return value_outcome(ms_string(text));
}

ms_outcome ms_return_nothing(void) {
    return value_outcome(ms_null());
}

ms_outcome ms_fail_with(ms_failure *failure) {
    return (ms_outcome){OUTCOME_FAILURE, 0, failure, 0};
}

ms_outcome ms_canceled(ms_args details) {
    ms_failure *failure = ms__canceled();
    failure->details = (ms_args){details.count, ms__alloc(details.count * sizeof(ms_json *))};
    memcpy(failure->details.values, details.values, details.count * sizeof(ms_json *));
    return ms_fail_with(failure);
}

ms_outcome ms_fail(ms_result result) {
    if (result.failure) return ms_fail_with(result.failure);
    return ms_failf(result.timed_out ? "Elapsed" : "Failed", result.timed_out ? "not done in time" : "it did not fail");
}

ms_outcome ms_failf(const char *type, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *message = ms__formatted(format, args);
    va_end(args);
    return ms_fail_with(ms_new_failure(&(ms_failure_options){.type = type, .message = message}));
}

ms_failure *ms__outcome_failure(ms_outcome outcome) {
    switch (outcome.kind) {
    case OUTCOME_VALUE: return 0;
    case OUTCOME_FAILURE: return outcome.failure;
    case OUTCOME_CONTINUATION:
        return ms_new_failure(&(ms_failure_options){.type = "ContinueAsNew", .message = "only a workflow can continue as new"});
    default: ms_panic("a workflow or a handler returned no outcome: use ms_return and its like");
    }
}

ms_outcome ms_continue_as_new(ms_args args, const ms_continue_options *options) {
    static const ms_continue_options none;
    if (!options) options = &none;
    wit_continuation *continuation = ms__zeroed(sizeof *continuation);
    continuation->workflow_type = ms__option_string(options->workflow_type);
    continuation->task_queue = ms__option_string(options->task_queue);
    continuation->input = ms__payloads(args);
    continuation->run_timeout = ms__option_duration(options->run_timeout_ms);
    continuation->task_timeout = ms__option_duration(options->task_timeout_ms);
    return (ms_outcome){OUTCOME_CONTINUATION, 0, 0, continuation};
}

void ms__unreadable(const char *problem) {
    ms_end(ms_fail_with(ms__conversion_failure(problem)));
}

ms_json *ms_arg(ms_args args, size_t index) {
    ms_json *value = index < args.count ? args.values[index] : ms_null();
    if (ms_type_of(value) == MS_UNREADABLE) ms__unreadable(ms__format("argument %zu: %s", index + 1, ms_problem(value)));
    return value;
}

ms_json *ms_input(size_t index) {
    if (!ms__run.definition) ms_panic("ms_input works only inside a workflow");
    if (index >= ms__run.input.count) return ms_null();
    ms_json *value = ms__run.input.values[index];
    if (ms_type_of(value) == MS_UNREADABLE)
        ms__unreadable(ms__format("argument %zu of %s: %s", index + 1, ms__run.definition->name, ms_problem(value)));
    return value;
}

size_t ms_input_count(void) {
    return ms__run.input.count;
}

/* Time and chance. */

static wit_datetime now(void) {
    wit_datetime now;
    wit_time_now(&now);
    return now;
}

int64_t ms_now_ms(void) {
    return ms__ms(now());
}

void ms_random_bytes(void *bytes, size_t length) {
    ms__routine *routine = ms__run.current;
    /* The journal's stream, which a replay does not move for them. A side effect is repeated. */
    if (routine && (routine->kind == ROUTINE_QUERY || (routine->read_only && routine->kind == ROUTINE_UPDATE)))
        ms__changes("draw a random number");
    wit_bytes drawn;
    wit_random_get_bytes(length, &drawn);
    memcpy(bytes, drawn.ptr, length);
    if (length) free(drawn.ptr);
}

uint64_t ms_random_u64(void) {
    uint64_t value;
    ms_random_bytes(&value, sizeof value);
    return value;
}

double ms_random(void) {
    return (double)(ms_random_u64() >> 11) * 0x1p-53;
}

const char *ms_uuid4(void) {
    uint8_t bytes[16];
    ms_random_bytes(bytes, sizeof bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    char *text = ms__alloc(37), *at = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
        *at++ = "0123456789abcdef"[bytes[i] >> 4];
        *at++ = "0123456789abcdef"[bytes[i] & 15];
    }
    *at = 0;
    return text;
}

/* What it knows of itself. */

const ms_workflow_info *ms_info(void) {
    if (ms__run.info) return ms__run.info;
    wit_workflow_info info;
    wit_info_get(&info);
    ms_workflow_info *it = ms__zeroed(sizeof *it);
    it->namespace_ = ms__c_string(info.namespace_);
    it->workflow_id = ms__c_string(info.workflow_id);
    it->run_id = ms__c_string(info.run_id);
    it->first_execution_run_id = ms__c_string(info.first_execution_run_id);
    it->continued_execution_run_id =
        info.continued_execution_run_id.some ? ms__c_string(info.continued_execution_run_id.value) : "";
    it->parent_namespace = it->parent_workflow_id = it->parent_run_id = it->root_workflow_id = it->root_run_id = "";
    if (info.parent.some) {
        it->parent_namespace = ms__c_string(info.parent.value.namespace_);
        it->parent_workflow_id = ms__c_string(info.parent.value.execution.workflow_id);
        it->parent_run_id = ms__c_string(info.parent.value.execution.run_id);
    }
    if (info.root.some) {
        it->root_workflow_id = ms__c_string(info.root.value.workflow_id);
        it->root_run_id = ms__c_string(info.root.value.run_id);
    }
    it->workflow_type = ms__c_string(info.workflow_type);
    it->task_queue = ms__c_string(info.task_queue);
    it->attempt = info.attempt;
    it->start_time_ms = ms__ms(info.start_time);
    it->execution_timeout_ms = ms__option_ms(info.execution_timeout);
    it->run_timeout_ms = ms__option_ms(info.run_timeout);
    it->task_timeout_ms = ms__option_ms(info.task_timeout);
    it->memo = ms__from_fields(info.memo);
    it->search_attributes = ms__from_fields(info.search_attributes);
    it->last_result = ms__first(ms__args(info.last_completion_result));
    it->last_failure = info.last_failure.some ? ms__failure(info.last_failure.value) : 0;
    ms__run.info = it;
    return it;
}

uint32_t ms_history_length(void) {
    wit_history_info history;
    wit_info_history(&history);
    return history.length;
}

uint32_t ms_history_bytes(void) {
    wit_history_info history;
    wit_info_history(&history);
    return history.size_bytes;
}

bool ms_continue_as_new_suggested(void) {
    wit_history_info history;
    wit_info_history(&history);
    return history.continue_as_new_suggested;
}

void ms_upsert_memo(const char *key, ms_json *value) {
    ms__changes("change the memo");
    if (ms__run.closed) return;
    wit_upserted field = {.key = ms__string(key), .value.some = !ms_is_null(value)};
    if (field.value.some) field.value.value = ms__payload(value);
    wit_attributes_upsert_memo(&field, 1);
    ms_json *memo = ms_info()->memo;
    ms_set(memo, key, value);
}

void ms_upsert_search_attribute(const char *key, const char *type, ms_json *value) {
    ms__changes("change search attributes");
    if (ms__run.closed) return;
    wit_upserted field = {.key = ms__string(key), .value.some = !ms_is_null(value)};
    if (field.value.some) {
        char *json = ms_write_json(value);
        field.value.value = ms__payload_of("json/plain", json, strlen(json), "type", type);
    }
    wit_attributes_upsert_search_attributes(&field, 1);
    ms_set(ms_info()->search_attributes, key, value);
}

void ms_set_current_details(const char *details) {
    ms__changes("set the current details");
    ms__run.details = strdup(details);
}

/* Versions. */

bool ms_patched(const char *id) {
    ms__changes("ask for a patch");
    /* Where the run has ended nobody sees the path, and the new one is what the code is about to be. */
    return ms__run.closed || wit_versioning_patched(id, strlen(id));
}

void ms_deprecate_patch(const char *id) {
    ms__changes("deprecate a patch");
    if (!ms__run.closed) wit_versioning_deprecate_patch(id, strlen(id));
}

/* Steps of its own. */

ms_json *ms_side_effect(ms_json *(*function)(void *), void *context) {
    ms__changes("have a side effect");
    ms__routine *routine = ms__run.current;
    routine->read_only = "a side effect";
    ms_json *value = function(context);
    routine->read_only = 0;
    wit_payloads data = ms__one_payload(value);
    wit_marker_detail detail = {ms__string("data"), data};
    if (!ms__run.closed) wit_markers_record_marker("SideEffect", 10, &detail, 1, 0, 0, 0);
    return value;
}

static const char LOCAL_ACTIVITY[] = "core_local_activity";
/* Waits between attempts that together take longer than this become a timer. */
#define RETRY_THRESHOLD_MS 60000

typedef struct {
    const char *name;
    const char *id;
    uint32_t number, attempt;
    wit_datetime scheduled;
} local_activity;

static ms_json *timestamp(uint64_t seconds, uint32_t nanoseconds) {
    return ms_set(ms_set(ms_object(), "seconds", ms_int((int64_t)seconds)), "nanos", ms_int(nanoseconds));
}

static void mark(const local_activity *it, int64_t backoff_ms, const ms_json *result, const ms_failure *failure) {
    if (ms__run.closed) return;
    wit_datetime completed = now();
    wit_duration backoff = ms__duration(backoff_ms);
    ms_json *data = ms_object();
    ms_set(data, "seq", ms_int(it->number));
    ms_set(data, "attempt", ms_int(it->attempt));
    ms_set(data, "activity_id", ms_string(it->id));
    ms_set(data, "activity_type", ms_string(it->name));
    ms_set(data, "complete_time", timestamp(completed.seconds, completed.nanoseconds));
    ms_set(data, "backoff", backoff_ms ? timestamp(backoff.seconds, backoff.nanoseconds) : ms_null());
    ms_set(data, "original_schedule_time", timestamp(it->scheduled.seconds, it->scheduled.nanoseconds));
    wit_marker_detail details[2] = {{ms__string("data"), ms__one_payload(data)}};
    if (result) details[1] = (wit_marker_detail){ms__string("result"), ms__one_payload(result)};
    wit_failure links = failure ? ms__links(failure) : (wit_failure){0, 0};
    wit_markers_record_marker(LOCAL_ACTIVITY, sizeof LOCAL_ACTIVITY - 1, details, result ? 2 : 1, failure != 0, links.ptr, links.len);
}

/* How long to wait after so many attempts; 0 and why where it is given up. */
static int64_t backoff_after(
    const ms_local_activity_options *options, uint32_t attempts, int64_t elapsed, const ms_failure *failure, uint8_t *state) {
    const ms_retry_policy *policy = &options->retry_policy;
    *state = RETRY_CANCEL_REQUESTED;
    if (ms_is_canceled(failure)) return 0;
    *state = RETRY_NON_RETRYABLE_FAILURE;
    int64_t delay = 0;
    if (failure->kind == MS_FAILURE_APPLICATION) {
        if (failure->non_retryable) return 0;
        for (const char *const *type = policy->non_retryable_error_types; type && *type; type++)
            if (strcmp(*type, failure->type) == 0) return 0;
        delay = failure->next_retry_delay_ms;
    }
    *state = RETRY_MAXIMUM_ATTEMPTS_REACHED;
    if (policy->maximum_attempts && attempts >= policy->maximum_attempts) return 0;
    double interval = policy->initial_interval_ms ? (double)policy->initial_interval_ms : 1000;
    double most = policy->maximum_interval_ms ? (double)policy->maximum_interval_ms : interval * 100;
    double factor = policy->backoff_coefficient >= 1 ? policy->backoff_coefficient : 2;
    for (uint32_t i = 1; i < attempts && interval < most; i++) interval *= factor;
    if (interval > most) interval = most;
    if (delay == 0) delay = (int64_t)interval;
    if (delay < 1) delay = 1;
    *state = RETRY_TIMEOUT;
    if (options->schedule_to_close_ms && elapsed + delay >= options->schedule_to_close_ms) return 0;
    return delay;
}

ms_result ms_local_activity(
    const char *name, ms_outcome (*function)(void *), void *context, const ms_local_activity_options *options) {
    static const ms_local_activity_options none;
    if (!options) options = &none;
    ms_result result = {.value = ms_null()};
    ms__changes("run a local activity");
    if (ms__scope_is_canceled()) {
        result.failure = ms__not_scheduled(name);
        return result;
    }
    local_activity it = {name, 0, ++ms__run.local_activities, 1, now()};
    it.id = ms__format("%u", it.number);
    int64_t skipped = 0;
    for (;; it.attempt++) {
        ms_outcome outcome = function(context);
        ms_failure *failure = ms__outcome_failure(outcome);
        if (!failure) {
            mark(&it, 0, outcome.value, 0);
            result.value = outcome.value;
            return result;
        }
        uint8_t state;
        int64_t elapsed = ms_now_ms() - ms__ms(it.scheduled) + skipped;
        int64_t backoff = backoff_after(options, it.attempt, elapsed, failure, &state);
        if (backoff == 0) {
            mark(&it, 0, 0, failure);
            result.failure = ms__failed_activity(name, it.id, state, failure);
            return result;
        }
        if (skipped + backoff <= RETRY_THRESHOLD_MS) {
            skipped += backoff;
            continue;
        }
        mark(&it, backoff, 0, failure);
        ms_result slept = ms_sleep(backoff);
        if (ms_failed(slept)) {
            result.failure = ms__failed_activity(name, it.id, RETRY_CANCEL_REQUESTED, slept.failure);
            return result;
        }
        skipped = 0;
    }
}

/* The log. */

static void write_log(uint32_t level, const char *format, va_list args) {
    char *message = ms__formatted(format, args);
    wit_log_write(level, message, strlen(message), 0, 0);
    free(message);
}

#define LOG(name, level)                       \
    void name(const char *format, ...) {       \
        va_list args;                          \
        va_start(args, format);                \
        write_log(level, format, args);        \
        va_end(args);                          \
    }
LOG(ms_log_debug, LEVEL_DEBUG)
LOG(ms_log_info, LEVEL_INFO)
LOG(ms_log_warn, LEVEL_WARN)
LOG(ms_log_error, LEVEL_ERROR)

/* The host tells what the last error line says of an exception as the reason of a trap that follows it. */
void ms_panic(const char *format, ...) {
    static bool panicking;
    if (!panicking) {
        /* Formatting may itself run out of memory. */
        panicking = true;
        va_list args;
        va_start(args, format);
        char *message = ms__formatted(format, args);
        va_end(args);
        wit_string fields[2][2] = {{ms__string("exception.type"), ms__string("Panic")},
                                   {ms__string("exception.message"), ms__string(message)}};
        wit_log_write(LEVEL_ERROR, message, strlen(message), fields, 2);
    }
    __builtin_trap();
}
