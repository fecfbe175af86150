package workflow

import (
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"go.temporal.io/sdk/internal"
	"go.temporal.io/sdk/temporal"
)

type (
	// ActivityOptions says how an activity is to be run.
	ActivityOptions = internal.ActivityOptions
	// LocalActivityOptions says how a local activity is to be run.
	LocalActivityOptions = internal.LocalActivityOptions
	// ChildWorkflowOptions says how a child workflow is to be run.
	ChildWorkflowOptions = internal.ChildWorkflowOptions
)

// WithValue gives a context with a value.
func WithValue(parent Context, key, val interface{}) Context {
	return internal.WithValue(parent, key, val)
}

// WithCancel gives a context that can be canceled, and is canceled with its parent.
func WithCancel(parent Context) (ctx Context, cancel CancelFunc) { return internal.WithCancel(parent) }

// NewDisconnectedContext gives a context that is not canceled with its parent: for cleaning up.
func NewDisconnectedContext(parent Context) (ctx Context, cancel CancelFunc) {
	return internal.NewDisconnectedContext(parent)
}

// WithActivityOptions gives a context with all of these.
func WithActivityOptions(ctx Context, options ActivityOptions) Context {
	return internal.WithActivityOptions(ctx, options)
}

// WithLocalActivityOptions gives a context with all of these.
func WithLocalActivityOptions(ctx Context, options LocalActivityOptions) Context {
	return internal.WithLocalActivityOptions(ctx, options)
}

// WithChildOptions gives a context with all of these.
func WithChildOptions(ctx Context, cwo ChildWorkflowOptions) Context {
	return internal.WithChildOptions(ctx, cwo)
}

// GetActivityOptions are those of the context.
func GetActivityOptions(ctx Context) ActivityOptions { return internal.GetActivityOptions(ctx) }

// GetLocalActivityOptions are those of the context.
func GetLocalActivityOptions(ctx Context) LocalActivityOptions {
	return internal.GetLocalActivityOptions(ctx)
}

// GetChildWorkflowOptions are those of the context.
func GetChildWorkflowOptions(ctx Context) ChildWorkflowOptions {
	return internal.GetChildWorkflowOptions(ctx)
}

// WithTaskQueue sends activities to this task queue.
func WithTaskQueue(ctx Context, name string) Context {
	return internal.ChangeActivityOptions(ctx, func(o *ActivityOptions) { o.TaskQueue = name })
}

// WithScheduleToCloseTimeout bounds an activity with all of its attempts.
func WithScheduleToCloseTimeout(ctx Context, d time.Duration) Context {
	return internal.ChangeActivityOptions(ctx, func(o *ActivityOptions) { o.ScheduleToCloseTimeout = d })
}

// WithScheduleToStartTimeout bounds an activity's wait for a worker.
func WithScheduleToStartTimeout(ctx Context, d time.Duration) Context {
	return internal.ChangeActivityOptions(ctx, func(o *ActivityOptions) { o.ScheduleToStartTimeout = d })
}

// WithStartToCloseTimeout bounds each attempt of an activity.
func WithStartToCloseTimeout(ctx Context, d time.Duration) Context {
	return internal.ChangeActivityOptions(ctx, func(o *ActivityOptions) { o.StartToCloseTimeout = d })
}

// WithHeartbeatTimeout bounds the time between an activity's heartbeats.
func WithHeartbeatTimeout(ctx Context, d time.Duration) Context {
	return internal.ChangeActivityOptions(ctx, func(o *ActivityOptions) { o.HeartbeatTimeout = d })
}

// WithWaitForCancellation says whether a canceled activity is waited for.
func WithWaitForCancellation(ctx Context, wait bool) Context {
	return internal.ChangeActivityOptions(ctx, func(o *ActivityOptions) { o.WaitForCancellation = wait })
}

// WithRetryPolicy sets the retry policy of activities.
func WithRetryPolicy(ctx Context, retryPolicy temporal.RetryPolicy) Context {
	return internal.ChangeActivityOptions(ctx, func(o *ActivityOptions) { o.RetryPolicy = &retryPolicy })
}

// WithWorkflowNamespace names the namespace of children, which is that of the parent.
func WithWorkflowNamespace(ctx Context, name string) Context {
	return internal.ChangeChildOptions(ctx, func(o *ChildWorkflowOptions) { o.Namespace = name })
}

// WithWorkflowTaskQueue sends children to this task queue.
func WithWorkflowTaskQueue(ctx Context, name string) Context {
	return internal.ChangeChildOptions(ctx, func(o *ChildWorkflowOptions) { o.TaskQueue = name })
}

// WithWorkflowID gives a child its id.
func WithWorkflowID(ctx Context, workflowID string) Context {
	return internal.ChangeChildOptions(ctx, func(o *ChildWorkflowOptions) { o.WorkflowID = workflowID })
}

// WithWorkflowRunTimeout bounds one run of a child, or of a continuation.
func WithWorkflowRunTimeout(ctx Context, d time.Duration) Context {
	return internal.ChangeChildOptions(ctx, func(o *ChildWorkflowOptions) { o.WorkflowRunTimeout = d })
}

// WithWorkflowTaskTimeout bounds one workflow task of a child, or of a continuation.
func WithWorkflowTaskTimeout(ctx Context, d time.Duration) Context {
	return internal.ChangeChildOptions(ctx, func(o *ChildWorkflowOptions) { o.WorkflowTaskTimeout = d })
}

// WithParentClosePolicy says what becomes of children that are still running when this workflow has closed.
func WithParentClosePolicy(ctx Context, policy enumspb.ParentClosePolicy) Context {
	return internal.ChangeChildOptions(ctx, func(o *ChildWorkflowOptions) { o.ParentClosePolicy = policy })
}
