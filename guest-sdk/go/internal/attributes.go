package internal

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"go.temporal.io/sdk/internal/host"
)

// SearchAttributes are typed values that runs can be found by; temporal.SearchAttributes.
type SearchAttributes struct{ values map[SearchAttributeKey]any }

// SearchAttributeKey is a name and a type.
type SearchAttributeKey struct {
	Name string
	Type enumspb.IndexedValueType
}

// SearchAttributeUpdate sets or unsets an attribute.
type SearchAttributeUpdate struct {
	Key SearchAttributeKey
	// nil unsets.
	Value any
}

// NewSearchAttributes applies updates to none.
func NewSearchAttributes(updates ...SearchAttributeUpdate) SearchAttributes {
	s := SearchAttributes{make(map[SearchAttributeKey]any)}
	for _, update := range updates {
		s.apply(update)
	}
	return s
}

func (s SearchAttributes) apply(update SearchAttributeUpdate) {
	if update.Value == nil {
		delete(s.values, update.Key)
	} else {
		s.values[update.Key] = update.Value
	}
}

// Size is how many there are.
func (s SearchAttributes) Size() int { return len(s.values) }

func attributePayload(key SearchAttributeKey, value any) (host.Payload, error) {
	if t, ok := value.(time.Time); ok {
		value = t.UTC().Format(time.RFC3339Nano)
	}
	payload, err := encode(value)
	payload.Metadata = append(payload.Metadata, host.Entry{Key: "type", Value: []byte(key.Type.String())})
	return payload, err
}

// kindOf is the type that a plain Go value has as a search attribute.
func kindOf(value any) (enumspb.IndexedValueType, error) {
	switch value.(type) {
	case string:
		return enumspb.INDEXED_VALUE_TYPE_KEYWORD, nil
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return enumspb.INDEXED_VALUE_TYPE_INT, nil
	case float32, float64:
		return enumspb.INDEXED_VALUE_TYPE_DOUBLE, nil
	case bool:
		return enumspb.INDEXED_VALUE_TYPE_BOOL, nil
	case time.Time:
		return enumspb.INDEXED_VALUE_TYPE_DATETIME, nil
	case []string:
		return enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST, nil
	}
	return 0, fmt.Errorf("a %T is no search attribute", value)
}

func attributeFields(plain map[string]any, typed SearchAttributes) ([]host.Field, error) {
	payloads := make(map[string]host.Payload)
	for name, value := range plain {
		kind, err := kindOf(value)
		if err != nil {
			return nil, fmt.Errorf("search attribute %s: %w", name, err)
		}
		if payloads[name], err = attributePayload(SearchAttributeKey{name, kind}, value); err != nil {
			return nil, fmt.Errorf("search attribute %s: %w", name, err)
		}
	}
	for key, value := range typed.values {
		payload, err := attributePayload(key, value)
		if err != nil {
			return nil, fmt.Errorf("search attribute %s: %w", key.Name, err)
		}
		payloads[key.Name] = payload
	}
	var fields []host.Field
	for _, name := range sortedKeys(payloads) {
		payload := payloads[name]
		fields = append(fields, host.Field{Key: name, Value: &payload})
	}
	return fields, nil
}

func memoFields(memo map[string]any) ([]host.Field, error) {
	var fields []host.Field
	for _, key := range sortedKeys(memo) {
		payload, err := encode(memo[key])
		if err != nil {
			return nil, fmt.Errorf("memo %s: %w", key, err)
		}
		fields = append(fields, host.Field{Key: key, Value: &payload})
	}
	return fields, nil
}

// UpsertMemo changes the run's memo; a nil takes a note out.
func UpsertMemo(_ Context, memo map[string]any) error {
	r := current()
	fields, err := memoFields(memo)
	if err != nil {
		return err
	}
	for i := range fields {
		if memo[fields[i].Key] == nil {
			fields[i].Value = nil
		}
	}
	if r.command("change the memo") {
		r.host.UpsertMemo(fields)
	}
	for _, field := range fields {
		r.memo[field.Key] = field.Value
	}
	return nil
}

// UpsertSearchAttributes changes the run's search attributes by plain values; a string is a Keyword.
func UpsertSearchAttributes(_ Context, attributes map[string]any) error {
	fields, err := attributeFields(attributes, SearchAttributes{})
	if err != nil {
		return err
	}
	current().upsertAttributes(fields)
	return nil
}

// UpsertTypedSearchAttributes changes the run's search attributes.
func UpsertTypedSearchAttributes(_ Context, updates ...SearchAttributeUpdate) error {
	last := make(map[string]SearchAttributeUpdate)
	for _, update := range updates {
		last[update.Key.Name] = update
	}
	var fields []host.Field
	for _, name := range sortedKeys(last) {
		field := host.Field{Key: name}
		if update := last[name]; update.Value != nil {
			payload, err := attributePayload(update.Key, update.Value)
			if err != nil {
				return fmt.Errorf("search attribute %s: %w", name, err)
			}
			field.Value = &payload
		}
		fields = append(fields, field)
	}
	current().upsertAttributes(fields)
	return nil
}

func (r *run) upsertAttributes(fields []host.Field) {
	if r.command("change the search attributes") {
		r.host.UpsertSearchAttributes(fields)
	}
	for _, field := range fields {
		r.searchAttributes[field.Key] = field.Value
	}
}

// GetTypedSearchAttributes are the run's search attributes of now.
func GetTypedSearchAttributes(Context) SearchAttributes {
	r := current()
	all := make(map[string]*host.Payload)
	for _, field := range r.info.SearchAttributes {
		all[field.Key] = field.Value
	}
	for name, payload := range r.searchAttributes {
		all[name] = payload
	}
	attributes := NewSearchAttributes()
	for name, payload := range all {
		if payload == nil {
			continue
		}
		if key, value, ok := readAttribute(name, *payload); ok {
			attributes.values[key] = value
		}
	}
	return attributes
}

func readAttribute(name string, p host.Payload) (key SearchAttributeKey, value any, ok bool) {
	key.Name = name
	var err error
	switch kind := metadata(p, "type"); kind {
	case "Text", "Keyword":
		key.Type = enumspb.INDEXED_VALUE_TYPE_TEXT
		if kind == "Keyword" {
			key.Type = enumspb.INDEXED_VALUE_TYPE_KEYWORD
		}
		value, err = read[string](p)
	case "Int":
		key.Type = enumspb.INDEXED_VALUE_TYPE_INT
		value, err = read[int64](p)
	case "Double":
		key.Type = enumspb.INDEXED_VALUE_TYPE_DOUBLE
		value, err = read[float64](p)
	case "Bool":
		key.Type = enumspb.INDEXED_VALUE_TYPE_BOOL
		value, err = read[bool](p)
	case "Datetime":
		key.Type = enumspb.INDEXED_VALUE_TYPE_DATETIME
		value, err = read[time.Time](p)
	case "KeywordList":
		key.Type = enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST
		value, err = read[[]string](p)
	default:
		return key, nil, false
	}
	return key, value, err == nil
}

func read[T any](p host.Payload) (T, error) {
	var value T
	err := decode(p, &value)
	return value, err
}
