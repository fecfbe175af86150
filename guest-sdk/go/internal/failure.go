package internal

import (
	"errors"
	"reflect"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"

	"go.temporal.io/sdk/internal/host"
)

// source stands in the failures that this SDK makes.
const source = "mainspring-go"

const alreadyStartedType = "WorkflowExecutionAlreadyStarted"

// toFailure makes the chain of causes of an error, outermost first.
func toFailure(err error) []host.Failure {
	if foreign, ok := err.(interface{ links() []host.Failure }); ok && foreign.links() != nil {
		return foreign.links()
	}
	link := host.Failure{Message: err.Error(), Source: source}
	var cause error
	switch e := err.(type) {
	case *ApplicationError:
		link.Message, link.Kind, link.Type, link.NonRetryable = e.message, host.KindApplication, e.errType, e.nonRetryable
		link.Details, link.NextRetryDelay, cause = e.details, e.nextRetryDelay, e.cause
	case *CanceledError:
		link.Kind, link.Details = host.KindCanceled, e.details
	case *TimeoutError:
		link.Message, link.Kind, link.Details, cause = e.message, host.KindTimeout, e.heartbeat, e.cause
		link.TimeoutType = max(uint8(e.timeoutType), 1) - 1
	case *TerminatedError:
		link.Kind = host.KindTerminated
	case *ServerError:
		link.Message, link.Kind, link.NonRetryable, cause = e.message, host.KindServer, e.nonRetryable, e.cause
	case *ActivityError:
		link.Message, link.Kind, link.Subject, cause = "activity error", host.KindActivity, e.subject, e.cause
	case *ChildWorkflowExecutionError:
		link.Message, link.Kind, link.Subject = "child workflow execution error", host.KindChildWorkflow, e.subject
		cause = e.cause
	case *PanicError:
		link.Kind, link.Type, link.NonRetryable, link.StackTrace = host.KindApplication, "PanicError", true, e.stack
	default:
		link.Kind, link.Type, cause = host.KindApplication, errorType(err), errors.Unwrap(err)
	}
	failure := []host.Failure{link}
	if cause != nil {
		failure = append(failure, toFailure(cause)...)
	}
	return failure
}

// errorType is the name of an error's Go type, such as errorString.
func errorType(err error) string {
	t := reflect.TypeOf(err)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// fromFailure makes an error of a chain of causes, which keeps the chain.
func fromFailure(failure []host.Failure) error {
	if len(failure) == 0 {
		return nil
	}
	link, from := failure[0], origin{failure}
	cause := fromFailure(failure[1:])
	switch link.Kind {
	case host.KindApplication:
		if link.Type == alreadyStartedType {
			return &ChildWorkflowExecutionAlreadyStartedError{from}
		}
		return &ApplicationError{origin: from, message: link.Message, errType: link.Type, nonRetryable: link.NonRetryable,
			nextRetryDelay: link.NextRetryDelay, details: link.Details, cause: cause}
	case host.KindTimeout:
		return &TimeoutError{origin: from, message: link.Message, timeoutType: enumspb.TimeoutType(link.TimeoutType + 1),
			heartbeat: link.Details, cause: cause}
	case host.KindCanceled:
		return &CanceledError{origin: from, details: link.Details}
	case host.KindTerminated:
		return &TerminatedError{from}
	case host.KindServer:
		return &ServerError{origin: from, message: link.Message, nonRetryable: link.NonRetryable, cause: cause}
	case host.KindActivity:
		return &ActivityError{origin: from, subject: link.Subject, cause: cause}
	case host.KindChildWorkflow:
		return &ChildWorkflowExecutionError{origin: from, subject: link.Subject, cause: cause}
	default:
		return &ApplicationError{origin: from, message: link.Message, cause: cause}
	}
}

// fromExternal makes an error of the reason why a message to another workflow was not delivered.
func fromExternal(failure []host.Failure) error {
	if len(failure) > 0 && strings.HasSuffix(failure[0].Message, "because it was not found") {
		return &UnknownExternalWorkflowExecutionError{origin{failure}}
	}
	return fromFailure(failure)
}

// canceledDetails are what a canceled workflow leaves to its caller.
func canceledDetails(err error) []host.Payload {
	var canceled *CanceledError
	if errors.As(err, &canceled) {
		return canceled.details
	}
	return nil
}
