package internal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"go.temporal.io/sdk/internal/host"
)

// ExecuteActivity schedules an activity, which a worker of any language runs.
func ExecuteActivity(ctx Context, activity any, arguments ...any) Future {
	r := current()
	name, err := nameOf("activity", activity, arguments)
	if err != nil {
		return failed(err)
	}
	options := GetActivityOptions(ctx)
	if options.StartToCloseTimeout <= 0 && options.ScheduleToCloseTimeout <= 0 {
		return failed(fmt.Errorf("activity %s: at least one of ScheduleToCloseTimeout and StartToCloseTimeout is required", name))
	}
	input, err := encodeAll(arguments)
	if err != nil {
		return failed(conversionError(fmt.Errorf("activity %s: %w", name, err)))
	}
	hostOptions := &host.ActivityOptions{
		ActivityID:             options.ActivityID,
		TaskQueue:              options.TaskQueue,
		ScheduleToCloseTimeout: options.ScheduleToCloseTimeout,
		ScheduleToStartTimeout: options.ScheduleToStartTimeout,
		StartToCloseTimeout:    options.StartToCloseTimeout,
		HeartbeatTimeout:       options.HeartbeatTimeout,
		RetryPolicy:            options.RetryPolicy.toHost(),
		Summary:                options.Summary,
	}
	if options.WaitForCancellation {
		hostOptions.CancellationType = host.ActivityWaitCompleted
	}
	o := r.start(ctx, "schedule an activity", "activity "+name,
		func() uint32 { return r.host.ScheduleActivity(name, input, hostOptions) },
		func(number uint32) {
			if r.command("cancel an activity") {
				r.host.CancelActivity(number)
			}
		})
	return o.future
}

// Local activities run in the module.

const (
	localMarker = "core_local_activity"
	// retryThreshold is how long attempts may lie apart without a timer: in the sandbox nothing would change meanwhile.
	retryThreshold = time.Minute
	// shortestWait is what two attempts lie apart at least, so that a policy without waiting does not try for ever.
	shortestWait = time.Millisecond
)

type localActivity struct {
	run       *run
	name      string
	options   LocalActivityOptions
	call      func() (any, error)
	number    uint32
	attempt   uint32
	scheduled time.Time
}

// ActivityInfoKey is where a local activity finds out about itself.
type ActivityInfoKey struct{}

// ActivityInfo is what an activity knows of itself; activity.Info.
type ActivityInfo struct {
	ActivityID   string
	ActivityType struct{ Name string }
	Attempt      int32
	TaskQueue    string
	Namespace    string
	WorkflowID   string
	RunID        string
	IsLocal      bool
	Started      time.Time
}

// ExecuteLocalActivity runs a function of this module as an activity that no worker is needed for.
func ExecuteLocalActivity(ctx Context, activity any, arguments ...any) Future {
	r := current()
	r.changes("run a local activity")
	if _, named := activity.(string); named {
		return failed(errors.New("a local activity runs in the module, so it is known by its function and not by its name"))
	}
	name, err := nameOf("local activity", activity, arguments)
	if err != nil {
		return failed(err)
	}
	options := GetLocalActivityOptions(ctx)
	if options.ScheduleToCloseTimeout <= 0 && options.StartToCloseTimeout <= 0 {
		return failed(fmt.Errorf("local activity %s: at least one of ScheduleToCloseTimeout and StartToCloseTimeout is required", name))
	}
	if err := ctx.Err(); err != nil {
		return failed(err)
	}
	r.localActivities++
	local := &localActivity{run: r, name: name, options: options, number: r.localActivities, attempt: 1, scheduled: r.host.Now()}
	local.call = func() (any, error) { return local.invoke(activity, arguments) }
	f := newFuture("local activity " + name)
	r.spawn("local activity "+name, func() { f.set(local.attempts(ctx)) })
	return f
}

func (l *localActivity) invoke(activity any, arguments []any) (any, error) {
	function := reflect.ValueOf(activity)
	var values []reflect.Value
	if t := function.Type(); t.NumIn() > 0 && t.In(0).Implements(goContextType) {
		info := ActivityInfo{ActivityID: fmt.Sprint(l.number), Attempt: int32(l.attempt), TaskQueue: l.run.info.TaskQueue,
			Namespace: l.run.info.Namespace, WorkflowID: l.run.info.WorkflowID, RunID: l.run.info.RunID, IsLocal: true,
			Started: l.run.host.Now()}
		info.ActivityType.Name = l.name
		values = append(values, reflect.ValueOf(context.WithValue(context.Background(), ActivityInfoKey{}, info)))
	}
	for i, argument := range arguments {
		if argument == nil {
			values = append(values, reflect.Zero(function.Type().In(len(values))))
			continue
		}
		values = append(values, reflect.ValueOf(arguments[i]))
	}
	return returned(function.Call(values))
}

