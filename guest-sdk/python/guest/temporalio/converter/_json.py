"""JSON with type hints: how a value that `json` has read becomes what the author's types say, and the other way round.

The rules are those of Temporal's Python SDK, so that the same value passes or fails in both.
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import functools
import inspect
import json
import typing
import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from types import UnionType
from typing import Any, ClassVar, Literal, NewType, TypeVar, get_type_hints

JSONTypeConverterUnhandled = NewType("JSONTypeConverterUnhandled", object)


class AdvancedJSONEncoder(json.JSONEncoder):
    """Writes dates, dataclasses, objects with a method `dict`, other iterables and UUIDs too."""

    def default(self, o: Any) -> Any:
        if isinstance(o, datetime):
            return o.isoformat()
        if dataclasses.is_dataclass(o) and not isinstance(o, type):
            return dataclasses.asdict(o)
        as_dict = getattr(o, "dict", None)
        if callable(as_dict):
            return as_dict()
        if isinstance(o, collections.abc.Iterable):
            return list(o)
        if isinstance(o, uuid.UUID):
            return str(o)
        return super().default(o)


class JSONTypeConverter:
    """Makes a type of the author's own of what JSON has, or says that it is not for that type."""

    Unhandled: ClassVar[JSONTypeConverterUnhandled] = JSONTypeConverterUnhandled(object())

    def to_typed_value(self, hint: type, value: Any) -> Any:
        raise NotImplementedError


# What a hint wants where it is one of JSON's own types; a number may stand for the other kind of number.
_NUMBERS = (int, float)


def value_to_type(hint: Any, value: Any, custom_converters: Sequence[JSONTypeConverter] = ()) -> Any:
    """The value as the hint wants it.

    Raises:
        TypeError: it cannot be that.
    """
    for converter in custom_converters:
        converted = converter.to_typed_value(hint, value)
        if converted is not JSONTypeConverter.Unhandled:
            return converted
    if hint is Any:
        return value
    scalar = _SCALARS.get(hint) if isinstance(hint, collections.abc.Hashable) else None
    if scalar is not None:
        return scalar(value)
    supertype = getattr(hint, "__supertype__", None)  # a NewType
    if supertype:
        return value_to_type(supertype, value, custom_converters)

    origin = getattr(hint, "__origin__", hint)
    arguments: tuple = getattr(hint, "__args__", ())
    if origin is Literal:
        if value not in arguments:
            raise TypeError(f"Value {value} not in literal values {arguments}")
        return value
    if origin is typing.Union or isinstance(hint, UnionType):
        return _to_union(hint, arguments, value, custom_converters)
    is_class = inspect.isclass(origin)
    if is_class and issubclass(origin, collections.abc.Mapping):
        return _to_mapping(hint, origin, arguments, value, custom_converters)
    if dataclasses.is_dataclass(hint):
        return _to_dataclass(hint, value, custom_converters)
    if isinstance(inspect.getattr_static(hint, "parse_obj", None), (classmethod, staticmethod)):
        if not isinstance(value, dict):
            raise TypeError(f"Cannot convert to {hint}, value is {type(value)} not dict")
        return hint.parse_obj(value)
    if inspect.isclass(hint):
        for mixed_in, word in ((int, "an integer"), (str, "a string")):
            if issubclass(hint, Enum) and issubclass(hint, mixed_in):
                if not isinstance(value, mixed_in):
                    raise TypeError(f"Cannot convert to enum {hint}, value not {word}, value is {type(value)}")
                return hint(value)
        if issubclass(hint, uuid.UUID):
            return hint(value)
    # Last, as so much is iterable.
    if is_class and issubclass(origin, collections.abc.Iterable):
        return _to_iterable(hint, origin, arguments, value, custom_converters)
    raise TypeError(f"Unserializable type during conversion: {hint}")


