package internal

import (
	"encoding/json"
	"fmt"
	"reflect"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/internal/host"
)

// Encodings, as every Temporal SDK names them.
const (
	encodingKey       = "encoding"
	encodingNull      = "binary/null"
	encodingBinary    = "binary/plain"
	encodingJSON      = "json/plain"
	encodingJSONProto = "json/protobuf"
)

// conversionErrorType is the type of the failure where a payload cannot be read.
const conversionErrorType = "PayloadConversionError"

func newPayload(encoding string, data []byte) host.Payload {
	return host.Payload{Metadata: []host.Entry{{Key: encodingKey, Value: []byte(encoding)}}, Data: data}
}

// encode makes a payload of a value: nil, raw bytes, or whatever encoding/json takes.
func encode(value any) (host.Payload, error) {
	switch v := value.(type) {
	case nil:
		return newPayload(encodingNull, nil), nil
	case []byte:
		return newPayload(encodingBinary, v), nil
	case host.Payload:
		return v, nil
	case *EncodedValue:
		if v != nil && len(v.payloads) > 0 {
			return v.payloads[0], nil
		}
		return newPayload(encodingNull, nil), nil
	}
	if isNil(reflect.ValueOf(value)) {
		return newPayload(encodingNull, nil), nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return host.Payload{}, err
	}
	return newPayload(encodingJSON, data), nil
}

func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface, reflect.Func, reflect.Chan:
		return v.IsNil()
	}
	return false
}

func encodeAll(values []any) ([]host.Payload, error) {
	payloads := make([]host.Payload, len(values))
	for i, value := range values {
		payload, err := encode(value)
		if err != nil {
			return nil, fmt.Errorf("argument %d cannot be sent: %w", i+1, err)
		}
		payloads[i] = payload
	}
	return payloads, nil
}

func metadata(p host.Payload, key string) string {
	for _, entry := range p.Metadata {
		if entry.Key == key {
			return string(entry.Value)
		}
	}
	return ""
}

// decode reads a payload into what the pointer points to.
func decode(p host.Payload, pointer any) error {
	target := reflect.ValueOf(pointer)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("a value is read into a pointer, not into a %T", pointer)
	}
	target = target.Elem()
	switch encoding := metadata(p, encodingKey); encoding {
	case encodingJSON, encodingJSONProto:
		if _, raw := pointer.(*[]byte); raw && string(p.Data) != "null" && (len(p.Data) == 0 || p.Data[0] != '"') {
			return fmt.Errorf("it holds JSON, where raw bytes (%s) are expected", encodingBinary)
		}
		return json.Unmarshal(p.Data, pointer)
	case encodingNull:
		target.SetZero()
		return nil
	case encodingBinary:
		bytes := reflect.ValueOf(p.Data)
		if !bytes.Type().AssignableTo(target.Type()) {
			return fmt.Errorf("it holds raw bytes (%s); take it as []byte", encodingBinary)
		}
		target.Set(bytes)
		return nil
	default:
		return fmt.Errorf("its encoding %q is unknown", encoding)
	}
}

// decodeFirst reads the first of the payloads; what was not sent reads as null.
func decodeFirst(payloads []host.Payload, pointer any) error {
	if len(payloads) == 0 {
		return decode(newPayload(encodingNull, nil), pointer)
	}
	return decode(payloads[0], pointer)
}

// decodeArguments reads payloads as the parameters of a function, from the given one on. Too many are left alone.
func decodeArguments(payloads []host.Payload, function reflect.Type, from int) ([]reflect.Value, error) {
	var arguments []reflect.Value
	for i := from; i < function.NumIn(); i++ {
		argument := reflect.New(function.In(i))
		if index := i - from; index < len(payloads) {
			if err := decode(payloads[index], argument.Interface()); err != nil {
				return nil, conversionError(fmt.Errorf("argument %d: %w", index+1, err))
			}
		}
		arguments = append(arguments, argument.Elem())
	}
	return arguments, nil
}

func conversionError(cause error) error {
	return &ApplicationError{message: cause.Error(), errType: conversionErrorType, nonRetryable: true}
}

// EncodedValue is a value that has not been read yet: converter.EncodedValue.
type EncodedValue struct{ payloads []host.Payload }

// HasValue says whether there is one.
func (v *EncodedValue) HasValue() bool { return v != nil && len(v.payloads) > 0 }

// Get reads it.
func (v *EncodedValue) Get(valuePtr any) error {
	if !v.HasValue() {
		return ErrNoData
	}
	return decode(v.payloads[0], valuePtr)
}

// EncodedValues are values that have not been read yet: converter.EncodedValues.
type EncodedValues struct{ payloads []host.Payload }

// HasValues says whether there are any.
func (v *EncodedValues) HasValues() bool { return v != nil && len(v.payloads) > 0 }

// Get reads them, one into each pointer.
func (v *EncodedValues) Get(valuePtrs ...any) error {
	if !v.HasValues() {
		return ErrNoData
	}
	return decodeInto(v.payloads, valuePtrs)
}

func decodeInto(payloads []host.Payload, pointers []any) error {
	if len(pointers) > len(payloads) {
		return fmt.Errorf("%w: %d values are asked for, and there are %d", ErrTooManyArg, len(pointers), len(payloads))
	}
	for i, pointer := range pointers {
		if pointer == nil {
			continue
		}
		if err := decode(payloads[i], pointer); err != nil {
			return err
		}
	}
	return nil
}

// assign puts what a future or a channel holds into what the pointer points to. No pointer means that nobody wants it.
func assign(value, pointer any) error {
	if pointer == nil {
		return nil
	}
	if encoded, ok := value.(encodedPayloads); ok {
		// All arguments of a signal, where they are asked for.
		if all, ok := pointer.(*converter.EncodedValues); ok {
			*all = &EncodedValues{encoded}
			return nil
		}
		return decodeFirst(encoded, pointer)
	}
	target := reflect.ValueOf(pointer)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("a value is read into a pointer, not into a %T", pointer)
	}
	target = target.Elem()
	if value == nil {
		target.SetZero()
		return nil
	}
	source := reflect.ValueOf(value)
	if !source.Type().AssignableTo(target.Type()) {
		return fmt.Errorf("a %s is no %s", source.Type(), target.Type())
	}
	target.Set(source)
	return nil
}

// encodedPayloads is what a future or a channel holds that came from outside.
type encodedPayloads []host.Payload
