"""What workflows, activities and clients have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, get_origin

from .api.common.v1 import Payload

_UNSET: Any = object()


@dataclass
class RetryPolicy:
    """When and how often something that failed is tried again."""

    initial_interval: timedelta = timedelta(seconds=1)
    backoff_coefficient: float = 2.0
    maximum_interval: timedelta | None = None
    maximum_attempts: int = 0
    non_retryable_error_types: Sequence[str] | None = None

    def _validate(self) -> None:
        if self.maximum_attempts == 1:
            return  # nothing is retried, so nothing else matters
        if self.initial_interval < timedelta(0):
            raise ValueError("Initial interval cannot be negative")
        if self.backoff_coefficient < 1:
            raise ValueError("Backoff coefficient cannot be less than 1")
        if self.maximum_interval:
            if self.maximum_interval < timedelta(0):
                raise ValueError("Maximum interval cannot be negative")
            if self.maximum_interval < self.initial_interval:
                raise ValueError("Maximum interval cannot be less than initial interval")
        if self.maximum_attempts < 0:
            raise ValueError("Maximum attempts cannot be negative")


class WorkflowIDReusePolicy(IntEnum):
    ALLOW_DUPLICATE = 1
    ALLOW_DUPLICATE_FAILED_ONLY = 2
    REJECT_DUPLICATE = 3
    TERMINATE_IF_RUNNING = 4


class WorkflowIDConflictPolicy(IntEnum):
    UNSPECIFIED = 0
    FAIL = 1
    USE_EXISTING = 2
    TERMINATE_EXISTING = 3


class QueryRejectCondition(IntEnum):
    NONE = 1
    NOT_OPEN = 2
    NOT_COMPLETED_CLEANLY = 3


class VersioningBehavior(IntEnum):
    UNSPECIFIED = 0
    PINNED = 1
    AUTO_UPGRADE = 2


@dataclass(frozen=True)
class RawValue:
    """A value that is not converted: a payload as it is."""

    payload: Payload


@dataclass(frozen=True)
class Priority:
    """The order among tasks that wait."""

    priority_key: int | None = None
    fairness_key: str | None = None
    fairness_weight: float | None = None
    default: ClassVar[Priority]

    def __post_init__(self) -> None:
        if self.priority_key is not None:
            if not isinstance(self.priority_key, int):
                raise TypeError("priority_key must be an integer")
            if self.priority_key < 1:
                raise ValueError("priority_key must be a positive integer")


Priority.default = Priority()


@dataclass(frozen=True)
class WorkerDeploymentVersion:
    deployment_name: str
    build_id: str

    def to_canonical_string(self) -> str:
        return f"{self.deployment_name}.{self.build_id}"


# Search attributes.

SearchAttributeValue = str | int | float | bool | datetime | Sequence[str]
SearchAttributeValues = list[str] | list[int] | list[float] | list[bool] | list[datetime]
SearchAttributes = Mapping[str, SearchAttributeValues]
SearchAttributeValueType = TypeVar("SearchAttributeValueType", str, int, float, bool, datetime, Sequence[str])


class SearchAttributeIndexedValueType(IntEnum):
    TEXT = 1
    KEYWORD = 2
    INT = 3
    DOUBLE = 4
    BOOL = 5
    DATETIME = 6
    KEYWORD_LIST = 7


# As the metadata `type` of a payload names them.
_METADATA_TYPES = {
    SearchAttributeIndexedValueType.TEXT: ("Text", str),
    SearchAttributeIndexedValueType.KEYWORD: ("Keyword", str),
    SearchAttributeIndexedValueType.INT: ("Int", int),
    SearchAttributeIndexedValueType.DOUBLE: ("Double", float),
    SearchAttributeIndexedValueType.BOOL: ("Bool", bool),
    SearchAttributeIndexedValueType.DATETIME: ("Datetime", datetime),
    SearchAttributeIndexedValueType.KEYWORD_LIST: ("KeywordList", Sequence[str]),
}


@dataclass(frozen=True)
class SearchAttributeKey(Generic[SearchAttributeValueType]):
    """A search attribute's name and type."""

    name: str
    indexed_value_type: SearchAttributeIndexedValueType

    @property
    def value_type(self) -> Any:
        return _METADATA_TYPES[self.indexed_value_type][1]

    @property
    def origin_value_type(self) -> type:
        return get_origin(self.value_type) or self.value_type

    @property
    def _metadata_type(self) -> str:
        return _METADATA_TYPES[self.indexed_value_type][0]

    def value_set(self, value: SearchAttributeValueType) -> SearchAttributeUpdate[SearchAttributeValueType]:
        return SearchAttributeUpdate(self, value)

    def value_unset(self) -> SearchAttributeUpdate[SearchAttributeValueType]:
        return SearchAttributeUpdate(self, None)

    @staticmethod
    def for_text(name: str) -> SearchAttributeKey[str]:
        return SearchAttributeKey(name, SearchAttributeIndexedValueType.TEXT)

    @staticmethod
    def for_keyword(name: str) -> SearchAttributeKey[str]:
        return SearchAttributeKey(name, SearchAttributeIndexedValueType.KEYWORD)

    @staticmethod
    def for_int(name: str) -> SearchAttributeKey[int]:
        return SearchAttributeKey(name, SearchAttributeIndexedValueType.INT)

    @staticmethod
    def for_float(name: str) -> SearchAttributeKey[float]:
        return SearchAttributeKey(name, SearchAttributeIndexedValueType.DOUBLE)

    @staticmethod
    def for_bool(name: str) -> SearchAttributeKey[bool]:
        return SearchAttributeKey(name, SearchAttributeIndexedValueType.BOOL)

    @staticmethod
    def for_datetime(name: str) -> SearchAttributeKey[datetime]:
        return SearchAttributeKey(name, SearchAttributeIndexedValueType.DATETIME)

    @staticmethod
    def for_keyword_list(name: str) -> SearchAttributeKey[Sequence[str]]:
        return SearchAttributeKey(name, SearchAttributeIndexedValueType.KEYWORD_LIST)

    @staticmethod
    def _from_metadata_type(name: str, metadata_type: str) -> SearchAttributeKey | None:
        for indexed, (word, _) in _METADATA_TYPES.items():
            if metadata_type in (word, f"INDEXED_VALUE_TYPE_{indexed.name}"):
                return SearchAttributeKey(name, indexed)
        return None


