"""The guest's `conversations.rs` once more, in Python. See `standins.py`."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError


@workflow.defn(sandboxed=False)
class Approval:
    @workflow.init
    def __init__(self, needed: int):
        self.approved: list[str] = []
        self.needed = needed

    @workflow.run
    async def run(self, needed: int) -> list[str]:
        await workflow.wait_condition(lambda: len(self.approved) >= self.needed)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.approved

    @workflow.query(description="Who has approved so far.")
    def approved_by(self) -> list[str]:
        return self.approved

    @workflow.query
    def fails(self) -> None:
        raise ApplicationError("ask later", type="NoAnswer")

    @workflow.signal
    def approve(self, name: str) -> None:
        self.approved.append(name)

    @workflow.update
    async def set_needed(self, new: int) -> int:
        old, self.needed = self.needed, new
        return old

    @set_needed.validator
    def check_needed(self, new: int) -> None:
        if new == 0:
            raise ApplicationError("somebody has to approve", type="BadNumber")

    @workflow.update
    async def approve_slowly(self, name: str, delay_ms: int) -> int:
        await asyncio.sleep(delay_ms / 1000)
        self.approved.append(name)
        return len(self.approved)

    @workflow.update
    async def fail(self) -> None:
        raise ApplicationError("not this one", type="Refused")


@workflow.defn(sandboxed=False)
class SumOfChildren:
    @workflow.run
    async def run(self, numbers: list[int]) -> int:
        children = [workflow.execute_child_workflow("Double", number, result_type=int) for number in numbers]
        return sum(await asyncio.gather(*children))


@workflow.defn(sandboxed=False)
class Double:
    @workflow.run
    async def run(self, number: int) -> int:
        await asyncio.sleep(0.001)
        return number * 2


@workflow.defn(sandboxed=False)
class FailingChild:
    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.execute_child_workflow("FailWith", args=["Broken", True, None, None])
        except ChildWorkflowError as error:
            return f"{error}: {error.cause}"
        return "no failure"


@workflow.defn(sandboxed=False)
class LeavesAChild:
    @workflow.run
    async def run(self, workflow_id: str, policy: str) -> str:
        policies = {
            "abandon": workflow.ParentClosePolicy.ABANDON,
            "cancel": workflow.ParentClosePolicy.REQUEST_CANCEL,
            "terminate": workflow.ParentClosePolicy.TERMINATE,
        }
        child = await workflow.start_child_workflow(
            "Approval", 2, id=workflow_id, parent_close_policy=policies[policy]
        )
        await child.signal("approve", "parent")
        return child.first_execution_run_id


@workflow.defn(sandboxed=False)
class Messenger:
    @workflow.run
    async def run(self, workflow_id: str, cancel: bool) -> str:
        other = workflow.get_external_workflow_handle(workflow_id)
        try:
            await other.signal("approve", "messenger")
        except ApplicationError as error:
            return str(error)
        if cancel:
            await other.cancel()
        return "delivered"


@workflow.defn(sandboxed=False)
class Countdown:
    @workflow.run
    async def run(self, left: int, runs: int) -> int:
        await asyncio.sleep(0.001)
        if left == 0:
            return runs
        workflow.continue_as_new(args=[left - 1, runs + 1])


@workflow.defn(sandboxed=False)
class ThirdTimeLucky:
    @workflow.run
    async def run(self) -> int:
        attempt = workflow.info().attempt
        if attempt < 3:
            raise ApplicationError(f"attempt {attempt}", type="Unlucky")
        return attempt


WORKFLOWS = [
    Approval, Countdown, Double, FailingChild, LeavesAChild, Messenger, SumOfChildren, ThirdTimeLucky,
]  # fmt: skip
