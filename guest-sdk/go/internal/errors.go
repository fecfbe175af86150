package internal

import (
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"

	"go.temporal.io/sdk/internal/host"
)

var (
	// ErrCanceled is what a canceled context gives.
	ErrCanceled = NewCanceledError()
	// ErrDeadlineExceeded is there so that code which names it compiles.
	ErrDeadlineExceeded = NewTimeoutError("deadline exceeded", enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE)
	// ErrNoData says that there is nothing to read.
	ErrNoData = errors.New("no data available")
	// ErrTooManyArg says that more was asked for than there is.
	ErrTooManyArg = errors.New("too many arguments")
)

// Origin is the failure that an error was made of, where it came from outside: it is passed on as it came.
type origin struct{ failure []host.Failure }

func (o origin) links() []host.Failure { return o.failure }

// ApplicationError is a failure of somebody's code, with a type that callers and retry policies tell it by.
type ApplicationError struct {
	origin
	message        string
	errType        string
	nonRetryable   bool
	nextRetryDelay time.Duration
	details        []host.Payload
	cause          error
}

// ApplicationErrorOptions are the options of NewApplicationErrorWithOptions.
type ApplicationErrorOptions struct {
	NonRetryable   bool
	Cause          error
	Details        []any
	NextRetryDelay time.Duration
	Category       ApplicationErrorCategory
}

// ApplicationErrorCategory is there so that code which names it compiles; nothing here depends on it.
type ApplicationErrorCategory int

// NewApplicationError makes an error from a message, a type and details.
func NewApplicationError(message, errType string, options ApplicationErrorOptions) error {
	return &ApplicationError{
		message:        message,
		errType:        errType,
		nonRetryable:   options.NonRetryable,
		nextRetryDelay: options.NextRetryDelay,
		details:        encodeDetails(options.Details),
		cause:          options.Cause,
	}
}

// encodeDetails replaces what cannot be sent by the reason: an error must not fail on the way.
func encodeDetails(details []any) []host.Payload {
	var payloads []host.Payload
	for _, detail := range details {
		payload, err := encode(detail)
		if err != nil {
			payload, _ = encode(fmt.Sprintf("it cannot be sent: %v", err))
		}
		payloads = append(payloads, payload)
	}
	return payloads
}

func withCause(text string, cause error) string {
	if cause != nil {
		return text + ": " + cause.Error()
	}
	return text
}

func (e *ApplicationError) Error() string {
	text := e.message
	if e.errType != "" {
		text = fmt.Sprintf("%s (type: %s, retryable: %t)", e.message, e.errType, !e.nonRetryable)
	}
	return withCause(text, e.cause)
}

// Message is the message alone.
func (e *ApplicationError) Message() string { return e.message }

// Type tells it from others.
func (e *ApplicationError) Type() string { return e.errType }

// NonRetryable says that trying again is useless.
func (e *ApplicationError) NonRetryable() bool { return e.nonRetryable }

// NextRetryDelay overrides the retry policy's next interval, unless it is 0.
func (e *ApplicationError) NextRetryDelay() time.Duration { return e.nextRetryDelay }

// HasDetails says whether there are values for whoever handles it.
func (e *ApplicationError) HasDetails() bool { return len(e.details) > 0 }

// Details reads them.
func (e *ApplicationError) Details(valuePtrs ...any) error {
	return (&EncodedValues{e.details}).Get(valuePtrs...)
}

func (e *ApplicationError) Unwrap() error { return e.cause }

// CanceledError says that something was canceled.
type CanceledError struct {
	origin
	details []host.Payload
}

// NewCanceledError makes one with details for whoever asked.
func NewCanceledError(details ...any) error {
	return &CanceledError{details: encodeDetails(details)}
}

func (e *CanceledError) Error() string { return "canceled" }

// HasDetails says whether there are values for whoever asked.
func (e *CanceledError) HasDetails() bool { return len(e.details) > 0 }

// Details reads them.
func (e *CanceledError) Details(valuePtrs ...any) error {
	return (&EncodedValues{e.details}).Get(valuePtrs...)
}

// Is makes every cancellation equal to ErrCanceled.
func (e *CanceledError) Is(other error) bool { return other == ErrCanceled }

// TimeoutError says that one of the timeouts passed.
type TimeoutError struct {
	origin
	message     string
	timeoutType enumspb.TimeoutType
	heartbeat   []host.Payload
	cause       error
}

// NewTimeoutError makes one.
func NewTimeoutError(message string, timeoutType enumspb.TimeoutType, lastHeartbeat ...any) error {
	return &TimeoutError{message: message, timeoutType: timeoutType, heartbeat: encodeDetails(lastHeartbeat)}
}