// attempts makes attempts until one succeeds or there is no other.
func (l *localActivity) attempts(ctx Context) (any, error) {
	var skipped time.Duration
	for {
		result, err := l.call()
		if err == nil {
			payload, err := encode(result)
			if err != nil {
				return nil, conversionError(fmt.Errorf("the result of %s: %w", l.name, err))
			}
			l.mark(0, &payload, nil)
			return encodedPayloads{payload}, nil
		}
		backoff, state := l.backoff(err, l.run.host.Now().Sub(l.scheduled)+skipped)
		if state != 0 {
			l.mark(0, nil, toFailure(err))
			return nil, l.failure(err, state)
		}
		if skipped+backoff <= retryThreshold {
			skipped += backoff
		} else {
			l.mark(backoff, nil, toFailure(err))
			if err := Sleep(ctx, backoff); err != nil {
				return nil, l.failure(err, enumspb.RETRY_STATE_CANCEL_REQUESTED)
			}
			skipped = 0
		}
		l.attempt++
	}
}

// backoff is how long to wait after a failed attempt, or why there is no other.
func (l *localActivity) backoff(err error, elapsed time.Duration) (time.Duration, enumspb.RetryState) {
	if isCanceled(err) {
		return 0, enumspb.RETRY_STATE_CANCEL_REQUESTED
	}
	policy := l.options.RetryPolicy
	wait := policy.interval(l.attempt)
	errType := errorType(err)
	if application, ok := err.(*ApplicationError); ok {
		errType = application.errType
		if application.nonRetryable {
			return 0, enumspb.RETRY_STATE_NON_RETRYABLE_FAILURE
		}
		if application.nextRetryDelay > 0 {
			wait = application.nextRetryDelay
		}
	}
	if policy != nil {
		if slices.Contains(policy.NonRetryableErrorTypes, errType) {
			return 0, enumspb.RETRY_STATE_NON_RETRYABLE_FAILURE
		}
		if policy.MaximumAttempts > 0 && l.attempt >= uint32(policy.MaximumAttempts) {
			return 0, enumspb.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
		}
	}
	wait = max(wait, shortestWait)
	if limit := l.options.ScheduleToCloseTimeout; limit > 0 && elapsed+wait >= limit {
		return 0, enumspb.RETRY_STATE_TIMEOUT
	}
	return wait, 0
}

type markerTime struct {
	Seconds int64 `json:"seconds"`
	Nanos   int32 `json:"nanos"`
}

// mark leaves in the journal what came of the attempts so far, as Temporal's SDKs write it.
func (l *localActivity) mark(backoff time.Duration, result *host.Payload, failure []host.Failure) {
	if !l.run.command("run a local activity") {
		return
	}
	at := func(t time.Time) *markerTime { return &markerTime{t.Unix(), int32(t.Nanosecond())} }
	var wait *markerTime
	if backoff > 0 {
		wait = &markerTime{int64(backoff / time.Second), int32(backoff % time.Second)}
	}
	data, err := json.Marshal(struct {
		Seq          uint32      `json:"seq"`
		Attempt      uint32      `json:"attempt"`
		ActivityID   string      `json:"activity_id"`
		ActivityType string      `json:"activity_type"`
		CompleteTime *markerTime `json:"complete_time"`
		Backoff      *markerTime `json:"backoff"`
		ScheduleTime *markerTime `json:"original_schedule_time"`
	}{l.number, l.attempt, fmt.Sprint(l.number), l.name, at(l.run.host.Now()), wait, at(l.scheduled)})
	if err != nil {
		panic(err)
	}
	details := []host.Detail{{Key: "data", Values: []host.Payload{newPayload(encodingJSON, data)}}}
	if result != nil {
		details = append(details, host.Detail{Key: "result", Values: []host.Payload{*result}})
	}
	l.run.host.RecordMarker(localMarker, details, failure)
}

func (l *localActivity) failure(cause error, state enumspb.RetryState) error {
	return &ActivityError{cause: cause, subject: host.Subject{Type: l.name, ActivityID: fmt.Sprint(l.number), RetryState: uint8(state)}}
}
