/* What the files of the SDK share. Everything of the run is in `ms__run`. */
#ifndef MS_INTERNAL_H
#define MS_INTERNAL_H

#include <stdarg.h>

#include "abi.h"

/* libc.c */
void *ms__alloc(size_t size);
void *ms__zeroed(size_t size);
void *ms__grown(void *old, size_t size);
char *ms__copy(const char *text, size_t length);

/* text.c: text that grows. */
typedef struct {
    char *ptr;
    size_t length;
    size_t capacity;
} ms__text;
void ms__put(ms__text *text, const char *bytes, size_t length);
void ms__put_str(ms__text *text, const char *bytes);
char *ms__end_text(ms__text *text);
char *ms__formatted(const char *format, va_list args);
__attribute__((format(printf, 1, 2))) char *ms__format(const char *format, ...);

/* number.c */
/* The shortest digits that read back as the same double: at most 17, without a point. The value is 0.DIGITS * 10^exponent. */
#define DIGITS_MAX 17
int ms__shortest(double value, char digits[DIGITS_MAX + 1], int *exponent);
/* The same to so many places: significant digits, or digits after the point. */
char *ms__exact_digits(double value, int *exponent);
double ms__read_double(const char *text, size_t length);

/* json.c */
struct ms_json {
    ms_type type;
    /* The key in the object that it is a member of: for messages. */
    const char *key;
    union {
        bool boolean;
        /* A number as it is written; text and bytes; why it is unreadable. */
        struct {
            const char *ptr;
            size_t length;
        } text;
        struct {
            ms_json **values;
            size_t count;
            size_t capacity;
        } items;
    };
};
ms_json *ms__new_json(ms_type type);

/* payload.c */
wit_string ms__string(const char *text);
wit_option_string ms__option_string(const char *text);
wit_option_duration ms__option_duration(int64_t ms);
wit_duration ms__duration(int64_t ms);
int64_t ms__ms(wit_duration duration);
int64_t ms__option_ms(wit_option_duration duration);
wit_option_retry_policy ms__option_retry_policy(const ms_retry_policy *policy, uint32_t max_attempts);
const char *ms__c_string(wit_string text);
wit_payload ms__payload(const ms_json *value);
wit_payloads ms__payloads(ms_args args);
void ms__free_payloads(wit_payloads payloads);
/* One payload, as what is given back is; nothing at all as binary/null. */
wit_payloads ms__one_payload(const ms_json *value);
wit_payload ms__payload_of(const char *encoding, const char *data, size_t length, const char *key, const char *value);
ms_json *ms__value(const wit_payload *payload);
/* Takes the memory of the payloads. */
ms_args ms__args(wit_payloads payloads);
ms_json *ms__first(ms_args args);
wit_fields ms__fields(const ms_json *object);
ms_json *ms__from_fields(wit_fields fields);

/* failure.c */
ms_failure *ms__failure(wit_failure links);
wit_failure ms__links(const ms_failure *failure);
ms_failure *ms__canceled(void);
ms_failure *ms__not_scheduled(const char *activity_type);
ms_failure *ms__conversion_failure(const char *problem);
ms_failure *ms__failed_activity(const char *type, const char *id, uint8_t retry_state, ms_failure *cause);

/* routine.c: a routine has stacks of its own, so that it can be left where it is and gone on with later. */
typedef enum { ROUTINE_MAIN, ROUTINE_SPAWNED, ROUTINE_SIGNAL, ROUTINE_UPDATE, ROUTINE_QUERY } ms__routine_kind;
typedef struct ms__routine {
    ms__routine_kind kind;
    const char *name;
    void (*body)(struct ms__routine *);
    void *argument;
    bool begun, left, rewinding, ended, queued;
    /* What it waits for; NULL where it is awake. */
    const char *waits_for;
    ms_handle *waits_for_handle;
    /* Its cancellation scope is its own (handlers), or it is between ms_shield_begin and ms_shield_end. */
    bool own_scope;
    uint32_t shields;
    /* May change nothing: says what it is, such as "a query handler". */
    const char *read_only;
    ms_outcome outcome;
    /* NULL in the main routine, whose stack is the linker's. */
    char *stack;
    void *stack_pointer;
    struct {
        char *at;
        char *end;
    } unwound;
    struct ms__routine *next_queued, *next;
} ms__routine;

