"""Values and payloads: JSON with type hints, bytes, and nothing at all.

A workflow in the sandbox always uses the default converter. The classes are here for code that asks for one, and for
workflows that hold raw values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..api.common.v1 import Payload, Payloads
from ..common import RawValue
from ._json import AdvancedJSONEncoder, JSONTypeConverter, JSONTypeConverterUnhandled, value_to_type

__all__ = [
    "AdvancedJSONEncoder",
    "BinaryNullPayloadConverter",
    "BinaryPlainPayloadConverter",
    "CompositePayloadConverter",
    "DataConverter",
    "DefaultFailureConverter",
    "DefaultPayloadConverter",
    "EncodingPayloadConverter",
    "FailureConverter",
    "JSONPlainPayloadConverter",
    "JSONProtoPayloadConverter",
    "JSONTypeConverter",
    "JSONTypeConverterUnhandled",
    "PayloadCodec",
    "PayloadConverter",
    "default",
    "value_to_type",
]


class PayloadConverter:
    """Makes payloads of values and the other way round."""

    default: ClassVar[PayloadConverter]

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        raise NotImplementedError

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        raise NotImplementedError

    def to_payloads_wrapper(self, values: Sequence[Any]) -> Payloads:
        return Payloads(self.to_payloads(values))

    def from_payloads_wrapper(self, payloads: Payloads | None) -> list[Any]:
        return self.from_payloads(payloads.payloads) if payloads and payloads.payloads else []

    def to_payload(self, value: Any) -> Payload:
        return self.to_payloads([value])[0]

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        return self.from_payloads([payload], [type_hint] if type_hint else None)[0]


class EncodingPayloadConverter:
    """A converter of one encoding."""

    @property
    def encoding(self) -> str:
        raise NotImplementedError

    def to_payload(self, value: Any) -> Payload | None:
        """None where this encoding is not for such a value."""
        raise NotImplementedError

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        raise NotImplementedError


class CompositePayloadConverter(PayloadConverter):
    """Asks one converter after the other."""

    converters: Mapping[bytes, EncodingPayloadConverter]

    def __init__(self, *converters: EncodingPayloadConverter) -> None:
        self.converters = {converter.encoding.encode(): converter for converter in converters}

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        return [self._to_payload(value) for value in values]

    def _to_payload(self, value: Any) -> Payload:
        if isinstance(value, RawValue):
            return value.payload
        for converter in self.converters.values():
            payload = converter.to_payload(value)
            if payload is not None:
                return payload
        raise RuntimeError(f"Value of type {type(value)} has no known converter")

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        values = []
        for index, payload in enumerate(payloads):
            hint = type_hints[index] if type_hints and len(type_hints) > index else None
            if hint is RawValue:
                values.append(RawValue(payload))
                continue
            encoding = payload.metadata.get("encoding", b"<unknown>")
            converter = self.converters.get(encoding)
            if converter is None:
                raise KeyError(f"Unknown payload encoding {encoding.decode()}")
            try:
                values.append(converter.from_payload(payload, hint))
            except RuntimeError as error:
                raise RuntimeError(
                    f"Payload at index {index} with encoding {encoding.decode()} could not be converted"
                ) from error
        return values


class BinaryNullPayloadConverter(EncodingPayloadConverter):
    """None, as `binary/null` without data."""

    encoding = "binary/null"

    def to_payload(self, value: Any) -> Payload | None:
        return Payload({"encoding": b"binary/null"}) if value is None else None

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        if payload.data:
            raise RuntimeError("Expected empty data set for binary/null")
        return None


class BinaryPlainPayloadConverter(EncodingPayloadConverter):
    """Bytes."""

    encoding = "binary/plain"

    def to_payload(self, value: Any) -> Payload | None:
        return Payload({"encoding": b"binary/plain"}, value) if isinstance(value, bytes) else None

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        return payload.data


class JSONPlainPayloadConverter(EncodingPayloadConverter):
    """Everything else, as JSON, read with type hints."""

    def __init__(
        self,
        *,
        encoder: type[json.JSONEncoder] | None = AdvancedJSONEncoder,
        decoder: type[json.JSONDecoder] | None = None,
        encoding: str = "json/plain",
        custom_type_converters: Sequence[JSONTypeConverter] = (),
    ) -> None:
        self._encoder = (encoder or json.JSONEncoder)(separators=(",", ":"), sort_keys=True)
        self._decoder = decoder
        self._encoding = encoding
        self._metadata = encoding.encode()
        self._custom_type_converters = custom_type_converters

    @property
    def encoding(self) -> str:
        return self._encoding

    def to_payload(self, value: Any) -> Payload | None:
        return Payload({"encoding": self._metadata}, self._encoder.encode(value).encode())

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        try:
            value = json.loads(payload.data, cls=self._decoder)
        except json.JSONDecodeError as error:
            raise RuntimeError("Failed parsing") from error
        return value_to_type(type_hint, value, self._custom_type_converters) if type_hint else value


class JSONProtoPayloadConverter(EncodingPayloadConverter):
    """Protobuf messages as JSON: there is no protobuf here, so they are read as the JSON that they are."""

    encoding = "json/protobuf"

    def __init__(self, ignore_unknown_fields: bool = False) -> None: ...

    def to_payload(self, value: Any) -> Payload | None:
        return None

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        return JSONPlainPayloadConverter().from_payload(payload, type_hint)


class DefaultPayloadConverter(CompositePayloadConverter):
    default_encoding_payload_converters: ClassVar[tuple[EncodingPayloadConverter, ...]] = (
        BinaryNullPayloadConverter(),
        BinaryPlainPayloadConverter(),
        JSONProtoPayloadConverter(),
        # Last, because it is for every type, and fails where it cannot.
        JSONPlainPayloadConverter(),
    )

    def __init__(self) -> None:
        super().__init__(*self.default_encoding_payload_converters)


PayloadConverter.default = DefaultPayloadConverter()


class PayloadCodec:
    """Encryption and compression of payloads: work of the server's surroundings, and not done in the sandbox."""


class FailureConverter:
    """Failures are converted by `mainspring_guest.failures`; there is no other way."""

    default: ClassVar[FailureConverter]


class DefaultFailureConverter(FailureConverter): ...


FailureConverter.default = DefaultFailureConverter()


@dataclass(frozen=True)
class DataConverter:
    payload_converter_class: type[PayloadConverter] = DefaultPayloadConverter
    payload_codec: PayloadCodec | None = None
    failure_converter_class: type[FailureConverter] = DefaultFailureConverter
    payload_converter: PayloadConverter = field(init=False)
    default: ClassVar[DataConverter]

    def __post_init__(self) -> None:
        object.__setattr__(self, "payload_converter", self.payload_converter_class())


DataConverter.default = DataConverter()


def default() -> DataConverter:
    return DataConverter.default
