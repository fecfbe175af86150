/* Durable workflows in C, as WebAssembly components that the Mainspring server runs.
 *
 * A workflow is a function that blocks: it calls an activity and goes on with its result, be it a second or a year later.
 * What it has done is in the run's journal, from which the server makes the run again after a crash; so it has to do the
 * same each time, and it cannot do otherwise, having no clock, files, sockets or threads of its own.
 *
 *     #include <mainspring.h>
 *
 *     MS_WORKFLOW(Greet) {
 *         const char *name = ms_str(ms_input(0));
 *         ms_result greeting = ms_execute_activity("compose_greeting", MS_ARGS(ms_string(name)),
 *             &(ms_activity_options){.start_to_close_ms = 10000});
 *         if (ms_failed(greeting)) return ms_fail(greeting);
 *         return ms_return(greeting.value);
 *     }
 *
 * `mainspring build greet.c` makes the component. README.md beside this file is the guide.
 *
 * Memory: what these functions return lives as long as the run does; nothing has to be freed. */
#ifndef MAINSPRING_H
#define MAINSPRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values: JSON, in which workflows, activities and clients talk. */

typedef enum { MS_NULL, MS_BOOL, MS_NUMBER, MS_STRING, MS_ARRAY, MS_OBJECT, MS_BYTES, MS_UNREADABLE } ms_type;
typedef struct ms_json ms_json;

/* Arguments: each is a payload of its own. */
typedef struct {
    size_t count;
    ms_json **values;
} ms_args;
#define MS_ARGS(...) \
    ((ms_args){sizeof((ms_json *[]){__VA_ARGS__}) / sizeof(ms_json *), (ms_json *[]){__VA_ARGS__}})
#define MS_NO_ARGS ((ms_args){0, 0})
/* An argument that was given; null where it was not. Where it cannot be read, what is being done fails. */
ms_json *ms_arg(ms_args args, size_t index);

ms_json *ms_null(void);
ms_json *ms_bool(bool value);
ms_json *ms_int(int64_t value);
/* Written with the fewest digits that read back as the same double. NaN and infinity are written as null. */
ms_json *ms_number(double value);
/* Copied. Must be UTF-8. */
ms_json *ms_string(const char *text);
ms_json *ms_string_of(const char *text, size_t length);
/* As printf: %s %c %d %i %u %x %o %p %f %e %g %%, with flags, width, precision and l, ll, z. */
ms_json *ms_stringf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Raw bytes, which travel as they are (binary/plain), as an argument or a result of their own. */
ms_json *ms_bytes(const void *bytes, size_t length);
ms_json *ms_array(void);
ms_json *ms_object(void);
/* Adds to the end of an array, and returns the array. */
ms_json *ms_add(ms_json *array, ms_json *value);
/* Sets a member of an object, in place of one that has the key already, and returns the object. */
ms_json *ms_set(ms_json *object, const char *key, ms_json *value);

ms_type ms_type_of(const ms_json *value);
bool ms_is_null(const ms_json *value);
/* Of an array, an object, a string or bytes. */
size_t ms_count(const ms_json *value);
/* The element or member; null where there is none. */
ms_json *ms_at(const ms_json *array, size_t index);
ms_json *ms_get(const ms_json *object, const char *key);
bool ms_has(const ms_json *object, const char *key);
/* The key of an object's nth member, in the order in which they were set. */
const char *ms_key(const ms_json *object, size_t index);

/* Reading a value that must be of a type. Where it is not, the workflow fails with an application failure of the type
 * PayloadConversionError that says which value it was; in a handler, what is being handled does. */
const char *ms_str(const ms_json *value);
double ms_num(const ms_json *value);
int64_t ms_integer(const ms_json *value);
bool ms_boolean(const ms_json *value);

/* JSON as text. Reading gives a value of the type MS_UNREADABLE, whose ms_problem says why, where it is not JSON. */
ms_json *ms_read_json(const char *text, size_t length);
char *ms_write_json(const ms_json *value);
const char *ms_problem(const ms_json *value);

/* Failures. */

typedef enum {
    MS_FAILURE_APPLICATION,
    MS_FAILURE_TIMEOUT,
    MS_FAILURE_CANCELED,
    MS_FAILURE_TERMINATED,
    MS_FAILURE_SERVER,
    MS_FAILURE_ACTIVITY,
    MS_FAILURE_CHILD_WORKFLOW,
    MS_FAILURE_OTHER
} ms_failure_kind;
typedef enum { MS_START_TO_CLOSE, MS_SCHEDULE_TO_START, MS_SCHEDULE_TO_CLOSE, MS_HEARTBEAT } ms_timeout_type;

