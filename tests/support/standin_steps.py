"""The guest's `steps.rs` once more, in Python. See `standins.py`."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from .standin_failures import describe, milliseconds, one

SECONDS_30 = timedelta(seconds=30)
MILLISECOND = timedelta(milliseconds=1)


@activity.defn
async def step(unlucky: int) -> int:
    attempt = activity.info().attempt
    if attempt <= unlucky:
        raise ApplicationError(f"attempt {attempt}", type="Unlucky")
    return attempt


@workflow.defn(sandboxed=False)
class LocalStep:
    @workflow.run
    async def run(self, unlucky: int, maximum_attempts: int) -> dict:
        policy = RetryPolicy(initial_interval=MILLISECOND, maximum_attempts=maximum_attempts)
        try:
            result = await workflow.execute_local_activity(
                step, unlucky, schedule_to_close_timeout=SECONDS_30, retry_policy=policy
            )
        except ApplicationError as error:
            # The SDK for Python gives the error of a local activity as it is.
            return {"failure": [one("activity", None, "MaximumAttemptsReached"), *describe(error)]}
        return {"result": result}


@workflow.defn(sandboxed=False)
class Patches:
    @workflow.run
    async def run(self, deprecated: bool) -> bool:
        if deprecated:
            workflow.deprecate_patch("new-path")
        is_new = deprecated or workflow.patched("new-path")
        if is_new:
            await asyncio.sleep(0.001)
        return is_new and (deprecated or workflow.patched("new-path"))


@workflow.defn(sandboxed=False)
class Notes:
    def __init__(self) -> None:
        self.is_over = False

    @workflow.signal
    def end(self) -> None:
        self.is_over = True

    @workflow.run
    async def run(self) -> dict:
        workflow.upsert_memo({"note": "written by the workflow", "stage": 1})
        workflow.set_current_details("**half way**")
        await workflow.sleep(0.001, summary="a short rest")
        workflow.upsert_memo({"stage": 2, "note": None})
        await workflow.wait_condition(lambda: self.is_over)
        return {"stage": workflow.memo_value("stage", None), "note": workflow.memo_value("note", None)}


@workflow.defn(sandboxed=False)
class GoesOn:
    def __init__(self) -> None:
        self.told = False

    @workflow.signal
    def go(self, _: Any = None) -> None:
        self.told = True

    @workflow.run
    async def run(self, next: dict, waits: bool | None = None) -> None:
        if waits:
            await workflow.wait_condition(lambda: self.told)
        attempts = next.get("maximum_attempts")
        workflow.continue_as_new(
            workflow=next.get("workflow_type"),
            args=next.get("args", []),
            task_queue=next.get("task_queue"),
            run_timeout=milliseconds(next.get("run_timeout_ms")),
            task_timeout=milliseconds(next.get("task_timeout_ms")),
            retry_policy=attempts and RetryPolicy(initial_interval=MILLISECOND, maximum_attempts=attempts),
            memo={"note": next["memo"]} if "memo" in next else None,
        )


@workflow.defn(sandboxed=False)
class Saga:
    @workflow.run
    async def run(self, all: list[str]) -> Any:
        done: list[str] = []
        for name in all:
            try:
                await workflow.execute_activity(
                    name, name, start_to_close_timeout=SECONDS_30, retry_policy=RetryPolicy(maximum_attempts=1)
                )
            except ActivityError as error:
                for undo in reversed(done):
                    await workflow.execute_activity("undo", undo, start_to_close_timeout=SECONDS_30)
                return {"undone": done, "failure": describe(error)}
            done.append(name)
        return done


WORKFLOWS = [GoesOn, LocalStep, Notes, Patches, Saga]
ACTIVITIES = [step]
