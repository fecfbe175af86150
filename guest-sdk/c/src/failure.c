/* Failures: Temporal's, as a chain of causes. */

#include "internal.h"

#include <string.h>

static const char SOURCE[] = "mainspring-c";

static ms_failure *new_failure(ms_failure_kind kind, const char *message, ms_failure *cause) {
    ms_failure *failure = ms__zeroed(sizeof *failure);
    failure->kind = kind;
    failure->message = message ? strdup(message) : "";
    failure->source = SOURCE;
    failure->stack_trace = "";
    failure->type = "";
    failure->of = "";
    failure->cause = cause;
    return failure;
}

static ms_args values(wit_payloads payloads) {
    ms_args args = {payloads.len, ms__alloc(payloads.len * sizeof(ms_json *))};
    for (uint32_t i = 0; i < payloads.len; i++) args.values[i] = ms__value(&payloads.ptr[i]);
    return args;
}

ms_failure *ms__failure(wit_failure links) {
    ms_failure *failure = 0;
    for (uint32_t i = links.len; i > 0; i--) {
        const wit_failure_link *link = &links.ptr[i - 1];
        failure = new_failure((ms_failure_kind)link->kind.tag, "", failure);
        failure->message = ms__c_string(link->message);
        failure->source = ms__c_string(link->source);
        failure->stack_trace = ms__c_string(link->stack_trace);
        failure->link = link;
        switch (failure->kind) {
        case MS_FAILURE_APPLICATION:
            failure->type = ms__c_string(link->kind.application.type);
            failure->non_retryable = link->kind.application.non_retryable;
            failure->details = values(link->kind.application.details);
            failure->next_retry_delay_ms = ms__option_ms(link->kind.application.next_retry_delay);
            break;
        case MS_FAILURE_TIMEOUT: failure->timeout_type = (ms_timeout_type)link->kind.timeout.timeout_type; break;
        case MS_FAILURE_CANCELED: failure->details = values(link->kind.canceled); break;
        case MS_FAILURE_SERVER: failure->non_retryable = link->kind.server; break;
        case MS_FAILURE_ACTIVITY: failure->of = ms__c_string(link->kind.activity.activity_type); break;
        case MS_FAILURE_CHILD_WORKFLOW: failure->of = ms__c_string(link->kind.child_workflow.workflow_type); break;
        default: break;
        }
    }
    return failure ? failure : new_failure(MS_FAILURE_OTHER, "the failure is empty", 0);
}

wit_failure ms__links(const ms_failure *failure) {
    uint32_t count = 0;
    for (const ms_failure *at = failure; at; at = at->cause) count++;
    wit_failure_link *links = ms__zeroed(count * sizeof *links);
    wit_failure_link *link = links;
    for (; failure; failure = failure->cause, link++) {
        if (failure->link) {
            *link = *(const wit_failure_link *)failure->link;
            continue;
        }
        link->message = ms__string(failure->message);
        link->source = ms__string(failure->source);
        link->kind.tag = (uint8_t)failure->kind;
        if (failure->kind == MS_FAILURE_APPLICATION) {
            wit_application_failure *application = &link->kind.application;
            application->type = ms__string(failure->type);
            application->non_retryable = failure->non_retryable;
            application->details = ms__payloads(failure->details);
            application->next_retry_delay = ms__option_duration(failure->next_retry_delay_ms);
        } else if (failure->kind == MS_FAILURE_CANCELED) {
            link->kind.canceled = ms__payloads(failure->details);
        } else if (failure->kind != MS_FAILURE_OTHER) {
            /* The others only come from the server, or are made with their link. */
            link->kind.tag = MS_FAILURE_OTHER;
        }
    }
    return (wit_failure){links, count};
}

ms_failure *ms_new_failure(const ms_failure_options *options) {
    ms_failure *failure = new_failure(MS_FAILURE_APPLICATION, options->message, options->cause);
    if (options->type) failure->type = strdup(options->type);
    failure->non_retryable = options->non_retryable;
    failure->next_retry_delay_ms = options->next_retry_delay_ms;
    failure->details = (ms_args){options->details.count, ms__alloc(options->details.count * sizeof(ms_json *))};
    /* Arguments are mostly made where they are given, and gone when that function returns. */
    memcpy(failure->details.values, options->details.values, options->details.count * sizeof(ms_json *));
    return failure;
}

ms_failure *ms__canceled(void) {
    return new_failure(MS_FAILURE_CANCELED, "canceled", 0);
}

ms_failure *ms__conversion_failure(const char *problem) {
    return ms_new_failure(
        &(ms_failure_options){.type = "PayloadConversionError", .message = problem, .non_retryable = true});
}

static ms_failure *activity_failure(
    const char *message, const char *type, const char *id, uint8_t retry_state, ms_failure *cause) {
    ms_failure *failure = new_failure(MS_FAILURE_ACTIVITY, message, cause);
    failure->of = type;
    wit_failure_link *link = ms__zeroed(sizeof *link);
    link->message = ms__string(failure->message);
    link->source = ms__string(SOURCE);
    link->kind.tag = MS_FAILURE_ACTIVITY;
    link->kind.activity.activity_type = ms__string(type);
    link->kind.activity.activity_id = ms__string(id);
    link->kind.activity.retry_state = retry_state;
    failure->link = link;
    return failure;
}

ms_failure *ms__not_scheduled(const char *type) {
    const char *message = ms__format("activity %s was canceled before it was scheduled", type);
    return activity_failure(message, type, "", RETRY_CANCEL_REQUESTED, ms__canceled());
}

ms_failure *ms__failed_activity(const char *type, const char *id, uint8_t retry_state, ms_failure *cause) {
    return activity_failure("Activity task failed", type, id, retry_state, cause);
}

const ms_failure *ms_find_failure(const ms_failure *failure, const char *type) {
    for (; failure; failure = failure->cause)
        if (failure->kind == MS_FAILURE_APPLICATION && strcmp(failure->type, type) == 0) return failure;
    return 0;
}

bool ms_is_canceled(const ms_failure *failure) {
    while (failure && (failure->kind == MS_FAILURE_ACTIVITY || failure->kind == MS_FAILURE_CHILD_WORKFLOW))
        failure = failure->cause;
    return failure && failure->kind == MS_FAILURE_CANCELED;
}

bool ms_is_timeout(const ms_failure *failure) {
    while (failure && failure->kind != MS_FAILURE_TIMEOUT) failure = failure->cause;
    return failure != 0;
}

const char *ms_describe_failure(const ms_failure *failure) {
    ms__text text = {0};
    for (const ms_failure *at = failure; at; at = at->cause) {
        if (at != failure) ms__put_str(&text, ": ");
        ms__put_str(&text, at->message);
        if (at->kind == MS_FAILURE_APPLICATION && *at->type) {
            ms__put_str(&text, " (");
            ms__put_str(&text, at->type);
            ms__put_str(&text, ")");
        }
    }
    return ms__end_text(&text);
}
