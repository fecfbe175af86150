"""The guests' workflows once more, in Python: what runs in their place where the server is Temporal's own.

They let the suite run against Temporal (`pytest --backend temporal`), which shows that it expects what Temporal does,
and they are the other side of the differential tests.
"""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, is_cancelled_exception

from . import standin_children, standin_conversations, standin_handlers, standin_resets, standin_steps
from .standin_failures import milliseconds, pascal

SECONDS_30 = timedelta(seconds=30)


@workflow.defn(sandboxed=False)
class OrderWorkflow:
    @workflow.run
    async def run(self, order: dict) -> str:
        transaction = await workflow.execute_activity(
            "charge_payment",
            args=[order["amount"], order["user_id"]],
            start_to_close_timeout=timedelta(seconds=30),
            retry_policy=RetryPolicy(maximum_attempts=3),
            result_type=str,
        )
        await workflow.execute_activity(
            "send_email",
            args=[order["email"], f"주문 완료: {transaction}"],
            start_to_close_timeout=timedelta(seconds=10),
        )
        return transaction


@workflow.defn(sandboxed=False)
class Echo:
    @workflow.run
    async def run(self, value: Any) -> Any:
        return value


@workflow.defn(sandboxed=False)
class Sleep:
    @workflow.run
    async def run(self, sleep_ms: int) -> int:
        start = workflow.now()
        await workflow.sleep(sleep_ms / 1000, summary="a test sleeps")
        return int((workflow.now() - start) / timedelta(milliseconds=1))


@workflow.defn(sandboxed=False)
class Chain:
    @workflow.run
    async def run(self, count: int, sleep_ms: int) -> int:
        for _ in range(count):
            await workflow.sleep(sleep_ms / 1000)
        return count


@workflow.defn(sandboxed=False)
class FailWith:
    @workflow.run
    async def run(
        self, error_type: str, non_retryable: bool, details: Any = None, next_retry_delay_ms: int | None = None
    ) -> None:
        raise ApplicationError(
            "failed as asked",
            *([] if details is None else [details]),
            type=error_type,
            non_retryable=non_retryable,
            next_retry_delay=milliseconds(next_retry_delay_ms),
        )


@workflow.defn(sandboxed=False)
class Info:
    @workflow.run
    async def run(self) -> dict:
        info = workflow.info()

        def ms(duration: timedelta | None) -> int | None:
            return None if duration is None else int(duration / timedelta(milliseconds=1))

        last_failure = workflow.get_last_failure()
        return {
            "namespace": info.namespace,
            "workflow_id": info.workflow_id,
            "run_id": info.run_id,
            "first_execution_run_id": info.first_execution_run_id,
            "continued_execution_run_id": info.continued_run_id,
            "workflow_type": info.workflow_type,
            "task_queue": info.task_queue,
            "attempt": info.attempt,
            "parent": [info.parent.workflow_id, info.parent.run_id] if info.parent else None,
            "root": [info.root.workflow_id, info.root.run_id] if info.root else None,
            "start_time_ms": int(info.start_time.timestamp() * 1000),
            "execution_timeout_ms": ms(info.execution_timeout),
            "run_timeout_ms": ms(info.run_timeout),
            "task_timeout_ms": ms(info.task_timeout),
            "has_retry_policy": info.retry_policy is not None,
            "memo": list(workflow.memo()),
            "search_attributes": [pair.key.name for pair in info.typed_search_attributes],
            "header": list(info.headers),
            "note": workflow.memo_value("note", None),
            "last_result": workflow.get_last_completion_result(),
            "last_failure": last_failure and str(last_failure),
            "history_length": info.get_current_history_length(),
            "history_size_bytes": info.get_current_history_size(),
            "continue_as_new_suggested": info.is_continue_as_new_suggested(),
        }


def describe(error: ActivityError) -> dict:
    cause = error.cause
    application = cause if isinstance(cause, ApplicationError) else None
    return {
        # The word of the guest's host: an SDK's own.
        "cause": "Activity canceled" if is_cancelled_exception(error) else cause.message,
        "type": application and (application.type or ""),
        "non_retryable": application and application.non_retryable,
        "detail": application.details[0] if application and application.details else None,
        "timeout": pascal(cause.type.name) if isinstance(cause, TimeoutError) else None,
        "canceled": is_cancelled_exception(error),
        "retry_state": pascal(error.retry_state.name) if error.retry_state else None,
    }


