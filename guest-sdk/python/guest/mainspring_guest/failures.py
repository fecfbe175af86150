"""Exceptions and failures: a chain of causes becomes a list of links, and the other way round."""

from __future__ import annotations

import json
import traceback
from collections.abc import Sequence
from typing import Any

from temporalio import exceptions
from wit_world.imports import types as wit

from .sources import readable
from .wire import CONVERTER, duration_from_wit, duration_to_wit, payloads_from_wit, values_to_wit

# What the host takes of one chain.
_LINKS_MAX = 50


def to_links(error: BaseException) -> list[wit.FailureLink]:
    """A failure and its causes, outermost first."""
    links: list[wit.FailureLink] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(links) < _LINKS_MAX:
        seen.add(id(current))
        if isinstance(current, exceptions.FailureError) and current.failure:
            # It came over the wire, and goes back as it was, with its causes.
            links.extend(current.failure[: _LINKS_MAX - len(links)])
            break
        links.append(_link(current))
        current = _cause(current)
    return links


def _cause(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None:
        return error.__cause__
    # An error that is no failure becomes a new one, which has no context of its own in Temporal's SDK.
    if isinstance(error, exceptions.FailureError) and not error.__suppress_context__:
        return error.__context__
    return None


def stack_trace(error: BaseException) -> str:
    return readable("\n".join(traceback.format_tb(error.__traceback__))) if error.__traceback__ else ""


def _link(error: BaseException) -> wit.FailureLink:
    if isinstance(error, exceptions.FailureError):
        message, kind = error.message, _kind(error)
    else:
        message, kind = str(error), _application(type(error).__name__)
    return wit.FailureLink(
        message=str(message), source="", stack_trace=stack_trace(error), kind=kind, encoded_attributes=None
    )


def _application(error_type: str) -> wit.FailureKind:
    return wit.FailureKind_Application(wit.ApplicationFailure(error_type, False, [], None))


def _kind(error: exceptions.FailureError) -> wit.FailureKind:
    match error:
        case exceptions.ApplicationError():
            delay = duration_to_wit(error.next_retry_delay or None)
            details = values_to_wit(list(error.details))
            failure = wit.ApplicationFailure(error.type or "", bool(error.non_retryable), details, delay)
            return wit.FailureKind_Application(failure)
        case exceptions.TimeoutError():
            kind = wit.TimeoutType((error.type or exceptions.TimeoutType.START_TO_CLOSE) - 1)
            return wit.FailureKind_Timeout(wit.TimeoutFailure(kind, values_to_wit(list(error.last_heartbeat_details))))
        case exceptions.CancelledError():
            return wit.FailureKind_Canceled(values_to_wit(list(error.details)))
        case exceptions.TerminatedError():
            return wit.FailureKind_Terminated()
        case exceptions.ServerError():
            return wit.FailureKind_Server(error.non_retryable)
        case exceptions.ActivityError():
            return wit.FailureKind_Activity(
                wit.ActivityFailure(
                    error.scheduled_event_id,
                    error.started_event_id,
                    error.identity,
                    error.activity_type,
                    error.activity_id,
                    wit.RetryState(error.retry_state or 0),
                )
            )
        case exceptions.ChildWorkflowError():
            return wit.FailureKind_ChildWorkflow(
                wit.ChildWorkflowFailure(
                    error.namespace,
                    error.workflow_id,
                    error.run_id,
                    error.workflow_type,
                    error.initiated_event_id,
                    error.started_event_id,
                    wit.RetryState(error.retry_state or 0),
                )
            )
    return wit.FailureKind_Other()


def from_links(links: Sequence[wit.FailureLink]) -> exceptions.FailureError:
    """The exception that a failure is in Python, with its causes."""
    cause: exceptions.FailureError | None = None
    for index in reversed(range(len(links))):
        error = _exception(links[index])
        error._failure = list(links[index:])
        error.__cause__ = cause
        cause = error
    return cause or exceptions.FailureError("Failure error")


def _values(payloads: Sequence[wit.Payload]) -> list[Any]:
    return CONVERTER.from_payloads(payloads_from_wit(payloads))


def _message(link: wit.FailureLink) -> str:
    if link.encoded_attributes is not None:
        # Who hides messages from the server puts them here; where a codec has encrypted them, they stay hidden.
        try:
            attributes = json.loads(link.encoded_attributes.data)
            if isinstance(attributes, dict) and isinstance(attributes.get("message"), str):
                return attributes["message"]
        except ValueError:
            pass
    return link.message


def _retry_state(state: wit.RetryState) -> exceptions.RetryState | None:
    return exceptions.RetryState(state.value) if state.value else None


def _exception(link: wit.FailureLink) -> exceptions.FailureError:
    message = _message(link)
    match link.kind:
        case wit.FailureKind_Application(it):
            return exceptions.ApplicationError(
                message or "Application error",
                *_values(it.details),
                type=it.type or None,
                non_retryable=it.non_retryable,
                next_retry_delay=duration_from_wit(it.next_retry_delay),
            )
        case wit.FailureKind_Timeout(it):
            return exceptions.TimeoutError(
                message or "Timeout",
                type=exceptions.TimeoutType(it.timeout_type.value + 1),
                last_heartbeat_details=_values(it.last_heartbeat_details),
            )
        case wit.FailureKind_Canceled(details):
            return exceptions.CancelledError(message or "Cancelled", *_values(details))
        case wit.FailureKind_Terminated():
            return exceptions.TerminatedError(message or "Terminated")
        case wit.FailureKind_Server(non_retryable):
            return exceptions.ServerError(message or "Server error", non_retryable=non_retryable)
        case wit.FailureKind_Activity(it):
            return exceptions.ActivityError(
                message or "Activity error",
                scheduled_event_id=it.scheduled_event_id,
                started_event_id=it.started_event_id,
                identity=it.identity,
                activity_type=it.activity_type,
                activity_id=it.activity_id,
                retry_state=_retry_state(it.retry_state),
            )
        case wit.FailureKind_ChildWorkflow(it):
            return exceptions.ChildWorkflowError(
                message or "Child workflow error",
                namespace=it.namespace,
                workflow_id=it.workflow_id,
                run_id=it.run_id,
                workflow_type=it.workflow_type,
                initiated_event_id=it.initiated_event_id,
                started_event_id=it.started_event_id,
                retry_state=_retry_state(it.retry_state),
            )
    return exceptions.FailureError(message or "Failure error")
