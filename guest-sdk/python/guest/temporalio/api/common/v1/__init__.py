"""`Payload` and `Payloads`: values on the wire, as workflows with raw values or converters of their own meet them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Payload:
    """A value on the wire."""

    __slots__ = ("data", "metadata")

    def __init__(self, metadata: Mapping[str, bytes] | None = None, data: bytes = b"") -> None:
        self.metadata: dict[str, bytes] = dict(metadata or {})
        self.data = bytes(data)

    def CopyFrom(self, other: Payload) -> None:  # the name that protobuf gives it
        self.metadata, self.data = dict(other.metadata), other.data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and (self.metadata, self.data) == (other.metadata, other.data)

    __hash__ = None

    def __repr__(self) -> str:
        return f"Payload(metadata={self.metadata!r}, data={self.data!r})"


class Payloads:
    """A list of values on the wire."""

    __slots__ = ("payloads",)

    def __init__(self, payloads: Iterable[Payload] = ()) -> None:
        self.payloads = list(payloads)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payloads) and self.payloads == other.payloads

    __hash__ = None

    def __repr__(self) -> str:
        return f"Payloads({self.payloads!r})"