/* A failure and what caused it: an activity's is of the kind MS_FAILURE_ACTIVITY, and its cause says what happened. */
typedef struct ms_failure {
    ms_failure_kind kind;
    const char *message;
    const char *source;
    const char *stack_trace;
    /* Of an application failure; "" in others. */
    const char *type;
    bool non_retryable;
    /* Of an application failure or a cancellation. */
    ms_args details;
    ms_timeout_type timeout_type;
    /* Of an activity or child workflow: its type. */
    const char *of;
    struct ms_failure *cause;
    /* As it came from the server, so that it is passed on as it is. */
    const void *link;
    int64_t next_retry_delay_ms;
} ms_failure;

typedef struct {
    const char *type;
    const char *message;
    bool non_retryable;
    ms_args details;
    /* 0: as the retry policy says. */
    int64_t next_retry_delay_ms;
    ms_failure *cause;
} ms_failure_options;

ms_failure *ms_new_failure(const ms_failure_options *options);
/* Whether an application failure of this type is among a failure and its causes; NULL if none is. */
const ms_failure *ms_find_failure(const ms_failure *failure, const char *type);
/* Whether it is a cancellation, or that of an activity or child. */
bool ms_is_canceled(const ms_failure *failure);
/* Whether a timeout is among a failure and its causes. */
bool ms_is_timeout(const ms_failure *failure);
/* A failure and its causes in one line. */
const char *ms_describe_failure(const ms_failure *failure);

/* What something came to. */
typedef struct {
    /* The result; null where there is none, where it failed and where time ran out. */
    ms_json *value;
    /* A signal's arguments. */
    ms_args args;
    /* NULL where it did not fail. */
    ms_failure *failure;
    /* Whether the wait for it ended before it did. */
    bool timed_out;
} ms_result;

static inline bool ms_failed(ms_result result) { return result.failure != 0; }

/* How a workflow or a handler ends. */

typedef struct {
    int kind;
    ms_json *value;
    ms_failure *failure;
    const void *continuation;
} ms_outcome;

