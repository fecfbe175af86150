package internal

import (
	"time"

	enumspb "go.temporal.io/api/enums/v1"
)

// AnyKey is a key of any type; temporal.SearchAttributeKey.
type AnyKey interface {
	GetName() string
	GetValueType() enumspb.IndexedValueType
}

type typedKey[T any] struct{ key SearchAttributeKey }

// newTypedKey gives a key of this type.
func newTypedKey[T any](name string, kind enumspb.IndexedValueType) typedKey[T] {
	return typedKey[T]{SearchAttributeKey{Name: name, Type: kind}}
}

// GetName is its name.
func (k typedKey[T]) GetName() string { return k.key.Name }

// GetValueType is its type.
func (k typedKey[T]) GetValueType() enumspb.IndexedValueType { return k.key.Type }

// ValueSet sets the attribute.
func (k typedKey[T]) ValueSet(value T) SearchAttributeUpdate {
	return SearchAttributeUpdate{Key: k.key, Value: value}
}

// ValueUnset unsets the attribute.
func (k typedKey[T]) ValueUnset() SearchAttributeUpdate { return SearchAttributeUpdate{Key: k.key} }

func get[T any](s SearchAttributes, k typedKey[T]) (T, bool) {
	value, ok := s.values[k.key].(T)
	return value, ok
}

// ContainsKey says whether the attribute is set.
func (s SearchAttributes) ContainsKey(key AnyKey) bool {
	_, ok := s.values[SearchAttributeKey{key.GetName(), key.GetValueType()}]
	return ok
}

// StringKey is the key of an attribute of the type Text.
type StringKey struct{ typedKey[string] }

// NewStringKey gives one.
func NewStringKey(name string) StringKey {
	return StringKey{newTypedKey[string](name, enumspb.INDEXED_VALUE_TYPE_TEXT)}
}

// GetString gives the value of an attribute of the type Text.
func (s SearchAttributes) GetString(key StringKey) (string, bool) { return get(s, key.typedKey) }

// KeywordKey is the key of an attribute of the type Keyword.
type KeywordKey struct{ typedKey[string] }

// NewKeywordKey gives one.
func NewKeywordKey(name string) KeywordKey {
	return KeywordKey{newTypedKey[string](name, enumspb.INDEXED_VALUE_TYPE_KEYWORD)}
}

// GetKeyword gives the value of an attribute of the type Keyword.
func (s SearchAttributes) GetKeyword(key KeywordKey) (string, bool) { return get(s, key.typedKey) }

// Int64Key is the key of an attribute of the type Int.
type Int64Key struct{ typedKey[int64] }

// NewInt64Key gives one.
func NewInt64Key(name string) Int64Key {
	return Int64Key{newTypedKey[int64](name, enumspb.INDEXED_VALUE_TYPE_INT)}
}

// GetInt64 gives the value of an attribute of the type Int.
func (s SearchAttributes) GetInt64(key Int64Key) (int64, bool) { return get(s, key.typedKey) }

// Float64Key is the key of an attribute of the type Double.
type Float64Key struct{ typedKey[float64] }

// NewFloat64Key gives one.
func NewFloat64Key(name string) Float64Key {
	return Float64Key{newTypedKey[float64](name, enumspb.INDEXED_VALUE_TYPE_DOUBLE)}
}

// GetFloat64 gives the value of an attribute of the type Double.
func (s SearchAttributes) GetFloat64(key Float64Key) (float64, bool) { return get(s, key.typedKey) }

// BoolKey is the key of an attribute of the type Bool.
type BoolKey struct{ typedKey[bool] }

// NewBoolKey gives one.
func NewBoolKey(name string) BoolKey {
	return BoolKey{newTypedKey[bool](name, enumspb.INDEXED_VALUE_TYPE_BOOL)}
}

// GetBool gives the value of an attribute of the type Bool.
func (s SearchAttributes) GetBool(key BoolKey) (bool, bool) { return get(s, key.typedKey) }

// TimeKey is the key of an attribute of the type Datetime.
type TimeKey struct{ typedKey[time.Time] }

// NewTimeKey gives one.
func NewTimeKey(name string) TimeKey {
	return TimeKey{newTypedKey[time.Time](name, enumspb.INDEXED_VALUE_TYPE_DATETIME)}
}

// GetTime gives the value of an attribute of the type Datetime.
func (s SearchAttributes) GetTime(key TimeKey) (time.Time, bool) { return get(s, key.typedKey) }

// KeywordListKey is the key of an attribute of the type KeywordList.
type KeywordListKey struct{ typedKey[[]string] }

// NewKeywordListKey gives one.
func NewKeywordListKey(name string) KeywordListKey {
	return KeywordListKey{newTypedKey[[]string](name, enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST)}
}

// GetKeywordList gives the value of an attribute of the type KeywordList.
func (s SearchAttributes) GetKeywordList(key KeywordListKey) ([]string, bool) {
	return get(s, key.typedKey)
}
