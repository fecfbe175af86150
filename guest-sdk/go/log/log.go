// Package log has the interfaces of loggers.
package log

// Logger writes lines with named values: a key, its value, and so on.
type Logger interface {
	Debug(msg string, keyvals ...interface{})
	Info(msg string, keyvals ...interface{})
	Warn(msg string, keyvals ...interface{})
	Error(msg string, keyvals ...interface{})
}

// WithLogger is a logger that can be given values for all its lines.
type WithLogger interface {
	With(keyvals ...interface{}) Logger
}

// With gives a logger that adds these values to each line.
func With(logger Logger, keyvals ...interface{}) Logger {
	if with, ok := logger.(WithLogger); ok {
		return with.With(keyvals...)
	}
	return withFields{logger, keyvals}
}

type withFields struct {
	logger  Logger
	keyvals []interface{}
}

func (l withFields) all(keyvals []interface{}) []interface{} {
	return append(append([]interface{}(nil), l.keyvals...), keyvals...)
}

func (l withFields) Debug(msg string, keyvals ...interface{}) { l.logger.Debug(msg, l.all(keyvals)...) }
func (l withFields) Info(msg string, keyvals ...interface{})  { l.logger.Info(msg, l.all(keyvals)...) }
func (l withFields) Warn(msg string, keyvals ...interface{})  { l.logger.Warn(msg, l.all(keyvals)...) }
func (l withFields) Error(msg string, keyvals ...interface{}) { l.logger.Error(msg, l.all(keyvals)...) }
