/* The exports of the component: between the host's calls and the run. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Made by the linker; not there where no workflow is. */
extern __attribute__((weak)) const ms_workflow_definition __start_ms_workflows[], __stop_ms_workflows[];

#define EXPORT(name) __attribute__((export_name(name)))

typedef struct {
    wit_string name;
} wit_workflow_definition;
LIST(wit_workflow_definitions, wit_workflow_definition);

static size_t definitions_count(void) {
    return (size_t)(__stop_ms_workflows - __start_ms_workflows);
}

EXPORT("describe") wit_workflow_definitions *ms__describe(void) {
    static wit_workflow_definitions definitions;
    definitions.len = definitions_count();
    definitions.ptr = ms__alloc(definitions.len * sizeof *definitions.ptr);
    for (uint32_t i = 0; i < definitions.len; i++) definitions.ptr[i].name = ms__string(__start_ms_workflows[i].name);
    return &definitions;
}

static void run_main(ms__routine *routine) {
    ms_outcome outcome = ms__run.definition->function();
    /* By value or not at all: where a handler has failed the workflow already, that stands. */
    if (!ms__run.closed) {
        ms__run.closed = true;
        ms__run.outcome = outcome;
    }
    (void)routine;
}

static wit_payloads canceled_details(const ms_failure *failure) {
    while (failure && failure->kind != MS_FAILURE_CANCELED) failure = failure->cause;
    return failure ? ms__payloads(failure->details) : (wit_payloads){0, 0};
}

static wit_status *status(void) {
    static wit_status status;
    ms__run_all();
    ms__reject_updates_without_handler();
    if (!ms__run.closed) {
        status.tag = STATUS_BLOCKED;
        return &status;
    }
    ms__warn_of_unfinished_handlers();
    ms_outcome outcome = ms__run.outcome;
    if (outcome.kind == OUTCOME_CONTINUATION) {
        status.tag = STATUS_CONTINUED_AS_NEW;
        status.continued_as_new = *(const wit_continuation *)outcome.continuation;
        return &status;
    }
    const ms_failure *failure = ms__outcome_failure(outcome);
    if (!failure) {
        status.tag = STATUS_COMPLETED;
        status.completed = ms__one_payload(outcome.value);
    } else if (ms_is_canceled(failure) && ms__run.cancel_requested) {
        /* As in Temporal: a cancellation ends the workflow as canceled only where somebody asked it to cancel. */
        status.tag = STATUS_CANCELED;
        status.canceled = canceled_details(failure);
    } else {
        status.tag = STATUS_FAILED;
        status.failed = ms__links(failure);
    }
    return &status;
}

EXPORT("start") wit_status *ms__start(char *type, uint32_t length, wit_payload *input, uint32_t count) {
    for (size_t i = 0; i < definitions_count(); i++) {
        const ms_workflow_definition *definition = &__start_ms_workflows[i];
        if (strlen(definition->name) == length && memcmp(definition->name, type, length) == 0) ms__run.definition = definition;
    }
    if (!ms__run.definition) ms_panic("this module has no workflow type \"%.*s\"", (int)length, type);
    ms__run.input = ms__args((wit_payloads){input, count});
    ms__run.main = ms__new_routine(ROUTINE_MAIN, "main routine", run_main, 0);
    ms__run.routines = ms__run.main;
    ms__run.routines_end = &ms__run.main->next;
    ms__wake(ms__run.main);
    return status();
}

static void apply(wit_event *event) {
    switch (event->tag) {
    case EVENT_ACTIVITY_RESOLVED:
    case EVENT_CHILD_RESOLVED: {
        ms_handle *handle = ms__operation(event->resolved.operation);
        if (!handle) return;
        ms_result result = {0};
        if (event->resolved.result.is_err) {
            result.failure = ms__failure(event->resolved.result.err);
        } else {
            result.value = ms__first(ms__args(event->resolved.result.ok));
            if (ms_type_of(result.value) == MS_UNREADABLE)
                result.failure = ms__conversion_failure(ms__format("the result of %s: %s", handle->name, ms_problem(result.value)));
        }
        /* Whoever waits for the beginning of a child is answered as well, should the host have skipped it. */
        if (handle->begun && result.failure) ms__resolve(handle->begun, result);
        ms__resolve(handle, result);
        return;
    }
    case EVENT_TIMER_FIRED: {
        ms_handle *handle = ms__operation(event->timer_fired);
        if (handle) ms__resolve(handle, (ms_result){0});
        return;
    }
    case EVENT_SIGNAL_RECEIVED: ms__signal_received(&event->signal); return;
    case EVENT_CANCEL_REQUESTED:
        ms__run.cancel_requested = true;
        ms__run.cancel_reason = ms__c_string(event->cancel_requested);
        ms__cancel_unshielded();
        ms__withdraw_signals_of_canceled_scope();
        if (ms__run.cancel_handle) ms__resolve(ms__run.cancel_handle, (ms_result){0});
        return;
    case EVENT_CHILD_STARTED: {
        ms_handle *child = ms__operation(event->child_started.operation);
        if (!child) return;
        if (event->child_started.result.is_err) {
            ms_result failed = {.failure = ms__failure(event->child_started.result.err)};
            ms__resolve(child->begun, failed);
            ms__resolve(child, failed);
        } else {
            ms__resolve(child->begun, (ms_result){.value = ms_string(ms__c_string(event->child_started.result.ok))});
        }
        return;
    }
    case EVENT_EXTERNAL_RESOLVED: {
        ms_handle *handle = ms__operation(event->external_resolved.operation);
        const wit_option_failure *failure = &event->external_resolved.failure;
        if (handle) ms__resolve(handle, (ms_result){.failure = failure->some ? ms__failure(failure->value) : 0});
        return;
    }
    case EVENT_UPDATE_REQUESTED: ms__update_requested(&event->update); return;
    default: ms_panic("an event of a kind that this SDK does not know: %d", event->tag);
    }
}

EXPORT("resume") wit_status *ms__resume(wit_event *events, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) apply(&events[i]);
    free(events);
    return status();
}

/* More flat parameters than one: the query's name, arguments and header. */
EXPORT("answer-query")
wit_payloads_result *ms__answer_query(
    char *name, uint32_t length, wit_payload *args, uint32_t count, wit_field *header, uint32_t header_count) {
    static wit_payloads_result result;
    (void)header;
    (void)header_count;
    ms_outcome outcome;
    const char *asked = ms__copy(name, length);
    if (strcmp(asked, "__temporal_workflow_metadata") == 0) {
        char *json = ms_write_json(ms__metadata());
        wit_payload *payload = ms__alloc(sizeof *payload);
        *payload = ms__payload_of(
            "json/protobuf", json, strlen(json), "messageType", "temporal.api.sdk.v1.WorkflowMetadata");
        result.is_err = 0;
        result.ok = (wit_payloads){payload, 1};
        return &result;
    }
    outcome = ms__answer(asked, ms__args((wit_payloads){args, count}));
    const ms_failure *failure = ms__outcome_failure(outcome);
    result.is_err = failure != 0;
    if (failure) result.err = ms__links(failure);
    else result.ok = ms__one_payload(outcome.value);
    return &result;
}
