"""The guest's `resets.rs` once more, in Python. See `standins.py`."""

from temporalio import workflow


@workflow.defn(sandboxed=False)
class WaitsForAChild:
    @workflow.run
    async def run(self, workflow_id: str) -> list[str]:
        return await workflow.execute_child_workflow("Approval", 1, id=workflow_id, result_type=list[str])


@workflow.defn(sandboxed=False)
class CollectsInTwoRuns:
    def __init__(self) -> None:
        self.signals: list[str] = []

    @workflow.signal
    def collect(self, item: str) -> None:
        self.signals.append(item)

    @workflow.run
    async def run(self, collected: list[str] | None = None) -> list[str]:
        await workflow.wait_condition(lambda: bool(self.signals))
        item = self.signals.pop(0)
        if collected is None:
            workflow.continue_as_new([item])
        return [*collected, item]


WORKFLOWS = [CollectsInTwoRuns, WaitsForAChild]
