// Package temporal has what workflows and activities share: errors, retry policies, search attributes.
package temporal

import (
	"errors"

	enumspb "go.temporal.io/api/enums/v1"

	"go.temporal.io/sdk/internal"
)

type (
	// RetryPolicy says when and how often to try again.
	RetryPolicy = internal.RetryPolicy
	// Priority is accepted and not observed.
	Priority = internal.Priority

	// ApplicationError is a failure of somebody's code, with a type that callers and retry policies tell it by.
	ApplicationError = internal.ApplicationError
	// ApplicationErrorOptions are the options of NewApplicationErrorWithOptions.
	ApplicationErrorOptions = internal.ApplicationErrorOptions
	// ApplicationErrorCategory is accepted and not observed.
	ApplicationErrorCategory = internal.ApplicationErrorCategory
	// CanceledError says that something was canceled.
	CanceledError = internal.CanceledError
	// TimeoutError says that one of the timeouts passed.
	TimeoutError = internal.TimeoutError
	// TerminatedError says that a workflow was stopped without being asked.
	TerminatedError = internal.TerminatedError
	// ServerError says that the server could not do it.
	ServerError = internal.ServerError
	// PanicError is a panic of somebody's code, where it is told as an error.
	PanicError = internal.PanicError
	// ActivityError says that an activity failed; its cause says why.
	ActivityError = internal.ActivityError
	// ChildWorkflowExecutionError says that a child workflow failed; its cause says why.
	ChildWorkflowExecutionError = internal.ChildWorkflowExecutionError
	// ChildWorkflowExecutionAlreadyStartedError says that a workflow with the child's id was in the way.
	ChildWorkflowExecutionAlreadyStartedError = internal.ChildWorkflowExecutionAlreadyStartedError
	// UnknownExternalWorkflowExecutionError says that there is no such workflow that runs.
	UnknownExternalWorkflowExecutionError = internal.UnknownExternalWorkflowExecutionError
)

const (
	// ApplicationErrorCategoryUnspecified is the category of errors that are given none.
	ApplicationErrorCategoryUnspecified ApplicationErrorCategory = iota
	// ApplicationErrorCategoryBenign is that of errors which nobody needs to look at.
	ApplicationErrorCategoryBenign
)

var (
	// ErrCanceled is what a canceled context gives.
	ErrCanceled = internal.ErrCanceled
	// ErrNoData says that there is nothing to read.
	ErrNoData = internal.ErrNoData
	// ErrTooManyArg says that more was asked for than there is.
	ErrTooManyArg = internal.ErrTooManyArg
)

// NewApplicationError makes a retryable error.
func NewApplicationError(msg, errType string, details ...interface{}) error {
	return internal.NewApplicationError(msg, errType, ApplicationErrorOptions{Details: details})
}

// NewApplicationErrorWithCause makes a retryable error that something caused.
func NewApplicationErrorWithCause(msg, errType string, cause error, details ...interface{}) error {
	return internal.NewApplicationError(msg, errType, ApplicationErrorOptions{Cause: cause, Details: details})
}

// NewNonRetryableApplicationError makes an error after which trying again is useless.
func NewNonRetryableApplicationError(msg, errType string, cause error, details ...interface{}) error {
	return internal.NewApplicationError(msg, errType, ApplicationErrorOptions{NonRetryable: true, Cause: cause, Details: details})
}

// NewApplicationErrorWithOptions makes an error.
func NewApplicationErrorWithOptions(msg, errType string, options ApplicationErrorOptions) error {
	return internal.NewApplicationError(msg, errType, options)
}

// NewCanceledError makes a cancellation with details for whoever asked.
func NewCanceledError(details ...interface{}) error { return internal.NewCanceledError(details...) }

// NewTimeoutError makes a timeout.
func NewTimeoutError(timeoutType enumspb.TimeoutType, cause error, details ...interface{}) error {
	return internal.NewTimeoutError("timeout", timeoutType, details...)
}

// NewHeartbeatTimeoutError makes a timeout of a heartbeat.
func NewHeartbeatTimeoutError(details ...interface{}) error {
	return internal.NewTimeoutError("heartbeat timeout", enumspb.TIMEOUT_TYPE_HEARTBEAT, details...)
}

func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// IsCanceledError says whether a cancellation is the error or among its causes.
func IsCanceledError(err error) bool { return is[*CanceledError](err) }

// IsApplicationError says whether an application error is the error or among its causes.
func IsApplicationError(err error) bool { return is[*ApplicationError](err) }

// IsTimeoutError says whether a timeout is the error or among its causes.
func IsTimeoutError(err error) bool { return is[*TimeoutError](err) }

// IsTerminatedError says whether a termination is the error or among its causes.
func IsTerminatedError(err error) bool { return is[*TerminatedError](err) }

// IsPanicError says whether a panic is the error or among its causes.
func IsPanicError(err error) bool { return is[*PanicError](err) }

// IsWorkflowExecutionAlreadyStartedError says whether a workflow with a child's id was in the way.
func IsWorkflowExecutionAlreadyStartedError(err error) bool {
	return is[*ChildWorkflowExecutionAlreadyStartedError](err)
}