@workflow.defn(sandboxed=False)
class ActivityWithOptions:
    @workflow.run
    async def run(self, name: str, options: dict, argument: Any = None) -> dict:
        try:
            result = await workflow.execute_activity(
                name,
                argument,
                activity_id=options.get("activity_id"),
                task_queue=options.get("task_queue"),
                schedule_to_close_timeout=milliseconds(options.get("schedule_to_close_ms")),
                schedule_to_start_timeout=milliseconds(options.get("schedule_to_start_ms")),
                start_to_close_timeout=milliseconds(options.get("start_to_close_ms")),
                heartbeat_timeout=milliseconds(options.get("heartbeat_ms")),
                retry_policy=RetryPolicy(
                    initial_interval=milliseconds(options.get("initial_interval_ms")) or timedelta(seconds=1),
                    backoff_coefficient=options.get("backoff_coefficient", 2.0),
                    maximum_interval=milliseconds(options.get("maximum_interval_ms")),
                    maximum_attempts=options.get("maximum_attempts", 0),
                    non_retryable_error_types=options.get("non_retryable_error_types"),
                ),
                summary=options.get("summary"),
            )
            return {"result": result}
        except ActivityError as error:
            return {"failure": describe(error)}


@workflow.defn(sandboxed=False)
class ActivityRace:
    @workflow.run
    async def run(self, name: str, timeout_ms: int) -> Any:
        activity = workflow.start_activity(name, start_to_close_timeout=SECONDS_30)
        done, _ = await workflow.wait([activity], timeout=timeout_ms / 1000)
        return await activity if done else "timer"


@workflow.defn(sandboxed=False)
class FanOut:
    @workflow.run
    async def run(self, name: str, count: int) -> list:
        calls = [
            workflow.execute_activity(name, index, start_to_close_timeout=SECONDS_30) for index in range(count)
        ]
        return list(await asyncio.gather(*calls))


@workflow.defn(sandboxed=False)
class Loop:
    @workflow.run
    async def run(self, name: str, count: int) -> float:
        total = 0.0
        for index in range(count):
            result = await workflow.execute_activity(name, index, start_to_close_timeout=SECONDS_30)
            total += result if isinstance(result, (int, float)) else 0
        return total


@workflow.defn(sandboxed=False)
class CancelMe:
    @workflow.run
    async def run(self, name: str, cleanup: str) -> Any:
        try:
            return await workflow.execute_activity(name, start_to_close_timeout=SECONDS_30)
        except ActivityError as error:
            if is_cancelled_exception(error):
                reason = workflow.cancellation_reason()
                await asyncio.shield(
                    workflow.execute_activity(cleanup, reason, start_to_close_timeout=SECONDS_30)
                )
            raise


@workflow.defn(sandboxed=False)
class CancelTypes:
    @workflow.run
    async def run(self, name: str) -> list:
        async def call(word: str, kind: workflow.ActivityCancellationType) -> dict:
            try:
                result = await workflow.execute_activity(
                    name,
                    word,
                    start_to_close_timeout=SECONDS_30,
                    heartbeat_timeout=timedelta(seconds=5),
                    cancellation_type=kind,
                )
                return {"type": word, "result": result}
            except ActivityError as error:
                return {"type": word, "failure": describe(error)}

        kinds = workflow.ActivityCancellationType
        tasks = [
            asyncio.create_task(call("try-cancel", kinds.TRY_CANCEL)),
            asyncio.create_task(call("wait-cancellation-completed", kinds.WAIT_CANCELLATION_COMPLETED)),
            asyncio.create_task(call("abandon", kinds.ABANDON)),
        ]
        try:
            return await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            return [await task for task in tasks]


@workflow.defn(sandboxed=False)
class IgnoreCancel:
    @workflow.run
    async def run(self, sleep_ms: int) -> str | None:
        timer = asyncio.create_task(asyncio.sleep(sleep_ms / 1000))
        while not timer.done():
            try:
                await asyncio.shield(timer)
            except asyncio.CancelledError:
                continue
        return workflow.cancellation_reason()


@workflow.defn(sandboxed=False)
class SignalCounter:
    def __init__(self) -> None:
        self.values: list = []

    @workflow.signal
    def tick(self, value: Any) -> None:
        self.values.append(value)

    @workflow.run
    async def run(self, count: int) -> list:
        await workflow.wait_condition(lambda: len(self.values) >= count)
        return self.values[:count]


@workflow.defn(sandboxed=False)
class SignalOrTimeout:
    def __init__(self) -> None:
        self.values: list = []

    @workflow.signal
    def go(self, value: Any) -> None:
        self.values.append(value)

    @workflow.run
    async def run(self, timeout_ms: int) -> Any:
        try:
            await workflow.wait_condition(lambda: bool(self.values), timeout=timeout_ms / 1000)
        except asyncio.TimeoutError:
            return "timeout"
        return self.values[0]


WORKFLOWS = {
    "order-workflow": [OrderWorkflow],
    "guest-kitchen": [
        ActivityRace,
        ActivityWithOptions,
        CancelMe,
        CancelTypes,
        Chain,
        Echo,
        FailWith,
        FanOut,
        IgnoreCancel,
        Info,
        Loop,
        SignalCounter,
        SignalOrTimeout,
        Sleep,
        *standin_children.WORKFLOWS,
        *standin_conversations.WORKFLOWS,
        *standin_handlers.WORKFLOWS,
        *standin_resets.WORKFLOWS,
        *standin_steps.WORKFLOWS,
    ],
}

# What these run as local activities.
LOCAL_ACTIVITIES = standin_steps.ACTIVITIES
