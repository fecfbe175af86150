"""Activities, timers, failures and cancellation."""

import asyncio
from dataclasses import asdict
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    TimeoutError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    import activities
    from activities import Greeting

TEN_SECONDS = timedelta(seconds=10)


@workflow.defn
class Greet:
    @workflow.run
    async def run(self, name: str) -> str:
        greeting = Greeting(salutation="Hello", name=name)
        return await workflow.execute_activity(activities.compose, greeting, start_to_close_timeout=TEN_SECONDS)


@workflow.defn(name="greet-by-name")
class GreetByName:
    """An activity that is known by a string only, and has a summary and an id."""

    @workflow.run
    async def run(self, name: str) -> list:
        options = workflow.ActivityConfig(schedule_to_close_timeout=TEN_SECONDS, activity_id="first", summary="to add")
        total = await workflow.execute_activity("add-up", args=[1, 2], result_type=int, **options)
        handle = workflow.start_activity("echo", {"name": name}, start_to_close_timeout=TEN_SECONDS)
        return [total, await handle, handle.done(), handle.result()]


@workflow.defn
class AtOnce:
    """Many activities at once, and their results in order."""

    @workflow.run
    async def run(self, names: list[str]) -> list[str]:
        greetings = [Greeting("Hi", name) for name in names]
        return list(
            await asyncio.gather(
                *(
                    workflow.execute_activity(activities.compose, greeting, start_to_close_timeout=TEN_SECONDS)
                    for greeting in greetings
                )
            )
        )


@workflow.defn
class Pipeline:
    """Each branch goes on as soon as it can."""

    @workflow.run
    async def run(self, numbers: list[int]) -> dict[str, int]:
        log: dict[str, int] = {}

        async def branch(number: int) -> None:
            total = await workflow.execute_activity(
                activities.add_up, args=[number, 1], start_to_close_timeout=TEN_SECONDS
            )
            await workflow.sleep(0.01 * (5 - number))
            log[f"branch {number}"] = total

        async with asyncio.TaskGroup() as group:
            for number in numbers:
                group.create_task(branch(number))
        return log


@workflow.defn
class Nap:
    @workflow.run
    async def run(self, seconds: float) -> list[bool]:
        before = workflow.now()
        await asyncio.sleep(seconds)
        between = workflow.now()
        await workflow.sleep(timedelta(seconds=seconds), summary="once more")
        after = workflow.now()
        # The same moment, to the microsecond that a datetime keeps.
        same = abs(workflow.time() - after.timestamp()) < 2e-6
        return [between - before >= timedelta(seconds=seconds), after > between, same]


@workflow.defn
class Patience:
    """A timeout over an activity, in each of the ways that asyncio has."""

    @workflow.run
    async def run(self) -> list[str]:
        told = []
        try:
            await asyncio.wait_for(asyncio.sleep(30), 0.05)
        except asyncio.TimeoutError as error:
            told.append(type(error).__name__)
        try:
            async with asyncio.timeout(0.05):
                await workflow.sleep(30)
        except asyncio.TimeoutError as error:
            told.append(type(error).__name__)
        done, pending = await workflow.wait([asyncio.create_task(asyncio.sleep(30))], timeout=0.05)
        told.append(f"{len(done)} done, {len(pending)} pending")
        # An activity that is canceled says so in its own way.
        try:
            await asyncio.wait_for(self.slow(), 0.05)
        except (asyncio.TimeoutError, ActivityError) as error:
            told.append(f"{type(error).__name__}, {type(error.__cause__).__name__}")
        for task in pending:
            task.cancel()
        return told

    def slow(self):
        return workflow.execute_activity(activities.too_slow, start_to_close_timeout=TEN_SECONDS)


@workflow.defn
class Race:
    """The first one wins, and the others are canceled."""

    @workflow.run
    async def run(self) -> list:
        handles = [
            workflow.start_activity(activities.never_ends, start_to_close_timeout=TEN_SECONDS),
            workflow.start_activity(activities.echo, "fast", start_to_close_timeout=TEN_SECONDS),
        ]
        done, pending = await workflow.wait(handles, return_when=asyncio.FIRST_COMPLETED)
        for handle in pending:
            handle.cancel()
        left = await asyncio.gather(*pending, return_exceptions=True)
        return [[task.result() for task in done], [type(error).__name__ for error in left]]


@workflow.defn
class AsTheyCome:
    @workflow.run
    async def run(self, delays_ms: list[int]) -> list[int]:
        async def wait(delay_ms: int) -> int:
            await asyncio.sleep(delay_ms / 1000)
            return delay_ms

        return [await it for it in workflow.as_completed([wait(delay) for delay in delays_ms])]


