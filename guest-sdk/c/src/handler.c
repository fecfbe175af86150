/* Messages to the workflow: signals, queries and updates. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct registered {
    /* NULL: any name. */
    const char *name;
    ms_handler handler, validator;
    void *context;
    struct registered *next;
} registered;

/* A signal that nobody has taken, in the order of arrival. */
typedef struct arrived {
    const char *name;
    ms_args args;
    struct arrived *next;
} arrived;

typedef struct update {
    uint32_t number;
    const char *id;
    const char *name;
    ms_args args;
    bool run_validator, accepted;
    const registered *handler;
    struct update *next;
} update;

static registered *signal_handlers, *query_handlers, *update_handlers;
static arrived *arrived_signals;
static ms_handle *awaited_signals;
static update *waiting_updates;

static const char STACK_TRACE[] = "__stack_trace";
static const char METADATA[] = "__temporal_workflow_metadata";

static const registered *find(const registered *list, const char *name) {
    const registered *dynamic = 0;
    for (; list; list = list->next) {
        if (!list->name) dynamic = list;
        else if (strcmp(list->name, name) == 0) return list;
    }
    return dynamic;
}

static registered *add(registered **list, const char *name, ms_handler handler, ms_handler validator, void *context) {
    if (name && (strncmp(name, "__temporal", 10) == 0 || strcmp(name, STACK_TRACE) == 0 || strcmp(name, "__enhanced_stack_trace") == 0))
        ms_panic("the name %s is kept for what is built in", name);
    registered *it = ms__alloc(sizeof *it);
    *it = (registered){name ? strdup(name) : 0, handler, validator, context, 0};
    /* Sorted by name, the one for any name first, as they are shown. One of the same name is replaced. */
    while (*list && (*list)->name && (!name || strcmp((*list)->name, name) < 0)) {
        if (!name) break;
        list = &(*list)->next;
    }
    if (*list && !(*list)->name && name) {
        list = &(*list)->next;
        while (*list && strcmp((*list)->name, name) < 0) list = &(*list)->next;
    }
    bool same = *list && ((name && (*list)->name && strcmp((*list)->name, name) == 0) || (!name && !(*list)->name));
    it->next = same ? (*list)->next : *list;
    *list = it;
    return it;
}

static void begin(ms__routine_kind kind, const char *name, void (*body)(ms__routine *), void *argument) {
    ms__routine *routine = ms__new_routine(kind, name, body, argument);
    *ms__run.routines_end = routine;
    ms__run.routines_end = &routine->next;
    ms__wake(routine);
}

/* Signals. */

typedef struct {
    const registered *handler;
    const char *name;
    ms_args args;
} handled_signal;

static void fail_workflow(ms_outcome outcome) {
    if (ms__run.closed) return;
    ms__run.closed = true;
    ms__run.outcome = outcome;
}

/* What a handler that ended from within came to: its body never gets there. */
static void finish_signal(handled_signal *signal, ms_outcome outcome) {
    ms_failure *failure = ms__outcome_failure(outcome);
    if (!failure) return;
    const ms_failure *unreadable = ms_find_failure(failure, "PayloadConversionError");
    if (unreadable) ms_log_warn("signal %s cannot be read, and is left out: %s", signal->name, unreadable->message);
    else fail_workflow(outcome);
}

static void handle_signal(ms__routine *routine) {
    handled_signal *signal = routine->argument;
    ms_outcome outcome = signal->handler->handler(signal->name, signal->args, signal->handler->context);
    finish_signal(signal, outcome);
}

