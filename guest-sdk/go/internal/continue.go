package internal

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/internal/host"
)

// ContinueAsNewErrorOptions are the options of NewContinueAsNewErrorWithOptions.
type ContinueAsNewErrorOptions struct {
	// RetryPolicy of the new run; that of this run where it is nil.
	RetryPolicy *RetryPolicy
}

// NewContinueAsNewError ends this run, and goes on in a new one with these arguments: returned as the workflow's error.
// The new run has the same type, task queue, timeouts, retry policy, memo and search attributes, unless the context has
// child options that say something else.
func NewContinueAsNewError(ctx Context, workflow any, options ContinueAsNewErrorOptions, arguments ...any) error {
	r := current()
	name, err := nameOf("workflow", workflow, arguments)
	if err != nil {
		panic(fmt.Sprintf("NewContinueAsNewError: %v", err))
	}
	input, err := encodeAll(arguments)
	if err != nil {
		return conversionError(fmt.Errorf("continuing as new: %w", err))
	}
	child := GetChildWorkflowOptions(ctx)
	next := host.Continuation{
		TaskQueue:   child.TaskQueue,
		Input:       input,
		RunTimeout:  child.WorkflowRunTimeout,
		TaskTimeout: child.WorkflowTaskTimeout,
		RetryPolicy: options.RetryPolicy.toHost(),
	}
	if name != r.info.WorkflowType {
		next.WorkflowType = name
	}
	if child.Memo != nil {
		fields, err := memoFields(child.Memo)
		if err != nil {
			return conversionError(fmt.Errorf("continuing as new: %w", err))
		}
		next.Memo = &fields
	}
	if child.SearchAttributes != nil || child.TypedSearchAttributes.Size() > 0 {
		fields, err := attributeFields(child.SearchAttributes, child.TypedSearchAttributes)
		if err != nil {
			return conversionError(fmt.Errorf("continuing as new: %w", err))
		}
		next.SearchAttributes = &fields
	}
	return &ContinueAsNewError{next, name}
}

// IsContinueAsNewError says whether the error goes on in a new run.
func IsContinueAsNewError(err error) bool { return continuationOf(err) != nil }

func continuationOf(err error) *host.Continuation {
	var next *ContinueAsNewError
	if errors.As(err, &next) {
		return &next.continuation
	}
	return nil
}
