"""Fan-out of children: a library is counted by a child workflow for each book, so many at once. Each child has a history
and a fate of its own; one that fails is a line of the report, and not the end of the others."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ChildWorkflowError, is_cancelled_exception

MINUTE = timedelta(minutes=1)


@dataclass
class Library:
    books: list[str]
    at_once: int
    # How long after the counting the report is published.
    publish_after_ms: int


@dataclass
class Report:
    words: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@workflow.defn
class CountLibrary:
    @workflow.run
    async def run(self, library: Library) -> Report:
        own_id = workflow.info().workflow_id
        at_once = asyncio.Semaphore(library.at_once)
        report = Report()

        async def count(book: str) -> None:
            async with at_once:
                try:
                    # Should this workflow close before its children, by a timeout or by force, they are terminated:
                    # nobody is left who wants to know. That is the default parent close policy.
                    words = await workflow.execute_child_workflow(CountBook.run, book, id=f"{own_id}/{book}")
                    report.words[book] = words
                except ChildWorkflowError as error:
                    if is_cancelled_exception(error):
                        raise
                    cause = error.cause.cause or error.cause
                    report.failed[book] = f"{cause.message} ({cause.type})"

        await asyncio.gather(*(count(book) for book in library.books))

        # This child is started and then left alone: it goes on after its parent has ended.
        publication = await workflow.start_child_workflow(
            PublishReport.run,
            args=[report, library.publish_after_ms],
            id=f"{own_id}-publication",
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        )
        workflow.logger.info("%s publishes the report", publication.id)
        return report


@workflow.defn
class CountBook:
    @workflow.run
    async def run(self, book: str) -> int:
        return await workflow.execute_activity(
            "count_words",
            book,
            result_type=int,
            start_to_close_timeout=MINUTE,
            retry_policy=RetryPolicy(maximum_attempts=3),
        )


@workflow.defn
class PublishReport:
    @workflow.run
    async def run(self, report: Report, after_ms: int) -> None:
        await workflow.sleep(after_ms / 1000)
        await workflow.execute_activity("publish", report, start_to_close_timeout=MINUTE)
