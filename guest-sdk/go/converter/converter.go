// Package converter has the interfaces of values that have not been read yet.
package converter

// EncodedValue is a value that has not been read yet.
type EncodedValue interface {
	HasValue() bool
	Get(valuePtr interface{}) error
}

// EncodedValues are values that have not been read yet.
type EncodedValues interface {
	HasValues() bool
	Get(valuePtr ...interface{}) error
}
