"""The guest's `failures.rs` once more, in Python. See `standins.py`."""

from datetime import timedelta

from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    FailureError,
    TerminatedError,
    TimeoutError,
    WorkflowAlreadyStartedError,
)


def milliseconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(milliseconds=value)


def describe(error: BaseException) -> list[dict]:
    """What a test wants to know of a failure and its causes, outermost first. Messages are told where they come from code
    of users or from the server, and not where an SDK makes them."""
    if isinstance(error, WorkflowAlreadyStartedError):
        # Temporal's SDK for Python has an exception of its own for what the others know by a type.
        cause = one("application", str(error), ["WorkflowExecutionAlreadyStarted", True])
        return [one("child", None, None), cause]
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    return [told(link) for link in chain]


def told(error: BaseException) -> dict:
    match error:
        case ApplicationError():
            return one("application", error.message, [error.type or "", error.non_retryable])
        case TimeoutError():
            return one("timeout", None, pascal(error.type.name))
        case CancelledError():
            return one("canceled", None, None)
        case TerminatedError():
            return one("terminated", None, None)
        case ActivityError():
            return one("activity", None, pascal(error.retry_state.name))
        case ChildWorkflowError():
            return one("child", None, None)
        case FailureError():
            return one("other", None, None)
        case _:
            return one("other", None, None)


def one(kind: str, message: str | None, more) -> dict:
    return {"kind": kind, "message": message, "more": more}


def pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