class SearchAttributePair(NamedTuple):
    key: SearchAttributeKey
    value: Any


@dataclass(frozen=True)
class SearchAttributeUpdate(Generic[SearchAttributeValueType]):
    """A change of one search attribute. No value takes it away."""

    key: SearchAttributeKey[SearchAttributeValueType]
    value: SearchAttributeValueType | None


@dataclass(frozen=True)
class TypedSearchAttributes(Collection[SearchAttributePair]):
    """Search attributes by their typed keys, in the order of their names."""

    search_attributes: Sequence[SearchAttributePair] = field(default_factory=list)
    empty: ClassVar[TypedSearchAttributes]

    def __post_init__(self) -> None:
        ordered = sorted(self.search_attributes, key=lambda pair: pair.key.name)
        object.__setattr__(self, "search_attributes", ordered)
        for one, other in zip(ordered, ordered[1:]):
            if one.key.name == other.key.name:
                raise ValueError(f"Duplicate search attribute entries found for key {one.key.name}")

    def __len__(self) -> int:
        return len(self.search_attributes)

    def __iter__(self) -> Iterator[SearchAttributePair]:
        return iter(self.search_attributes)

    def __contains__(self, key: object) -> bool:
        return any(pair.key == key for pair in self)

    def __getitem__(self, key: SearchAttributeKey) -> Any:
        value = self.get(key, _UNSET)
        if value is _UNSET:
            raise KeyError(key)
        return value

    def get(self, key: SearchAttributeKey, default: Any = None) -> Any:
        return next((pair.value for pair in self if pair.key == key), default)

    def updated(self, *search_attributes: SearchAttributePair) -> TypedSearchAttributes:
        replaced = {pair.key.name for pair in search_attributes}
        kept = [pair for pair in self if pair.key.name not in replaced]
        return TypedSearchAttributes([*kept, *search_attributes])


TypedSearchAttributes.empty = TypedSearchAttributes()


# Metrics: a workflow in the sandbox has none of its own, so what is recorded goes nowhere.


class MetricCommon:
    def __init__(self, name: str, description: str | None = None, unit: str | None = None) -> None:
        self.name, self.description, self.unit = name, description, unit

    def with_additional_attributes(self, additional_attributes: Mapping[str, Any]):
        return self


class MetricCounter(MetricCommon):
    def add(self, value: int, additional_attributes: Mapping[str, Any] | None = None) -> None: ...


class MetricHistogram(MetricCommon):
    def record(self, value: Any, additional_attributes: Mapping[str, Any] | None = None) -> None: ...


class MetricGauge(MetricCommon):
    def set(self, value: Any, additional_attributes: Mapping[str, Any] | None = None) -> None: ...


MetricHistogramFloat = MetricHistogramTimedelta = MetricHistogram
MetricGaugeFloat = MetricGauge


class MetricMeter:
    noop: ClassVar[MetricMeter]

    def create_counter(self, name: str, description: str | None = None, unit: str | None = None) -> MetricCounter:
        return MetricCounter(name, description, unit)

    def create_histogram(self, name: str, description: str | None = None, unit: str | None = None) -> MetricHistogram:
        return MetricHistogram(name, description, unit)

    def create_gauge(self, name: str, description: str | None = None, unit: str | None = None) -> MetricGauge:
        return MetricGauge(name, description, unit)

    create_histogram_float = create_histogram_timedelta = create_histogram
    create_gauge_float = create_gauge

    def with_additional_attributes(self, additional_attributes: Mapping[str, Any]) -> MetricMeter:
        return self


MetricMeter.noop = MetricMeter()


def _arg_or_args(arg: Any, args: Sequence[Any]) -> Sequence[Any]:
    if arg is _UNSET:
        return args
    if args:
        raise ValueError("Cannot have arg and args")
    return [arg]