ms__routine *ms__new_routine(ms__routine_kind kind, const char *name, void (*body)(ms__routine *), void *argument);
/* Runs a routine until it is blocked or has ended. */
void ms__run_routine(ms__routine *routine);
void ms__free_routine(ms__routine *routine);
/* Leaves the current routine until it is woken. */
void ms__block(const char *waits_for, ms_handle *handle);
void ms__wake(ms__routine *routine);
bool ms__shielded(const ms__routine *routine);
/* Checks that something may change now. */
void ms__changes(const char *action);
void ms__run_all(void);

/* operation.c */
typedef enum {
    HANDLE_ACTIVITY,
    HANDLE_TIMER,
    HANDLE_CHILD,
    HANDLE_EXTERNAL_SIGNAL,
    HANDLE_EXTERNAL_CANCEL,
    HANDLE_ROUTINE,
    HANDLE_SIGNAL,
    HANDLE_CANCEL_REQUEST,
    /* When a child has begun. */
    HANDLE_CHILD_START
} ms__handle_kind;
typedef struct ms__waiter {
    ms__routine *routine;
    struct ms__waiter *next;
} ms__waiter;
struct ms_handle {
    ms__handle_kind kind;
    /* 0 where the host knows nothing of it. */
    uint32_t operation;
    const char *name;
    bool done, shielded, cancel_sent, withdrawn;
    ms_result result;
    ms__waiter *waiters;
    /* Of a child. */
    const char *workflow_id;
    ms_handle *begun;
    /* In the list of signals that are waited for. */
    ms_handle *next;
};
ms_handle *ms__new_handle(ms__handle_kind kind, const char *name);
ms_handle *ms__operation(uint32_t number);
void ms__resolve(ms_handle *handle, ms_result result);
void ms__cancel_unshielded(void);
bool ms__scope_is_canceled(void);

/* handler.c */
void ms__signal_received(const wit_signal *signal);
void ms__update_requested(const wit_update *update);
void ms__withdraw_signals_of_canceled_scope(void);
void ms__reject_updates_without_handler(void);
void ms__warn_of_unfinished_handlers(void);
ms_outcome ms__answer(const char *name, ms_args args);
/* temporal.api.sdk.v1.WorkflowMetadata */
ms_json *ms__metadata(void);
/* Answers for a handler that has ended, in whichever way. */
void ms__handler_ended(ms__routine *routine);
const char *ms__stack_trace(void);

/* workflow.c */
ms_failure *ms__outcome_failure(ms_outcome outcome);
enum { OUTCOME_VALUE = 1, OUTCOME_FAILURE, OUTCOME_CONTINUATION };
/* Ends what is being done because a value cannot be read. */
void ms__unreadable(const char *problem);

typedef struct {
    const ms_workflow_definition *definition;
    ms_args input;
    ms__routine *main;
    ms__routine *current;
    ms__routine *routines, **routines_end;
    ms__routine *queue, **queue_end;
    uint32_t running_handlers;
    /* Waits of ms_wait_until. */
    struct ms__condition *conditions, **conditions_end;
    /* By the number of the operation. */
    ms_handle **operations;
    uint32_t operations_count, operations_capacity;
    bool cancel_requested;
    const char *cancel_reason;
    ms_handle *cancel_handle;
    /* The main routine has ended: what others still do tells the host nothing, answers to updates apart. */
    bool closed;
    ms_outcome outcome;
    uint32_t local_activities;
    const char *details;
    ms_workflow_info *info;
} ms__run_state;
extern ms__run_state ms__run;

/* The part of ms__run_all that looks at conditions; whether it woke anybody. */
bool ms__wake_conditions(void);

#endif
