"""Local activities: functions of the module itself, whose results the journal keeps as markers.

They run in the workflow's sandbox, and again in a replay, where they must give the same. The rules are in
`guest-sdk/README.md`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from temporalio import exceptions
from temporalio.common import RetryPolicy
from wit_world.imports import types as wit

from .failures import to_links
from .wire import CONVERTER, value_to_wit

if TYPE_CHECKING:
    from .run import Run

_MARKER = "core_local_activity"
# How long attempts may lie apart without a timer, unless set: as in Temporal's SDKs.
_RETRY_THRESHOLD = timedelta(seconds=60)
# What two attempts lie apart at least, so that a policy without waiting does not try for ever.
_SHORTEST_WAIT = timedelta(milliseconds=1)


@dataclass
class LocalActivity:
    name: str
    fn: Callable
    args: Sequence[Any]
    arg_types: list[Any] | None
    result_type: Any
    retry_policy: RetryPolicy
    retry_threshold: timedelta | None
    schedule_to_close_timeout: timedelta | None
    activity_id: str

    async def run(self, run: Run, number: int) -> Any:
        record = _Record(number, self, run.time_ns())
        skipped = timedelta(0)
        while True:
            try:
                result = CONVERTER.to_payload(await self._attempt())
                record.mark(run, [("result", [wit.Payload(list(result.metadata.items()), result.data)])], None)
                return CONVERTER.from_payload(result, self.result_type)
            except Exception as error:
                failure = error
            elapsed = timedelta(microseconds=(run.time_ns() - record.scheduled_ns) // 1_000) + skipped
            backoff, retry_state = self._backoff(failure, record.attempt, elapsed)
            if backoff is None:
                record.mark(run, [], failure)
                raise record.error(retry_state) from failure
            together = skipped + backoff
            if together <= (self.retry_threshold or _RETRY_THRESHOLD):
                # Nothing would change in the sandbox meanwhile.
                skipped = together
            else:
                record.mark(run, [], failure, backoff)
                await run.sleep(backoff.total_seconds())
                skipped = timedelta(0)
            record.attempt += 1

    async def _attempt(self) -> Any:
        # As over the wire: an activity never shares objects with its caller.
        args = CONVERTER.from_payloads(CONVERTER.to_payloads(self.args), self.arg_types)
        result = self.fn(*args)
        return await result if inspect.isawaitable(result) else result

    def _backoff(
        self, error: Exception, attempts: int, elapsed: timedelta
    ) -> tuple[timedelta | None, exceptions.RetryState | None]:
        """How long to wait after a failed attempt, or why there is no other."""
        policy = self.retry_policy
        error_type, delay, is_final = type(error).__name__, None, False
        if isinstance(error, exceptions.ApplicationError):
            error_type, delay, is_final = error.type or "", error.next_retry_delay, error.non_retryable
        if exceptions.is_cancelled_exception(error):
            return None, exceptions.RetryState.CANCEL_REQUESTED
        if is_final or error_type in (policy.non_retryable_error_types or ()):
            return None, exceptions.RetryState.NON_RETRYABLE_FAILURE
        if policy.maximum_attempts and attempts >= policy.maximum_attempts:
            return None, exceptions.RetryState.MAXIMUM_ATTEMPTS_REACHED
        longest = policy.maximum_interval or policy.initial_interval * 100
        try:
            interval = min(policy.initial_interval * policy.backoff_coefficient ** (attempts - 1), longest)
        except OverflowError:
            interval = longest
        backoff = delay if delay is not None else interval
        if self.schedule_to_close_timeout and elapsed + backoff >= self.schedule_to_close_timeout:
            return None, exceptions.RetryState.TIMEOUT
        return max(backoff, _SHORTEST_WAIT), None


class _Record:
    """What a marker says of a local activity."""

    def __init__(self, number: int, activity: LocalActivity, scheduled_ns: int) -> None:
        self.number = number
        self.activity = activity
        self.scheduled_ns = scheduled_ns
        self.attempt = 1

    def mark(
        self,
        run: Run,
        result: list[tuple[str, list[wit.Payload]]],
        failure: Exception | None,
        backoff: timedelta | None = None,
    ) -> None:
        data = {
            "seq": self.number,
            "attempt": self.attempt,
            "activity_id": self.activity.activity_id,
            "activity_type": self.activity.name,
            "complete_time": _timestamp(run.time_ns()),
            "backoff": None if backoff is None else _timestamp(backoff // timedelta(microseconds=1) * 1_000),
            "original_schedule_time": _timestamp(self.scheduled_ns),
        }
        run.changes("run a local activity")
        details = [("data", [value_to_wit(data)]), *result]
        run.host.record_marker(_MARKER, details, to_links(failure) if failure else None)

    def error(self, retry_state: exceptions.RetryState | None) -> exceptions.ActivityError:
        return exceptions.ActivityError(
            "Activity task failed",
            scheduled_event_id=0,
            started_event_id=0,
            identity="",
            activity_type=self.activity.name,
            activity_id=self.activity.activity_id,
            retry_state=retry_state,
        )


def _timestamp(nanoseconds: int) -> dict[str, int]:
    seconds, nanos = divmod(nanoseconds, 1_000_000_000)
    return {"seconds": seconds, "nanos": nanos}
