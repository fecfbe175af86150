/* The canonical ABI of the world mainspring:workflow/workflow@0.1.0, by hand: in 32-bit wasm a C struct is laid out like
 * the record that it stands for. The names are those of wit/. */
#ifndef MS_ABI_H
#define MS_ABI_H

#include <mainspring.h>

#define LIST(name, of) \
    typedef struct {   \
        of *ptr;       \
        uint32_t len;  \
    } name
#define OPTION(name, of) \
    typedef struct {     \
        uint8_t some;    \
        of value;        \
    } name

LIST(wit_string, char);
LIST(wit_bytes, uint8_t);
LIST(wit_strings, wit_string);
OPTION(wit_option_string, wit_string);

/* types */

typedef struct {
    uint64_t seconds;
    uint32_t nanoseconds;
} wit_datetime;
typedef wit_datetime wit_duration;
OPTION(wit_option_duration, wit_duration);

typedef struct {
    wit_string key;
    wit_bytes value;
} wit_metadatum;
LIST(wit_metadata, wit_metadatum);
typedef struct {
    wit_metadata metadata;
    wit_bytes data;
} wit_payload;
LIST(wit_payloads, wit_payload);
OPTION(wit_option_payload, wit_payload);

typedef struct {
    wit_string key;
    wit_payload value;
} wit_field;
LIST(wit_fields, wit_field);
OPTION(wit_option_fields, wit_fields);
typedef struct {
    wit_string key;
    wit_option_payload value;
} wit_upserted;

typedef struct {
    wit_option_duration initial_interval;
    double backoff_coefficient;
    wit_option_duration maximum_interval;
    uint32_t maximum_attempts;
    wit_strings non_retryable_error_types;
} wit_retry_policy;
OPTION(wit_option_retry_policy, wit_retry_policy);

typedef struct {
    wit_string type;
    uint8_t non_retryable;
    wit_payloads details;
    wit_option_duration next_retry_delay;
} wit_application_failure;
typedef struct {
    uint8_t timeout_type;
    wit_payloads last_heartbeat_details;
} wit_timeout_failure;
typedef struct {
    uint64_t scheduled_event_id;
    uint64_t started_event_id;
    wit_string identity;
    wit_string activity_type;
    wit_string activity_id;
    uint8_t retry_state;
} wit_activity_failure;
typedef struct {
    wit_string namespace_;
    wit_string workflow_id;
    wit_string run_id;
    wit_string workflow_type;
    uint64_t initiated_event_id;
    uint64_t started_event_id;
    uint8_t retry_state;
} wit_child_workflow_failure;
enum {
    RETRY_UNSPECIFIED,
    RETRY_IN_PROGRESS,
    RETRY_NON_RETRYABLE_FAILURE,
    RETRY_TIMEOUT,
    RETRY_MAXIMUM_ATTEMPTS_REACHED,
    RETRY_POLICY_NOT_SET,
    RETRY_INTERNAL_SERVER_ERROR,
    RETRY_CANCEL_REQUESTED
};
/* Its tags are those of ms_failure_kind. */
typedef struct {
    uint8_t tag;
    union {
        wit_application_failure application;
        wit_timeout_failure timeout;
        wit_payloads canceled;
        uint8_t server;
        wit_activity_failure activity;
        wit_child_workflow_failure child_workflow;
    };
} wit_failure_kind;
typedef struct {
    wit_string message;
    wit_string source;
    wit_string stack_trace;
    wit_failure_kind kind;
    wit_option_payload encoded_attributes;
} wit_failure_link;
LIST(wit_failure, wit_failure_link);
OPTION(wit_option_failure, wit_failure);

/* activation */

typedef struct {
    uint8_t is_err;
    union {
        wit_payloads ok;
        wit_failure err;
    };
} wit_payloads_result;