static void dispatch(const char *name, ms_args args) {
    const registered *handler = find(signal_handlers, name);
    bool dynamic = handler && !handler->name;
    if (handler && !dynamic) goto handled;
    for (ms_handle **at = &awaited_signals; *at; at = &(*at)->next) {
        ms_handle *handle = *at;
        if (strcmp(handle->name, name) != 0) continue;
        *at = handle->next;
        ms__resolve(handle, (ms_result){.value = ms__first(args), .args = args});
        return;
    }
    if (!dynamic) {
        arrived *it = ms__alloc(sizeof *it);
        *it = (arrived){name, args, 0};
        arrived **end = &arrived_signals;
        while (*end) end = &(*end)->next;
        *end = it;
        return;
    }
handled:;
    handled_signal *signal = ms__alloc(sizeof *signal);
    *signal = (handled_signal){handler, name, args};
    ms__run.running_handlers++;
    begin(ROUTINE_SIGNAL, ms__format("handler of signal %s", name), handle_signal, signal);
}

void ms__signal_received(const wit_signal *signal) {
    dispatch(ms__c_string(signal->name), ms__args(signal->input));
}

/* What came before a handler, or whoever waits, was there. */
static void dispatch_arrived(const char *name) {
    arrived **at = &arrived_signals;
    while (*at) {
        arrived *it = *at;
        if (name && strcmp(it->name, name) != 0) {
            at = &it->next;
            continue;
        }
        *at = it->next;
        dispatch(it->name, it->args);
        free(it);
    }
}

void ms_on_signal(const char *name, ms_handler handler, void *context) {
    ms__changes("register a signal handler");
    add(&signal_handlers, name, handler, 0, context);
    dispatch_arrived(name);
}

ms_handle *ms_next_signal(const char *name) {
    ms__changes("wait for a signal");
    ms_handle *handle = ms__new_handle(HANDLE_SIGNAL, strdup(name));
    for (arrived **at = &arrived_signals; *at; at = &(*at)->next) {
        arrived *it = *at;
        if (strcmp(it->name, name) != 0) continue;
        *at = it->next;
        ms__resolve(handle, (ms_result){.value = ms__first(it->args), .args = it->args});
        free(it);
        return handle;
    }
    if (ms__scope_is_canceled()) {
        ms__resolve(handle, (ms_result){.failure = ms__canceled()});
        return handle;
    }
    ms_handle **end = &awaited_signals;
    while (*end) end = &(*end)->next;
    *end = handle;
    return handle;
}

static void forget_withdrawn(void) {
    for (ms_handle **at = &awaited_signals; *at;) {
        if ((*at)->done) *at = (*at)->next;
        else at = &(*at)->next;
    }
}

ms_result ms_wait_signal(const char *name, int64_t timeout_ms) {
    ms_handle *handle = ms_next_signal(name);
    ms_result result = ms_wait_for(handle, timeout_ms);
    if (result.timed_out) ms_cancel(handle);
    forget_withdrawn();
    return result;
}

void ms__withdraw_signals_of_canceled_scope(void) {
    for (ms_handle *handle = awaited_signals; handle; handle = handle->next)
        if (!handle->shielded && !handle->done) ms__resolve(handle, (ms_result){.failure = ms__canceled()});
    forget_withdrawn();
}

/* Updates. */

static void answer_update(const update *it, ms_outcome outcome) {
    ms_failure *failure = ms__outcome_failure(outcome);
    if (!it->accepted) {
        wit_failure links = ms__links(failure);
        wit_updates_reject(it->number, links.ptr, links.len);
    } else if (failure) {
        wit_failure links = ms__links(failure);
        wit_updates_complete(it->number, 1, links.ptr, links.len);
    } else {
        wit_payloads result = ms__one_payload(outcome.value);
        wit_updates_complete(it->number, 0, result.ptr, result.len);
    }
}

static void handle_update(ms__routine *routine) {
    update *it = routine->argument;
    const registered *handler = it->handler;
    if (it->run_validator && handler->validator) {
        routine->read_only = "an update validator";
        ms_outcome outcome = handler->validator(it->name, it->args, handler->context);
        routine->read_only = 0;
        if (ms__outcome_failure(outcome)) {
            answer_update(it, outcome);
            return;
        }
    }
    wit_updates_accept(it->number);
    it->accepted = true;
    answer_update(it, handler->handler(it->name, it->args, handler->context));
}

