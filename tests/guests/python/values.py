"""Values of many types, to cross the wire."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Literal, NewType, Optional, TypedDict


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Address(TypedDict):
    street: str
    number: int


UserId = NewType("UserId", str)


@dataclass
class Box:
    colour: Colour
    size: Size
    made: datetime
    id: uuid.UUID
    owner: UserId
    address: Address
    kind: Literal["round", "square"]
    inner: Optional["Box"] = None
    tags: set[str] = field(default_factory=set)
    pair: tuple[int, str] = (0, "")
    by_number: dict[int, list[float]] = field(default_factory=dict)
    anything: Any = None
    data: bytes | None = None
