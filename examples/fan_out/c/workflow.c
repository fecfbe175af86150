/* Fan-out of children: a library is counted by a child workflow for each book, so many at once. Each child has a history
 * and a fate of its own; one that fails is a line of the report, and not the end of the others. */

#include <mainspring.h>
#include <stdlib.h>

static const char *root_cause(const ms_failure *failure) {
    while (failure->cause) failure = failure->cause;
    return ms_describe_failure(failure);
}

MS_WORKFLOW(CountLibrary) {
    ms_json *library = ms_input(0), *books = ms_get(library, "books");
    const char *own_id = ms_info()->workflow_id;
    size_t count = ms_count(books), at_once = (size_t)ms_integer(ms_get(library, "at_once")), started = 0, ended = 0;
    ms_handle **children = calloc(count, sizeof *children);
    ms_json *words = ms_object(), *failed = ms_object();

    while (ended < count) {
        for (; started < count && started - ended < at_once; started++) {
            const char *book = ms_str(ms_at(books, started));
            /* Should this workflow close before its children, by a timeout or by force, they are terminated: nobody is
             * left who wants to know. That is the default parent close policy. */
            children[started] = ms_start_child("CountBook", MS_ARGS(ms_string(book)),
                &(ms_child_options){.workflow_id = ms_str(ms_stringf("%s/%s", own_id, book))});
        }
        ptrdiff_t done = ms_wait_any(children, started, MS_FOREVER);
        ms_result counted = ms_wait(children[done]);
        const char *book = ms_str(ms_at(books, (size_t)done));
        children[done] = NULL;
        ended++;
        if (!ms_failed(counted)) ms_set(words, book, counted.value);
        else if (ms_is_canceled(counted.failure)) return ms_fail(counted);
        else ms_set(failed, book, ms_string(root_cause(counted.failure)));
    }
    ms_json *report = ms_set(ms_set(ms_object(), "words", words), "failed", failed);

    /* This child is started and then left alone: it goes on after its parent has ended. */
    ms_handle *publication = ms_start_child("PublishReport", MS_ARGS(report, ms_get(library, "publish_after_ms")),
        &(ms_child_options){.workflow_id = ms_str(ms_stringf("%s-publication", own_id)),
                            .parent_close_policy = MS_ABANDON_CHILD});
    ms_result begun = ms_wait_child_started(publication);
    if (ms_failed(begun)) return ms_fail(begun);
    ms_log_info("%s publishes the report", ms_child_workflow_id(publication));
    return ms_return(report);
}

MS_WORKFLOW(CountBook) {
    ms_result counted = ms_execute_activity("count_words", MS_ARGS(ms_input(0)), &(ms_activity_options){.start_to_close_ms = 60000, .max_attempts = 3});
    return ms_failed(counted) ? ms_fail(counted) : ms_return(counted.value);
}

MS_WORKFLOW(PublishReport) {
    ms_result slept = ms_sleep(ms_integer(ms_input(1)));
    if (ms_failed(slept)) return ms_fail(slept);
    ms_result published = ms_execute_activity("publish", MS_ARGS(ms_input(0)), &(ms_activity_options){.start_to_close_ms = 60000});
    return ms_failed(published) ? ms_fail(published) : ms_return_nothing();
}