@workflow.defn
class TriesAgain:
    @workflow.run
    async def run(self, attempts: int) -> dict:
        policy = RetryPolicy(
            initial_interval=timedelta(milliseconds=10),
            backoff_coefficient=1.5,
            maximum_interval=timedelta(seconds=1),
            maximum_attempts=3,
        )
        try:
            attempt = await workflow.execute_activity(
                activities.fail_until, attempts, start_to_close_timeout=TEN_SECONDS, retry_policy=policy
            )
            return {"attempt": attempt}
        except ActivityError as error:
            return describe(error)


@workflow.defn
class Refused:
    """An activity's failure, caught in one call and let through in another."""

    @workflow.run
    async def run(self, let_through: bool) -> dict:
        try:
            await workflow.execute_activity(activities.refuse, "not you", start_to_close_timeout=TEN_SECONDS)
        except ActivityError as error:
            if let_through:
                raise ApplicationError("it was refused", "detail", type="Outer") from error
            return describe(error)
        return {}


@workflow.defn
class RunsOutOfTime:
    @workflow.run
    async def run(self) -> dict:
        try:
            await workflow.execute_activity(
                activities.too_slow,
                start_to_close_timeout=timedelta(milliseconds=200),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except ActivityError as error:
            timeout = error.cause
            assert isinstance(timeout, TimeoutError)
            return describe(error) | {"timeout": timeout.type.name}
        return {}


def describe(error: ActivityError) -> dict:
    cause = error.cause
    described = {
        "error": str(error),
        "activity": error.activity_type,
        "id": error.activity_id,
        "retry_state": error.retry_state.name if error.retry_state else None,
        "cause": str(cause),
        "is_cancelled": is_cancelled_exception(error),
    }
    if isinstance(cause, ApplicationError):
        described |= {"type": cause.type, "details": list(cause.details), "final": cause.non_retryable}
    return described


@workflow.defn
class ThreeCancellations:
    """The three cancellation types, when the workflow is asked to cancel."""

    @workflow.run
    async def run(self) -> dict:
        async def call(kind: workflow.ActivityCancellationType) -> str:
            try:
                return await workflow.execute_activity(
                    activities.never_ends,
                    start_to_close_timeout=TEN_SECONDS,
                    heartbeat_timeout=timedelta(seconds=5),
                    cancellation_type=kind,
                )
            except ActivityError as error:
                return type(error.cause).__name__

        calls = {kind.name: asyncio.create_task(call(kind)) for kind in workflow.ActivityCancellationType}
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            for task in calls.values():
                task.cancel()
        return {name: await task for name, task in calls.items()} | {"reason": workflow.cancellation_reason()}


@workflow.defn
class TidiesUp:
    """Cancellation ends the workflow as canceled, after work that is shielded from it."""

    @workflow.run
    async def run(self) -> None:
        try:
            await workflow.execute_activity(activities.never_ends, start_to_close_timeout=TEN_SECONDS)
        finally:
            await asyncio.shield(
                asyncio.create_task(
                    workflow.execute_activity(activities.echo, "tidied", start_to_close_timeout=TEN_SECONDS)
                )
            )


@workflow.defn
class WillNotStop:
    """Takes a cancellation as a hint, and completes."""

    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.wait_condition(lambda: False)
        except asyncio.CancelledError:
            return f"asked to stop: {workflow.cancellation_reason()}"
        return "never"


@workflow.defn
class CancelsItself:
    """A cancellation that nobody asked for fails the workflow."""

    @workflow.run
    async def run(self) -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            raise CancelledError("gave up", "detail") from error


@workflow.defn(failure_exception_types=[ValueError])
class Careless:
    """Of two bugs the one is a failure of the workflow, because its type is named."""

    @workflow.run
    async def run(self, divisor: int) -> float:
        if divisor == 1:
            raise ValueError("one is too easy")
        try:
            return 1 / divisor
        except ZeroDivisionError as error:
            raise ValueError("cannot divide") from error


@workflow.defn
class Unlucky:
    @workflow.run
    async def run(self) -> int:
        attempt = workflow.info().attempt
        if attempt < 3:
            raise ApplicationError(f"attempt {attempt}", type="Unlucky", next_retry_delay=timedelta(milliseconds=50))
        return attempt


@workflow.defn
class Locally:
    @workflow.run
    async def run(self, number: int) -> list[int]:
        first = await workflow.execute_local_activity(
            activities.double, number, start_to_close_timeout=TEN_SECONDS
        )
        both = await asyncio.gather(
            *(
                workflow.execute_local_activity(activities.double, it, schedule_to_close_timeout=TEN_SECONDS)
                for it in (first, first + 1)
            )
        )
        return [first, *both]


@workflow.defn
class KeepsTypes:
    """What crosses the wire has the types that the hints say."""

    @workflow.run
    async def run(self, greeting: Greeting) -> dict:
        day = await workflow.execute_activity(activities.tomorrow, greeting.at, start_to_close_timeout=TEN_SECONDS)
        return {"greeting": asdict(greeting), "day": day, "is_later": day > greeting.at}
