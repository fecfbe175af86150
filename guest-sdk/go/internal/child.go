package internal

import (
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"

	"go.temporal.io/sdk/internal/host"
)

// WorkflowExecution names a run; workflow.Execution.
type WorkflowExecution struct {
	ID    string
	RunID string
}

// ChildWorkflowFuture is the result of a child workflow; workflow.ChildWorkflowFuture.
type ChildWorkflowFuture interface {
	Get(ctx Context, valuePtr any) error
	IsReady() bool
	// GetChildWorkflowExecution is ready when the child has begun, or could not begin.
	GetChildWorkflowExecution() Future
	// SignalChildWorkflow sends the child a signal, once it has begun.
	SignalChildWorkflow(ctx Context, signalName string, data any) Future
}

type childFuture struct {
	*future
	execution *future
	number    uint32
}

func (f *childFuture) GetChildWorkflowExecution() Future { return f.execution }

func (f *childFuture) SignalChildWorkflow(ctx Context, signalName string, data any) Future {
	r := current()
	input, err := encodeAll([]any{data})
	if err != nil {
		return failed(conversionError(fmt.Errorf("signal %s: %w", signalName, err)))
	}
	delivered := newFuture("a signal to a child")
	send := func() {
		if f.execution.err != nil {
			delivered.set(nil, f.execution.err)
			return
		}
		sent := r.signal(ctx, host.Target{Child: f.number}, signalName, input)
		if sent.ready {
			delivered.set(sent.value, sent.err)
		} else {
			sent.chained = append(sent.chained, delivered)
		}
	}
	if f.execution.ready {
		send()
		return delivered
	}
	// A child can be signaled when it has begun.
	r.spawn("signal to a child", func() {
		f.execution.await()
		send()
	})
	return delivered
}

// ExecuteChildWorkflow starts a child workflow.
func ExecuteChildWorkflow(ctx Context, childWorkflow any, arguments ...any) ChildWorkflowFuture {
	r := current()
	refused := func(err error) *childFuture { return &childFuture{future: failed(err), execution: failed(err)} }
	name, err := nameOf("child workflow", childWorkflow, arguments)
	if err != nil {
		return refused(err)
	}
	input, err := encodeAll(arguments)
	if err != nil {
		return refused(conversionError(fmt.Errorf("child workflow %s: %w", name, err)))
	}
	options, err := childOptions(GetChildWorkflowOptions(ctx))
	if err != nil {
		return refused(fmt.Errorf("child workflow %s: %w", name, err))
	}
	if err := ctx.Err(); err != nil {
		return refused(err)
	}
	if options.WorkflowID == "" {
		options.WorkflowID = r.uuid()
	}
	child := &childFuture{execution: newFuture("the beginning of child workflow " + name)}
	what := fmt.Sprintf("child workflow %s (id %s)", name, options.WorkflowID)
	o := r.start(ctx, "start a child workflow", what,
		func() uint32 {
			child.number = r.host.StartChild(name, input, options)
			return child.number
		},
		func(number uint32) {
			if r.command("cancel a child workflow") {
				r.host.CancelChild(number)
			}
		})
	o.begun = child.execution
	child.future = o.future
	child.execution.value = WorkflowExecution{ID: options.WorkflowID}
	return child
}

// childStarted tells that a child has begun, or could not begin; then that is its end too.
func (r *run) childStarted(number uint32, runID string, err error) {
	o := r.operations[number]
	if o == nil || o.begun == nil {
		return
	}
	if err != nil {
		r.resolve(number, nil, err)
		return
	}
	execution, _ := o.begun.value.(WorkflowExecution)
	execution.RunID = runID
	o.begun.set(execution, nil)
}

func childOptions(o ChildWorkflowOptions) (*host.ChildOptions, error) {
	if o.CronSchedule != "" {
		return nil, errors.New("a child with a CronSchedule is not available here: start it by a schedule")
	}
	if o.Namespace != "" && o.Namespace != current().info.Namespace {
		return nil, fmt.Errorf("a child runs in the namespace of its parent, not in %q", o.Namespace)
	}
	options := &host.ChildOptions{
		WorkflowID:       o.WorkflowID,
		TaskQueue:        o.TaskQueue,
		ExecutionTimeout: o.WorkflowExecutionTimeout,
		RunTimeout:       o.WorkflowRunTimeout,
		TaskTimeout:      o.WorkflowTaskTimeout,
		RetryPolicy:      o.RetryPolicy.toHost(),
		CancellationType: host.ChildTryCancel,
		Summary:          o.StaticSummary,
		Details:          o.StaticDetails,
	}
	if o.WaitForCancellation {
		options.CancellationType = host.ChildWaitCompleted
	}
	switch o.ParentClosePolicy {
	case enumspb.PARENT_CLOSE_POLICY_ABANDON:
		options.ParentClosePolicy = 1
	case enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL:
		options.ParentClosePolicy = 2
	}
	switch o.WorkflowIDReusePolicy {
	case enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY:
		options.ReusePolicy = 1
	case enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE:
		options.ReusePolicy = 2
	case enumspb.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING:
		return nil, errors.New("WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING is not available for children")
	}
	var err error
	if options.Memo, err = memoFields(o.Memo); err != nil {
		return nil, err
	}
	if options.SearchAttributes, err = attributeFields(o.SearchAttributes, o.TypedSearchAttributes); err != nil {
		return nil, err
	}
	return options, nil
}

// SignalExternalWorkflow sends a signal to any workflow of the namespace.
func SignalExternalWorkflow(ctx Context, workflowID, runID, signalName string, argument any) Future {
	r := current()
	input, err := encodeAll([]any{argument})
	if err != nil {
		return failed(conversionError(fmt.Errorf("signal %s: %w", signalName, err)))
	}
	return r.signal(ctx, host.Target{WorkflowID: workflowID, RunID: runID}, signalName, input)
}

func (r *run) signal(ctx Context, target host.Target, name string, input []host.Payload) *future {
	o := r.start(ctx, "signal a workflow", "signal "+name,
		func() uint32 { return r.host.Signal(target, name, input, nil) },
		func(number uint32) {
			if r.command("take back a signal") {
				r.host.CancelSignal(number)
			}
		})
	return o.future
}

// RequestCancelExternalWorkflow asks any workflow of the namespace to cancel.
func RequestCancelExternalWorkflow(ctx Context, workflowID, runID string) Future {
	r := current()
	o := r.start(ctx, "cancel a workflow", "a cancel request to workflow "+workflowID,
		func() uint32 { return r.host.RequestCancel(workflowID, runID, "") }, nil)
	return o.future
}

// uuid is a random UUID (version 4) of the workflow's stream.
func (r *run) uuid() string {
	r.changes("draw a random number")
	b := make([]byte, 16)
	// Once the run has ended, nobody will ever see it.
	if !r.closed {
		b = r.host.RandomBytes(16)
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