static void begin_update(update *it, const registered *handler) {
    it->handler = handler;
    ms__run.running_handlers++;
    begin(ROUTINE_UPDATE, ms__format("handler of update %s (id %s)", it->name, it->id), handle_update, it);
}

void ms__update_requested(const wit_update *requested) {
    update *it = ms__alloc(sizeof *it);
    *it = (update){requested->number, ms__c_string(requested->id), ms__c_string(requested->name), ms__args(requested->input),
                   requested->run_validator, false, 0, 0};
    const registered *handler = find(update_handlers, it->name);
    if (handler) {
        begin_update(it, handler);
        return;
    }
    update **end = &waiting_updates;
    while (*end) end = &(*end)->next;
    *end = it;
}

void ms_on_update(const char *name, ms_handler handler, ms_handler validator, void *context) {
    ms__changes("register an update handler");
    const registered *added = add(&update_handlers, name, handler, validator, context);
    for (update **at = &waiting_updates; *at;) {
        update *it = *at;
        if (name && strcmp(it->name, name) != 0) {
            at = &it->next;
            continue;
        }
        *at = it->next;
        it->next = 0;
        begin_update(it, added);
    }
}

static char *names(const registered *list) {
    ms__text text = {0};
    for (; list; list = list->next) {
        if (!list->name) continue;
        if (text.length) ms__put(&text, " ", 1);
        ms__put_str(&text, list->name);
    }
    return ms__end_text(&text);
}

void ms__reject_updates_without_handler(void) {
    for (update *it = waiting_updates; it; it = it->next) {
        answer_update(it, ms_failf("UpdateHandlerNotFound",
            "Update handler for '%s' expected but not found, and there is no dynamic handler. known updates: [%s]",
            it->name, names(update_handlers)));
    }
    waiting_updates = 0;
}

/* Whatever way a handler has ended. */
void ms__handler_ended(ms__routine *routine) {
    ms__run.running_handlers--;
    /* From within: its body has not come to its end. */
    if (!routine->left) return;
    if (routine->kind == ROUTINE_SIGNAL) finish_signal(routine->argument, routine->outcome);
    else answer_update(routine->argument, routine->outcome);
}

bool ms_all_handlers_finished(void *unused) {
    (void)unused;
    return ms__run.running_handlers == 0;
}

void ms__warn_of_unfinished_handlers(void) {
    ms_json *updates = ms_array(), *signals = ms_array();
    for (const ms__routine *routine = ms__run.routines; routine; routine = routine->next) {
        if (routine->ended) continue;
        if (routine->kind == ROUTINE_UPDATE) {
            const update *it = routine->argument;
            ms_add(updates, ms_set(ms_set(ms_object(), "name", ms_string(it->name)), "id", ms_string(it->id)));
        } else if (routine->kind == ROUTINE_SIGNAL) {
            const handled_signal *it = routine->argument;
            size_t at = 0;
            while (at < ms_count(signals) && strcmp(ms_str(ms_get(ms_at(signals, at), "name")), it->name) != 0) at++;
            if (at == ms_count(signals))
                ms_add(signals, ms_set(ms_set(ms_object(), "name", ms_string(it->name)), "count", ms_int(0)));
            ms_json *entry = ms_at(signals, at);
            ms_set(entry, "count", ms_int(ms_integer(ms_get(entry, "count")) + 1));
        }
    }
    if (ms_count(updates))
        ms_log_warn("[TMPRL1102] Workflow finished while update handlers are still running. This may have interrupted "
                    "work that the update handler was doing, and the client that sent the update will receive a 'workflow "
                    "execution already completed' RPCError instead of the update result. The following updates were "
                    "unfinished (and warnings were not disabled for their handler): %s", ms_write_json(updates));
    if (ms_count(signals))
        ms_log_warn("[TMPRL1102] Workflow finished while signal handlers are still running. This may have interrupted "
                    "work that the signal handler was doing. The following signals were unfinished (and warnings were "
                    "not disabled for their handler): %s", ms_write_json(signals));
}

