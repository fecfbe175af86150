package internal

import (
	"math"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"go.temporal.io/sdk/internal/host"
)

// RetryPolicy says when and how often to try again; temporal.RetryPolicy.
type RetryPolicy struct {
	// The wait after the first attempt; 1 s where it is 0.
	InitialInterval time.Duration
	// What each wait is multiplied by to give the next; 2 where it is 0.
	BackoffCoefficient float64
	// The longest wait; 100 times the first where it is 0.
	MaximumInterval time.Duration
	// Attempts in all; without a bound where it is 0.
	MaximumAttempts int32
	// Types of application errors after which it is not tried again.
	NonRetryableErrorTypes []string
}

func (p *RetryPolicy) toHost() *host.RetryPolicy {
	if p == nil {
		return nil
	}
	policy := &host.RetryPolicy{
		BackoffCoefficient:     p.BackoffCoefficient,
		MaximumAttempts:        uint32(max(p.MaximumAttempts, 0)),
		NonRetryableErrorTypes: p.NonRetryableErrorTypes,
	}
	if p.InitialInterval > 0 {
		policy.InitialInterval = &p.InitialInterval
	}
	if p.MaximumInterval > 0 {
		policy.MaximumInterval = &p.MaximumInterval
	}
	return policy
}

func retryPolicyFromHost(p *host.RetryPolicy) *RetryPolicy {
	if p == nil {
		return nil
	}
	policy := &RetryPolicy{
		BackoffCoefficient:     p.BackoffCoefficient,
		MaximumAttempts:        int32(min(p.MaximumAttempts, math.MaxInt32)),
		NonRetryableErrorTypes: p.NonRetryableErrorTypes,
	}
	if p.InitialInterval != nil {
		policy.InitialInterval = *p.InitialInterval
	}
	if p.MaximumInterval != nil {
		policy.MaximumInterval = *p.MaximumInterval
	}
	return policy
}

// interval is the wait after so many attempts.
func (p *RetryPolicy) interval(attempts uint32) time.Duration {
	policy := RetryPolicy{}
	if p != nil {
		policy = *p
	}
	if policy.InitialInterval <= 0 {
		policy.InitialInterval = time.Second
	}
	if policy.BackoffCoefficient < 1 {
		policy.BackoffCoefficient = 2
	}
	if policy.MaximumInterval <= 0 {
		policy.MaximumInterval = 100 * policy.InitialInterval
	}
	interval := float64(policy.InitialInterval) * math.Pow(policy.BackoffCoefficient, float64(attempts-1))
	return time.Duration(min(interval, float64(policy.MaximumInterval)))
}

// VersioningIntent is there so that code which names it compiles; nothing here depends on it.
type VersioningIntent int

// Priority is there so that code which names it compiles; this server does not order tasks by it.
type Priority struct {
	PriorityKey    int
	FairnessKey    string
	FairnessWeight float32
}

// ActivityOptions says how an activity is to be run; workflow.ActivityOptions.
type ActivityOptions struct {
	TaskQueue              string
	ScheduleToCloseTimeout time.Duration
	ScheduleToStartTimeout time.Duration
	StartToCloseTimeout    time.Duration
	HeartbeatTimeout       time.Duration
	WaitForCancellation    bool
	ActivityID             string
	RetryPolicy            *RetryPolicy
	DisableEagerExecution  bool
	VersioningIntent       VersioningIntent
	Summary                string
	Priority               Priority
}

// LocalActivityOptions says how a local activity is to be run; workflow.LocalActivityOptions.
type LocalActivityOptions struct {
	ScheduleToCloseTimeout time.Duration
	// Not observed: nothing can interrupt a local activity but the limits of the sandbox.
	StartToCloseTimeout time.Duration
	RetryPolicy         *RetryPolicy
	Summary             string
}

// ChildWorkflowOptions says how a child workflow is to be run; workflow.ChildWorkflowOptions.
type ChildWorkflowOptions struct {
	Namespace                string
	WorkflowID               string
	TaskQueue                string
	WorkflowExecutionTimeout time.Duration
	WorkflowRunTimeout       time.Duration
	WorkflowTaskTimeout      time.Duration
	WaitForCancellation      bool
	WorkflowIDReusePolicy    enumspb.WorkflowIdReusePolicy
	RetryPolicy              *RetryPolicy
	CronSchedule             string
	Memo                     map[string]any
	SearchAttributes         map[string]any
	TypedSearchAttributes    SearchAttributes
	ParentClosePolicy        enumspb.ParentClosePolicy
	VersioningIntent         VersioningIntent
	StaticSummary            string
	StaticDetails            string
	Priority                 Priority
}

type (
	activityOptionsKey      struct{}
	localActivityOptionsKey struct{}
	childOptionsKey         struct{}
)

// GetActivityOptions are those of the context.
func GetActivityOptions(ctx Context) ActivityOptions {
	options, _ := ctx.Value(activityOptionsKey{}).(ActivityOptions)
	return options
}

// GetLocalActivityOptions are those of the context.
func GetLocalActivityOptions(ctx Context) LocalActivityOptions {
	options, _ := ctx.Value(localActivityOptionsKey{}).(LocalActivityOptions)
	return options
}

// GetChildWorkflowOptions are those of the context.
func GetChildWorkflowOptions(ctx Context) ChildWorkflowOptions {
	options, _ := ctx.Value(childOptionsKey{}).(ChildWorkflowOptions)
	return options
}

// WithActivityOptions gives a context with all of these.
func WithActivityOptions(ctx Context, options ActivityOptions) Context {
	return WithValue(ctx, activityOptionsKey{}, options)
}

// WithLocalActivityOptions gives a context with all of these.
func WithLocalActivityOptions(ctx Context, options LocalActivityOptions) Context {
	return WithValue(ctx, localActivityOptionsKey{}, options)
}

// WithChildOptions gives a context with all of these.
func WithChildOptions(ctx Context, options ChildWorkflowOptions) Context {
	return WithValue(ctx, childOptionsKey{}, options)
}

// ChangeActivityOptions gives a context with some of the activity options changed.
func ChangeActivityOptions(ctx Context, change func(*ActivityOptions)) Context {
	options := GetActivityOptions(ctx)
	change(&options)
	return WithActivityOptions(ctx, options)
}

// ChangeLocalActivityOptions gives a context with some of the options changed.
func ChangeLocalActivityOptions(ctx Context, change func(*LocalActivityOptions)) Context {
	options := GetLocalActivityOptions(ctx)
	change(&options)
	return WithLocalActivityOptions(ctx, options)
}

// ChangeChildOptions gives a context with some of the child options changed.
func ChangeChildOptions(ctx Context, change func(*ChildWorkflowOptions)) Context {
	options := GetChildWorkflowOptions(ctx)
	change(&options)
	return WithChildOptions(ctx, options)
}