ms_outcome ms_return(ms_json *value);
ms_outcome ms_return_string(const char *text);
ms_outcome ms_return_nothing(void);
/* Passes a failure on, with its causes. A cancellation ends the workflow as canceled where it was asked to cancel. */
ms_outcome ms_fail(ms_result result);
ms_outcome ms_fail_with(ms_failure *failure);
/* Fails with an application failure that may be tried again. */
ms_outcome ms_failf(const char *type, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends a workflow that was asked to cancel, as canceled, with details. */
ms_outcome ms_canceled(ms_args details);
/* Ends the workflow or handler from wherever it is. Does not return. */
void ms_end(ms_outcome outcome);

/* Workflows. */

typedef ms_outcome (*ms_workflow_function)(void);
typedef struct {
    const char *name;
    ms_workflow_function function;
} ms_workflow_definition;

/* Begins the definition of a workflow whose type is `name`. */
#define MS_WORKFLOW(name) MS_WORKFLOW_NAMED(#name, ms_workflow_##name)
/* The same, for a type that is no C identifier. */
#define MS_WORKFLOW_NAMED(type, function)                                                          \
    static ms_outcome function(void);                                                              \
    __attribute__((section("ms_workflows"), used, retain)) static const ms_workflow_definition     \
        function##_definition = {type, function};                                                  \
    static ms_outcome function(void)

/* The workflow's arguments; one that was not given is null. */
ms_json *ms_input(size_t index);
size_t ms_input_count(void);

/* Retries, as Temporal has them; what is 0 is Temporal's default. */
typedef struct {
    int64_t initial_interval_ms;
    double backoff_coefficient;
    int64_t maximum_interval_ms;
    uint32_t maximum_attempts;
    /* Ends with NULL. */
    const char *const *non_retryable_error_types;
} ms_retry_policy;

/* Operations: what a workflow starts and awaits. ms_start_... returns at once with a handle, ms_execute_... waits. */

typedef struct ms_handle ms_handle;

typedef enum { MS_TRY_CANCEL, MS_WAIT_CANCELLATION_COMPLETED, MS_ABANDON } ms_activity_cancellation;

/* Times are in milliseconds; 0 and NULL mean that nothing is said. One of start_to_close_ms and schedule_to_close_ms
 * must be given. */
typedef struct {
    const char *activity_id;
    const char *task_queue;
    int64_t schedule_to_close_ms;
    int64_t schedule_to_start_ms;
    int64_t start_to_close_ms;
    int64_t heartbeat_ms;
    ms_retry_policy retry_policy;
    /* Short for retry_policy.maximum_attempts. */
    uint32_t max_attempts;
    ms_activity_cancellation cancellation;
    const char *summary;
} ms_activity_options;

ms_handle *ms_start_activity(const char *type, ms_args args, const ms_activity_options *options);
ms_result ms_execute_activity(const char *type, ms_args args, const ms_activity_options *options);

ms_handle *ms_start_timer(int64_t after_ms);
/* Fails where it was canceled. */
ms_result ms_sleep(int64_t ms);

typedef enum { MS_TERMINATE, MS_ABANDON_CHILD, MS_REQUEST_CANCEL } ms_parent_close_policy;
typedef enum { MS_ALLOW_DUPLICATE, MS_ALLOW_DUPLICATE_FAILED_ONLY, MS_REJECT_DUPLICATE } ms_workflow_id_reuse_policy;
typedef enum {
    MS_CHILD_WAIT_CANCELLATION_COMPLETED,
    MS_CHILD_ABANDON,
    MS_CHILD_TRY_CANCEL,
    MS_CHILD_WAIT_CANCELLATION_REQUESTED
} ms_child_cancellation;

typedef struct {
    /* A random UUID where it is NULL. */
    const char *workflow_id;
    const char *task_queue;
    int64_t execution_timeout_ms;
    int64_t run_timeout_ms;
    int64_t task_timeout_ms;
    /* A child is retried where this says anything. */
    ms_retry_policy retry_policy;
    ms_parent_close_policy parent_close_policy;
    ms_workflow_id_reuse_policy workflow_id_reuse_policy;
    ms_child_cancellation cancellation;
    /* Objects. */
    ms_json *memo;
    const char *summary;
    const char *details;
} ms_child_options;

ms_handle *ms_start_child(const char *type, ms_args args, const ms_child_options *options);
ms_result ms_execute_child(const char *type, ms_args args, const ms_child_options *options);
/* Waits until a child has begun, or could not. Its run id is the value. */
ms_result ms_wait_child_started(ms_handle *child);
const char *ms_child_workflow_id(const ms_handle *child);

/* Messages to other workflows. `run_id` may be NULL: the latest run. */
ms_handle *ms_start_signal_child(ms_handle *child, const char *signal, ms_args args);
ms_handle *ms_start_signal_external(const char *workflow_id, const char *run_id, const char *signal, ms_args args);
ms_handle *ms_start_cancel_external(const char *workflow_id, const char *run_id, const char *reason);
ms_result ms_signal_child(ms_handle *child, const char *signal, ms_args args);
ms_result ms_signal_external(const char *workflow_id, const char *run_id, const char *signal, ms_args args);
ms_result ms_cancel_external(const char *workflow_id, const char *run_id, const char *reason);

/* Waiting. */

#define MS_FOREVER (-1)
#define MS_TIMED_OUT (-1)
#define MS_NOTHING (-2)
#define MS_CANCELED (-3)

ms_result ms_wait(ms_handle *handle);
ms_result ms_wait_for(ms_handle *handle, int64_t timeout_ms);
/* Waits until one of the handles is done, and returns its index: the lowest where several are. NULLs are left out, so
 * whoever takes results in turn sets those that it has taken to NULL. MS_TIMED_OUT where none is done in time (nothing is
 * canceled then), MS_NOTHING where all are NULL. */
ptrdiff_t ms_wait_any(ms_handle *const *handles, size_t count, int64_t timeout_ms);
void ms_wait_all(ms_handle *const *handles, size_t count);
bool ms_done(const ms_handle *handle);
/* Asks for the end of an operation; it resolves as its options say. */
void ms_cancel(ms_handle *handle);
/* Waits until a condition is true, which handlers and other routines may make so: 0, MS_TIMED_OUT or MS_CANCELED. It is
 * asked again whenever something has happened; it may only look. */
ptrdiff_t ms_wait_until(bool (*condition)(void *context), void *context, int64_t timeout_ms);
/* Another routine of this workflow, which moves when the others wait. Its handle is done when it has returned. It has a
 * stack of 16 KiB. */
ms_handle *ms_spawn(void (*function)(void *context), void *context);

/* Cancellation. Once the workflow is asked to cancel, what it waits for is canceled, and what it starts is canceled before
 * it begins; but not between ms_shield_begin and ms_shield_end, where cleaning up belongs, and not in handlers. */
bool ms_cancel_requested(void);
const char *ms_cancel_reason(void);
/* Done when the workflow is asked to cancel. */
ms_handle *ms_cancel_request(void);
void ms_shield_begin(void);
void ms_shield_end(void);

/* Messages to this workflow. */

/* The next signal of this name: one that is there already, or one that will come. */
ms_handle *ms_next_signal(const char *name);
/* Waits for it; `args` has its arguments, `value` the first of them. */
ms_result ms_wait_signal(const char *name, int64_t timeout_ms);

/* A handler. `name` is what was sent, for those that answer to any name. */
typedef ms_outcome (*ms_handler)(const char *name, ms_args args, void *context);

/* The handler is a routine of its own and may block. It gets what came before it was there. A failure fails the
 * workflow. NULL as a name: all signals that nobody else takes. */
void ms_on_signal(const char *name, ms_handler handler, void *context);
/* Answers a question. It may change nothing, and may not block. NULL as a name: all queries without a handler. */
void ms_on_query(const char *name, ms_handler handler, void *context);
/* The handler is a routine of its own and may block. The validator (NULL for none) is asked first: where it fails, the
 * update is refused; it may change nothing, and may not block. NULL as a name: all updates without a handler. */
void ms_on_update(const char *name, ms_handler handler, ms_handler validator, void *context);
/* For ms_wait_until: whether no handler of a signal or update is running. */
bool ms_all_handlers_finished(void *unused);

/* Going on in a new run with an empty history. What is 0 or NULL stays as it is. */
typedef struct {
    const char *workflow_type;
    const char *task_queue;
    int64_t run_timeout_ms;
    int64_t task_timeout_ms;
} ms_continue_options;
ms_outcome ms_continue_as_new(ms_args args, const ms_continue_options *options);

/* Steps of its own. */

/* Runs a function in the workflow, retries it as the options say, and writes its result to the journal. */
typedef struct {
    ms_retry_policy retry_policy;
    int64_t schedule_to_close_ms;
} ms_local_activity_options;
ms_result ms_local_activity(
    const char *name, ms_outcome (*function)(void *context), void *context, const ms_local_activity_options *options);
/* Runs a function, which may draw random numbers and start nothing, and writes its value to the journal. */
ms_json *ms_side_effect(ms_json *(*function)(void *context), void *context);

/* Changing a workflow while runs of it are open. */
bool ms_patched(const char *id);
void ms_deprecate_patch(const char *id);

/* Time and chance: both come from the journal, and repeat in replay. */

/* Milliseconds since 1970, when this workflow task started. */
int64_t ms_now_ms(void);
void ms_random_bytes(void *bytes, size_t length);
uint64_t ms_random_u64(void);
/* At least 0, below 1. */
double ms_random(void);
/* A random UUID. */
const char *ms_uuid4(void);

/* What the run knows of itself. */
typedef struct {
    const char *namespace_;
    const char *workflow_id;
    const char *run_id;
    const char *first_execution_run_id;
    /* "" where there is none. */
    const char *continued_execution_run_id;
    /* Who started it as a child, and the top of the family; "" where there is none. */
    const char *parent_namespace;
    const char *parent_workflow_id;
    const char *parent_run_id;
    const char *root_workflow_id;
    const char *root_run_id;
    const char *workflow_type;
    const char *task_queue;
    uint32_t attempt;
    int64_t start_time_ms;
    /* 0 where there is none. */
    int64_t execution_timeout_ms;
    int64_t run_timeout_ms;
    int64_t task_timeout_ms;
    /* Objects. */
    ms_json *memo;
    ms_json *search_attributes;
    /* What the last run of a schedule or chain came to; null where there is none. */
    ms_json *last_result;
    ms_failure *last_failure;
} ms_workflow_info;
const ms_workflow_info *ms_info(void);
uint32_t ms_history_length(void);
uint32_t ms_history_bytes(void);
bool ms_continue_as_new_suggested(void);

/* What the run shows of itself. null takes away. `type` is Text, Keyword, Int, Double, Bool, Datetime or KeywordList. */
void ms_upsert_memo(const char *key, ms_json *value);
void ms_upsert_search_attribute(const char *key, const char *type, ms_json *value);
/* Several lines for people, in Markdown. */
void ms_set_current_details(const char *details);

/* The log. Nothing is written in replay. */
void ms_log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ms_log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ms_log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ms_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A bug: fails the workflow task, not the workflow, with this message. Does not return. */
__attribute__((noreturn)) void ms_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