/* Queries. */

void ms_on_query(const char *name, ms_handler handler, void *context) {
    ms__changes("register a query handler");
    add(&query_handlers, name, handler, 0, context);
}

const char *ms__stack_trace(void) {
    ms__text text = {0};
    for (const ms__routine *routine = ms__run.routines; routine; routine = routine->next) {
        if (routine->ended) continue;
        ms__put_str(&text, routine->name);
        ms__put_str(&text, " waits for\n    ");
        ms__put_str(&text, routine->waits_for ? routine->waits_for : "its turn");
        if (routine->waits_for_handle) {
            ms__put_str(&text, " ");
            ms__put_str(&text, routine->waits_for_handle->name);
        }
        ms__put(&text, "\n", 1);
    }
    return ms__end_text(&text);
}

static ms_json *described(const registered *list, bool queries) {
    ms_json *all = ms_array();
    if (list && !list->name) {
        ms_add(all, ms_object());
        list = list->next;
    }
    /* The names in their order, those that are built in among them. */
    bool trace = queries, metadata = queries;
    for (;; list = list->next) {
        if (trace && (!list || strcmp(STACK_TRACE, list->name) < 0)) {
            ms_add(all, ms_set(ms_object(), "name", ms_string(STACK_TRACE)));
            trace = false;
        }
        if (metadata && (!list || strcmp(METADATA, list->name) < 0)) {
            ms_add(all, ms_set(ms_object(), "name", ms_string(METADATA)));
            metadata = false;
        }
        if (!list) return all;
        ms_add(all, ms_set(ms_object(), "name", ms_string(list->name)));
    }
}

ms_json *ms__metadata(void) {
    ms_json *definition = ms_set(ms_object(), "type", ms_string(ms__run.definition->name));
    ms_set(definition, "queryDefinitions", described(query_handlers, true));
    if (signal_handlers) ms_set(definition, "signalDefinitions", described(signal_handlers, false));
    if (update_handlers) ms_set(definition, "updateDefinitions", described(update_handlers, false));
    ms_json *metadata = ms_set(ms_object(), "definition", definition);
    if (ms__run.details && *ms__run.details) ms_set(metadata, "currentDetails", ms_string(ms__run.details));
    return metadata;
}

typedef struct {
    const registered *handler;
    const char *name;
    ms_args args;
} asked;

static void run_query(ms__routine *routine) {
    const asked *it = routine->argument;
    routine->outcome = it->handler->handler(it->name, it->args, it->handler->context);
}

ms_outcome ms__answer(const char *name, ms_args args) {
    if (strcmp(name, STACK_TRACE) == 0) return ms_return_string(ms__stack_trace());
    const registered *handler = find(query_handlers, name);
    if (!handler) {
        ms_json *known = described(query_handlers, true);
        ms__text text = {0};
        for (size_t i = 0; i < ms_count(known); i++) {
            if (text.length) ms__put(&text, " ", 1);
            if (ms_has(ms_at(known, i), "name")) ms__put_str(&text, ms_get(ms_at(known, i), "name")->text.ptr);
        }
        return ms_failf("QueryHandlerNotFound",
            "Query handler for '%s' expected but not found, and there is no dynamic handler. Known queries: [%s]", name,
            ms__end_text(&text));
    }
    asked it = {handler, name, args};
    /* A routine, though it may not block: so it can be ended from within. */
    ms__routine *routine = ms__new_routine(ROUTINE_QUERY, "a query handler", run_query, &it);
    routine->read_only = "a query handler";
    ms__run_routine(routine);
    return routine->outcome;
}