func (e *TimeoutError) Error() string {
	return withCause(fmt.Sprintf("%s (type: %s)", e.message, e.timeoutType), e.cause)
}

// Message is the message alone.
func (e *TimeoutError) Message() string { return e.message }

// TimeoutType says which timeout it was.
func (e *TimeoutError) TimeoutType() enumspb.TimeoutType { return e.timeoutType }

// HasLastHeartbeatDetails says whether the last heartbeat left anything.
func (e *TimeoutError) HasLastHeartbeatDetails() bool { return len(e.heartbeat) > 0 }

// LastHeartbeatDetails reads what it left.
func (e *TimeoutError) LastHeartbeatDetails(valuePtrs ...any) error {
	return (&EncodedValues{e.heartbeat}).Get(valuePtrs...)
}

func (e *TimeoutError) Unwrap() error { return e.cause }

// TerminatedError says that a workflow was stopped without being asked.
type TerminatedError struct{ origin }

func (e *TerminatedError) Error() string { return "terminated" }

// ServerError says that the server could not do it.
type ServerError struct {
	origin
	message      string
	nonRetryable bool
	cause        error
}

func (e *ServerError) Error() string { return withCause(e.message, e.cause) }

func (e *ServerError) Unwrap() error { return e.cause }

// PanicError is a panic of somebody's code, where it is told as an error.
type PanicError struct {
	value any
	stack string
}

func (e *PanicError) Error() string { return fmt.Sprint(e.value) }

// StackTrace says where it was.
func (e *PanicError) StackTrace() string { return e.stack }

// ActivityError says that an activity failed; its cause says why.
type ActivityError struct {
	origin
	subject host.Subject
	cause   error
}

func (e *ActivityError) Error() string {
	s := e.subject
	text := fmt.Sprintf("activity error (type: %s, scheduledEventID: %d, startedEventID: %d, identity: %s)",
		s.Type, s.FirstEventID, s.StartedEventID, s.Identity)
	return withCause(text, e.cause)
}

func (e *ActivityError) Unwrap() error { return e.cause }

// ScheduledEventID is the event by which the activity was scheduled.
func (e *ActivityError) ScheduledEventID() int64 { return int64(e.subject.FirstEventID) }

// StartedEventID is the event by which its last attempt began.
func (e *ActivityError) StartedEventID() int64 { return int64(e.subject.StartedEventID) }

// Identity is the worker's.
func (e *ActivityError) Identity() string { return e.subject.Identity }

// ActivityType names the activity.
func (e *ActivityError) ActivityType() *commonpb.ActivityType {
	return &commonpb.ActivityType{Name: e.subject.Type}
}

// ActivityID is unique among the run's open activities.
func (e *ActivityError) ActivityID() string { return e.subject.ActivityID }

// RetryState says why it was not tried again.
func (e *ActivityError) RetryState() enumspb.RetryState {
	return enumspb.RetryState(e.subject.RetryState)
}

// ChildWorkflowExecutionError says that a child workflow failed; its cause says why.
type ChildWorkflowExecutionError struct {
	origin
	subject host.Subject
	cause   error
}

func (e *ChildWorkflowExecutionError) Error() string {
	s := e.subject
	text := fmt.Sprintf("child workflow execution error (type: %s, workflowID: %s, runID: %s, initiatedEventID: %d, startedEventID: %d)",
		s.Type, s.WorkflowID, s.RunID, s.FirstEventID, s.StartedEventID)
	return withCause(text, e.cause)
}

func (e *ChildWorkflowExecutionError) Unwrap() error { return e.cause }

// ChildWorkflowExecutionAlreadyStartedError says that a workflow with the child's id was in the way.
type ChildWorkflowExecutionAlreadyStartedError struct{ origin }

func (e *ChildWorkflowExecutionAlreadyStartedError) Error() string {
	return "child workflow execution already started"
}

// UnknownExternalWorkflowExecutionError says that there is no such workflow that runs.
type UnknownExternalWorkflowExecutionError struct{ origin }

func (e *UnknownExternalWorkflowExecutionError) Error() string {
	return "unknown external workflow execution"
}

// ContinueAsNewError ends a run, and goes on in a new one: returned as the workflow's error.
type ContinueAsNewError struct {
	continuation host.Continuation
	workflowType string
}

func (e *ContinueAsNewError) Error() string { return "continue as new" }

// isCanceled says whether a cancellation is among the causes.
func isCanceled(err error) bool {
	var canceled *CanceledError
	return errors.As(err, &canceled)
}
