"""The guest's `children.rs` once more, in Python. See `standins.py`."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import FailureError

from .standin_failures import describe, milliseconds

CLOSE = workflow.ParentClosePolicy
CANCEL = workflow.ChildWorkflowCancellationType


def child_options(options: dict) -> dict:
    attempts = options.get("maximum_attempts")
    policy = RetryPolicy(initial_interval=timedelta(milliseconds=1), maximum_attempts=attempts or 0)
    return dict(
        id=options["workflow_id"],
        task_queue=options.get("task_queue"),
        execution_timeout=milliseconds(options.get("execution_timeout_ms")),
        run_timeout=milliseconds(options.get("run_timeout_ms")),
        task_timeout=milliseconds(options.get("task_timeout_ms")),
        retry_policy=None if attempts is None else policy,
        parent_close_policy=by_word(CLOSE, options, "parent_close_policy", "terminate"),
        id_reuse_policy=by_word(WorkflowIDReusePolicy, options, "reuse_policy", "allow-duplicate"),
        cancellation_type=by_word(CANCEL, options, "cancellation_type", "wait-cancellation-completed"),
        memo={"note": options["memo"]} if "memo" in options else None,
        static_summary=options.get("summary"),
        static_details=options.get("details"),
    )


def by_word(kind, options: dict, key: str, default: str):
    return kind[options.get(key, default).replace("-", "_").upper()]


@workflow.defn(sandboxed=False)
class Parent:
    @workflow.run
    async def run(self, workflow_type: str, args: list, options: dict) -> dict:
        try:
            result = await workflow.execute_child_workflow(workflow_type, args=args, **child_options(options))
        except FailureError as error:
            return {"failure": describe(error)}
        return {"result": result}


@workflow.defn(sandboxed=False)
class LeavesChildren:
    def __init__(self) -> None:
        self.goes = False

    @workflow.signal
    def go(self, _: Any = None) -> None:
        self.goes = True

    @workflow.run
    async def run(self, workflow_type: str, args: list, all: list) -> None:
        for options in all:
            await workflow.start_child_workflow(workflow_type, args=args, **child_options(options))
        await workflow.wait_condition(lambda: self.goes)


@workflow.defn(sandboxed=False)
class SteersAChild:
    def __init__(self) -> None:
        self.goes = 0

    @workflow.signal
    def go(self, _: Any = None) -> None:
        self.goes += 1

    @workflow.run
    async def run(self, workflow_id: str) -> dict:
        child = await workflow.start_child_workflow("Approval", 2, id=workflow_id)
        await workflow.wait_condition(lambda: self.goes >= 1)
        told = await sent(child.signal("approve", "parent"))
        await workflow.wait_condition(lambda: self.goes >= 2)
        child.cancel()
        try:
            ended = {"result": await child}
        except FailureError as error:
            ended = {"failure": describe(error)}
        return {"told": told, "ended": ended}


@workflow.defn(sandboxed=False)
class Tells:
    @workflow.run
    async def run(self, workflow_id: str, run_id: str | None, what: str) -> Any:
        other = workflow.get_external_workflow_handle(workflow_id, run_id=run_id)
        return await sent(other.cancel() if what == "cancel" else other.signal("approve", "messenger"))


async def sent(message) -> Any:
    try:
        await message
    except FailureError as error:
        return describe(error)
    return "sent"


WORKFLOWS = [LeavesChildren, Parent, SteersAChild, Tells]
