"""Search attributes as the server has them: payloads with a type beside the value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.common import (
    SearchAttributeIndexedValueType,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)

from .wire import CONVERTER


def encode_value(key: SearchAttributeKey, value: Any) -> Payload:
    """Raises TypeError or ValueError where the value is not of the key's type."""
    if not isinstance(value, key.origin_value_type):
        raise TypeError(f"Value of type {value} not suitable for indexed value type {key.indexed_value_type}")
    if isinstance(value, datetime):
        value = _encoded_datetime(value)
    elif key.indexed_value_type == SearchAttributeIndexedValueType.KEYWORD_LIST:
        if not all(isinstance(item, str) for item in value):
            raise TypeError("All values of a keyword list must be strings")
    payload = CONVERTER.to_payload(value)
    payload.metadata["type"] = key._metadata_type.encode()
    return payload


def _encoded_datetime(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("Timezone must be present on all search attribute dates")
    return value.isoformat()


def encode_values(values: Any) -> Payload:
    """Values without a type, as the old form of attributes has them."""
    if not isinstance(values, list):
        raise TypeError("Search attribute values must be lists")
    return CONVERTER.to_payload([_encoded_datetime(it) if isinstance(it, datetime) else it for it in values])


def encode_all(attributes: TypedSearchAttributes | Mapping[str, Any] | None) -> dict[str, Payload] | None:
    if attributes is None:
        return None
    if isinstance(attributes, TypedSearchAttributes):
        return {pair.key.name: encode_value(pair.key, pair.value) for pair in attributes}
    return {name: encode_values(values) for name, values in attributes.items()}


def decode(fields: Mapping[str, Payload]) -> tuple[dict[str, Any], TypedSearchAttributes]:
    """By name, each a list; and typed. What has no type that is known is not among the typed."""
    untyped: dict[str, Any] = {}
    pairs: list[SearchAttributePair] = []
    for name, payload in fields.items():
        value = CONVERTER.from_payload(payload)
        values = value if isinstance(value, list) else [value]
        metadata_type = payload.metadata.get("type", b"").decode()
        key = SearchAttributeKey._from_metadata_type(name, metadata_type)
        if key is not None and key.indexed_value_type == SearchAttributeIndexedValueType.DATETIME:
            values = [datetime.fromisoformat(item) for item in values]
        untyped[name] = values
        if key is not None:
            pairs.extend(_typed(key, values))
    return untyped, TypedSearchAttributes(pairs)


def _typed(key: SearchAttributeKey, values: Sequence[Any]) -> list[SearchAttributePair]:
    if key.indexed_value_type == SearchAttributeIndexedValueType.KEYWORD_LIST:
        return [SearchAttributePair(key, list(values))]
    if len(values) != 1:
        return []
    [value] = values
    if key.indexed_value_type == SearchAttributeIndexedValueType.DOUBLE and type(value) is int:
        value = float(value)  # JSON has one kind of number
    return [SearchAttributePair(key, value)] if isinstance(value, key.origin_value_type) else []