typedef struct {
    wit_string name;
    wit_payloads input;
    wit_string identity;
    wit_fields header;
} wit_signal;
typedef struct {
    uint32_t number;
    wit_string id;
    wit_string name;
    wit_payloads input;
    wit_string identity;
    wit_fields header;
    uint8_t run_validator;
} wit_update;
enum {
    EVENT_ACTIVITY_RESOLVED,
    EVENT_TIMER_FIRED,
    EVENT_SIGNAL_RECEIVED,
    EVENT_CANCEL_REQUESTED,
    EVENT_CHILD_STARTED,
    EVENT_CHILD_RESOLVED,
    EVENT_EXTERNAL_RESOLVED,
    EVENT_UPDATE_REQUESTED
};
typedef struct {
    uint8_t tag;
    union {
        struct {
            uint32_t operation;
            wit_payloads_result result;
        } resolved;
        uint32_t timer_fired;
        wit_signal signal;
        wit_string cancel_requested;
        struct {
            uint32_t operation;
            struct {
                uint8_t is_err;
                union {
                    wit_string ok;
                    wit_failure err;
                };
            } result;
        } child_started;
        struct {
            uint32_t operation;
            wit_option_failure failure;
        } external_resolved;
        wit_update update;
    };
} wit_event;

typedef struct {
    wit_option_string workflow_type;
    wit_option_string task_queue;
    wit_payloads input;
    wit_option_duration run_timeout;
    wit_option_duration task_timeout;
    wit_option_retry_policy retry_policy;
    wit_option_fields memo;
    wit_option_fields search_attributes;
    wit_fields header;
} wit_continuation;
enum { STATUS_BLOCKED, STATUS_COMPLETED, STATUS_FAILED, STATUS_CANCELED, STATUS_CONTINUED_AS_NEW };
typedef struct {
    uint8_t tag;
    union {
        wit_payloads completed;
        wit_failure failed;
        wit_payloads canceled;
        wit_continuation continued_as_new;
    };
} wit_status;

/* activities, children, external, info */

typedef struct {
    wit_string activity_type;
    wit_payloads input;
    wit_option_string activity_id;
    wit_option_string task_queue;
    wit_option_duration schedule_to_close_timeout;
    wit_option_duration schedule_to_start_timeout;
    wit_option_duration start_to_close_timeout;
    wit_option_duration heartbeat_timeout;
    wit_option_retry_policy retry_policy;
    uint8_t cancellation_type;
    wit_fields header;
    wit_option_string summary;
} wit_schedule_params;

typedef struct {
    wit_option_string workflow_id;
    wit_option_string task_queue;
    wit_option_duration execution_timeout;
    wit_option_duration run_timeout;
    wit_option_duration task_timeout;
    wit_option_retry_policy retry_policy;
    uint8_t parent_close_policy;
    uint8_t workflow_id_reuse_policy;
    uint8_t cancellation_type;
    wit_fields memo;
    wit_fields search_attributes;
    wit_fields header;
    wit_option_string summary;
    wit_option_string details;
} wit_child_options;
typedef struct {
    wit_string workflow_type;
    wit_payloads input;
    wit_child_options options;
} wit_start_child_params;

typedef struct {
    wit_string workflow_id;
    wit_string run_id;
} wit_workflow_execution;
OPTION(wit_option_workflow_execution, wit_workflow_execution);
typedef struct {
    wit_string namespace_;
    wit_workflow_execution execution;
} wit_parent_info;
OPTION(wit_option_parent_info, wit_parent_info);
typedef struct {
    wit_string namespace_;
    wit_string workflow_id;
    wit_string run_id;
    wit_string first_execution_run_id;
    wit_option_string continued_execution_run_id;
    wit_option_parent_info parent;
    wit_option_workflow_execution root;
    wit_string workflow_type;
    wit_string task_queue;
    uint32_t attempt;
    wit_datetime start_time;
    wit_option_duration execution_timeout;
    wit_option_duration run_timeout;
    wit_option_duration task_timeout;
    wit_option_retry_policy retry_policy;
    wit_fields memo;
    wit_fields search_attributes;
    wit_fields header;
    wit_payloads last_completion_result;
    wit_option_failure last_failure;
} wit_workflow_info;
typedef struct {
    uint32_t length;
    uint32_t size_bytes;
    uint8_t continue_as_new_suggested;
} wit_history_info;

