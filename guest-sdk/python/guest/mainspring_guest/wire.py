"""WIT's records and Python's values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.common import RetryPolicy
from temporalio.converter import PayloadConverter
from wit_world.imports import types as wit

CONVERTER = PayloadConverter.default


def payload_to_wit(payload: Payload) -> wit.Payload:
    return wit.Payload(list(payload.metadata.items()), payload.data)


def payload_from_wit(payload: wit.Payload) -> Payload:
    return Payload(dict(payload.metadata), payload.data)


def payloads_from_wit(payloads: Iterable[wit.Payload]) -> list[Payload]:
    return [payload_from_wit(payload) for payload in payloads]


def values_to_wit(values: Sequence[Any]) -> list[wit.Payload]:
    return [payload_to_wit(payload) for payload in CONVERTER.to_payloads(values)]


def value_to_wit(value: Any) -> wit.Payload:
    return payload_to_wit(CONVERTER.to_payload(value))


def value_from_wit(payloads: Sequence[wit.Payload], hint: Any) -> Any:
    """A result: the first payload, or nothing at all."""
    return CONVERTER.from_payload(payload_from_wit(payloads[0]), hint) if payloads else None


def fields_to_wit(fields: Mapping[str, Payload]) -> list[tuple[str, wit.Payload]]:
    return [(name, payload_to_wit(payload)) for name, payload in fields.items()]


def fields_from_wit(fields: Iterable[tuple[str, wit.Payload]]) -> dict[str, Payload]:
    return {name: payload_from_wit(payload) for name, payload in fields}


def duration_to_wit(duration: timedelta | None) -> wit.Duration | None:
    if duration is None:
        return None
    if duration < timedelta(0):
        raise ValueError(f"a duration cannot be negative: {duration}")
    return wit.Duration(duration.days * 86_400 + duration.seconds, duration.microseconds * 1_000)


def timeout_to_wit(timeout: timedelta | None) -> wit.Duration | None:
    """As in Temporal's SDK, no time at all is no timeout."""
    return duration_to_wit(timeout) if timeout else None


def duration_from_wit(duration: wit.Duration | None) -> timedelta | None:
    if duration is None:
        return None
    return timedelta(seconds=duration.seconds, microseconds=duration.nanoseconds // 1_000)


def datetime_from_wit(point: wit.Datetime) -> datetime:
    return datetime.fromtimestamp(point.seconds, timezone.utc) + timedelta(microseconds=point.nanoseconds // 1_000)


def retry_policy_to_wit(policy: RetryPolicy | None) -> wit.RetryPolicy | None:
    if policy is None:
        return None
    policy._validate()
    return wit.RetryPolicy(
        initial_interval=duration_to_wit(policy.initial_interval),
        backoff_coefficient=float(policy.backoff_coefficient),
        # Temporal's SDK states its default, where the server would fill in the same.
        maximum_interval=duration_to_wit(policy.maximum_interval or policy.initial_interval * 100),
        maximum_attempts=policy.maximum_attempts,
        non_retryable_error_types=list(policy.non_retryable_error_types or ()),
    )


def retry_policy_from_wit(policy: wit.RetryPolicy | None) -> RetryPolicy | None:
    if policy is None:
        return None
    return RetryPolicy(
        initial_interval=duration_from_wit(policy.initial_interval) or timedelta(seconds=1),
        backoff_coefficient=policy.backoff_coefficient or 2.0,
        maximum_interval=duration_from_wit(policy.maximum_interval),
        maximum_attempts=policy.maximum_attempts,
        non_retryable_error_types=list(policy.non_retryable_error_types) or None,
    )
