"""What a function says of the types of its arguments and its result."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def type_hints_of(fn: Callable) -> tuple[list[Any] | None, Any]:
    """The types of the arguments (an argument without a hint has None) and of the result.

    There are none of the arguments where one of them is not positional. `self` does not count.
    """
    if not inspect.isroutine(fn):
        fn = (fn if inspect.isclass(fn) else type(fn)).__call__
    parameters = list(inspect.signature(fn).parameters.values())
    hints = get_type_hints(fn)
    if parameters and parameters[0].name == "self" and parameters[0].name not in hints:
        parameters = parameters[1:]
    result = hints.get("return")
    if any(parameter.kind not in _POSITIONAL for parameter in parameters):
        return None, result
    return [hints.get(parameter.name) for parameter in parameters], result