/* What the layout above must come to, by the rules of the component model. */
_Static_assert(sizeof(wit_duration) == 16 && sizeof(wit_option_duration) == 24, "duration");
_Static_assert(sizeof(wit_retry_policy) == 72, "retry-policy");
_Static_assert(sizeof(wit_failure_kind) == 64, "failure-kind");
_Static_assert(sizeof(wit_failure_link) == 112, "failure-link");
_Static_assert(sizeof(wit_event) == 52, "event");
_Static_assert(sizeof(wit_status) == 200, "status");

/* The imports. More than 16 flat parameters are passed in memory. */

#define IMPORT(interface, name) \
    __attribute__((import_module("mainspring:workflow/" interface "@0.1.0"), import_name(name)))

IMPORT("time", "now") void wit_time_now(wit_datetime *now);
IMPORT("random", "get-bytes") void wit_random_get_bytes(uint32_t length, wit_bytes *bytes);
IMPORT("timers", "start")
uint32_t wit_timers_start(uint64_t seconds, uint32_t nanoseconds, uint32_t has_summary, const char *, uint32_t);
IMPORT("timers", "cancel") void wit_timers_cancel(uint32_t timer);
IMPORT("activities", "schedule") uint32_t wit_activities_schedule(const wit_schedule_params *params);
IMPORT("activities", "cancel") void wit_activities_cancel(uint32_t activity);
IMPORT("children", "start") uint32_t wit_children_start(const wit_start_child_params *params);
IMPORT("children", "cancel") void wit_children_cancel(uint32_t child);
/* The target is a child by its number, or a workflow by its id and run id. */
IMPORT("external", "signal")
uint32_t wit_external_signal(
    uint32_t is_execution, uint32_t child_or_id, uint32_t id_length, const char *run_id, uint32_t run_id_length,
    const char *name, uint32_t name_length, const wit_payload *, uint32_t, const wit_field *, uint32_t);
IMPORT("external", "cancel-signal") void wit_external_cancel_signal(uint32_t signal);
IMPORT("external", "request-cancel")
uint32_t wit_external_request_cancel(
    const char *workflow_id, uint32_t, const char *run_id, uint32_t, const char *reason, uint32_t);
IMPORT("updates", "accept") void wit_updates_accept(uint32_t update);
IMPORT("updates", "reject") void wit_updates_reject(uint32_t update, const wit_failure_link *, uint32_t);
IMPORT("updates", "complete")
void wit_updates_complete(uint32_t update, uint32_t is_err, const void *payloads_or_links, uint32_t);
IMPORT("attributes", "upsert-memo") void wit_attributes_upsert_memo(const wit_upserted *, uint32_t);
IMPORT("attributes", "upsert-search-attributes")
void wit_attributes_upsert_search_attributes(const wit_upserted *, uint32_t);
IMPORT("versioning", "patched") uint32_t wit_versioning_patched(const char *id, uint32_t);
IMPORT("versioning", "deprecate-patch") void wit_versioning_deprecate_patch(const char *id, uint32_t);
typedef struct {
    wit_string key;
    wit_payloads value;
} wit_marker_detail;
IMPORT("markers", "record-marker")
void wit_markers_record_marker(
    const char *name, uint32_t, const wit_marker_detail *, uint32_t, uint32_t has_failure, const wit_failure_link *,
    uint32_t);
IMPORT("info", "get") void wit_info_get(wit_workflow_info *info);
IMPORT("info", "history") void wit_info_history(wit_history_info *history);
enum { LEVEL_TRACE, LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR };
IMPORT("log", "write") void wit_log_write(uint32_t level, const char *, uint32_t, const void *fields, uint32_t);

#endif