def _to_datetime(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise TypeError(f"Expected datetime or ISO8601 string, got {type(value)}")
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise TypeError(f"Failed parsing datetime string: {value}") from error


def _checked(hint: type, accepted: Any, words: str) -> Any:
    def convert(value: Any) -> Any:
        if not isinstance(value, accepted):
            raise TypeError(f"Expected value to be {words}, was {type(value)}")
        return hint(value)

    return convert


def _to_none(value: Any) -> None:
    if value is not None:
        raise TypeError(f"Expected None, got value of type {type(value)}")


_SCALARS = {
    datetime: _to_datetime,
    int: _checked(int, _NUMBERS, "int|float"),
    float: _checked(float, _NUMBERS, "int|float"),
    bool: _checked(bool, bool, "bool"),
    str: _checked(str, str, "str"),
    bytes: _checked(bytes, (str, bytes, list), "bytes"),
    type(None): _to_none,
}


def _to_union(hint: Any, arguments: tuple, value: Any, custom_converters: Sequence[JSONTypeConverter]) -> Any:
    """The first that takes it."""
    for argument in arguments:
        try:
            return value_to_type(argument, value, custom_converters)
        except Exception:
            continue
    raise TypeError(f"Failed converting to {hint} from {value}")


def _argument(arguments: tuple, index: int) -> Any:
    """A type argument that says something."""
    if len(arguments) <= index or arguments[index] is Any or isinstance(arguments[index], TypeVar):
        return None
    return arguments[index]


def _to_mapping(
    hint: Any, origin: Any, arguments: tuple, value: Any, custom_converters: Sequence[JSONTypeConverter]
) -> Any:
    if not isinstance(value, collections.abc.Mapping):
        raise TypeError(f"Expected {hint}, value was {type(value)}")
    is_typed_dict = getattr(origin, "__required_keys__", None) or getattr(origin, "__optional_keys__", None)
    types_by_key = _hints(origin) if is_typed_dict else None
    key_type, value_type = _argument(arguments, 0), _argument(arguments, 1)
    converted = {}
    for key, item in value.items():
        if key_type:
            try:
                key = _to_key(key_type, key, custom_converters)
            except Exception as error:
                raise TypeError(f"Failed converting key {key!r} to type {key_type} in mapping {hint}") from error
        item_type = types_by_key.get(key) if types_by_key else value_type
        if item_type:
            try:
                item = value_to_type(item_type, item, custom_converters)
            except Exception as error:
                raise TypeError(f"Failed converting value for key {key!r} in mapping {hint}") from error
        converted[key] = item
    return hint(**converted) if types_by_key else converted


def _to_key(key_type: Any, key: Any, custom_converters: Sequence[JSONTypeConverter]) -> Any:
    """JSON writes every key as a string: what it was before is what the hint says."""
    if isinstance(key, str):
        if key_type is int or key_type is float:
            key = key_type(key)
        elif inspect.isclass(key_type) and issubclass(key_type, Enum) and issubclass(key_type, int):
            key = int(key)
        elif key_type is bool:
            key = {"true": True, "false": False}[key]
        elif key_type is type(None):
            key = {"null": None}[key]
    if isinstance(key_type, type) and isinstance(key, key_type):
        return key
    return value_to_type(key_type, key, custom_converters)


def _to_dataclass(hint: Any, value: Any, custom_converters: Sequence[JSONTypeConverter]) -> Any:
    """Fields that are unknown are left out; one that is missing is for the dataclass itself to refuse."""
    if not isinstance(value, dict):
        raise TypeError(f"Cannot convert to dataclass {hint}, value is {type(value)} not dict")
    hints = _hints(hint)
    given: dict[bool, dict[str, Any]] = {True: {}, False: {}}
    for field in dataclasses.fields(hint):
        if field.name in value:
            try:
                converted = value_to_type(hints[field.name], value[field.name], custom_converters)
            except Exception as error:
                raise TypeError(f"Failed converting field {field.name} on dataclass {hint}") from error
            given[field.init][field.name] = converted
    made = hint(**given[True])
    for name, converted in given[False].items():
        object.__setattr__(made, name, converted)  # also where it is frozen
    return made


def _to_iterable(
    hint: Any, origin: Any, arguments: tuple, value: Any, custom_converters: Sequence[JSONTypeConverter]
) -> Any:
    if not isinstance(value, collections.abc.Iterable):
        raise TypeError(f"Expected {hint}, value was {type(value)}")
    items = list(value)
    untyped = not arguments or (
        len(arguments) == 1 and (isinstance(arguments[0], TypeVar) or arguments[0] is Ellipsis)
    )
    if not untyped:
        for index, item in enumerate(items):
            item_type = _item_type(hint, origin, arguments, index)
            try:
                items[index] = value_to_type(item_type, item, custom_converters)
            except Exception as error:
                raise TypeError(f"Failed converting {hint} index {index}") from error
    made_of = origin if origin in (tuple, set, frozenset, collections.deque) else None
    return made_of(items) if made_of else items


def _item_type(hint: Any, origin: Any, arguments: tuple, index: int) -> Any:
    if origin is not tuple:
        return arguments[0]
    if index < len(arguments) and arguments[index] is not Ellipsis:
        return arguments[index]
    if arguments[-1] is Ellipsis:
        return arguments[-2]
    raise TypeError(f"Type {hint} only expecting {len(arguments)} values, got at least {index + 1}")


@functools.cache
def _hints(of: Any) -> dict[str, Any]:
    return get_type_hints(of)
