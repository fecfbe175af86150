package main

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// GatherSignals waits for three signals, whatever their order, but not for ever.
func GatherSignals(ctx workflow.Context, patience time.Duration) ([]string, error) {
	var came []string
	for _, name := range []string{"first", "second", "third"} {
		workflow.Go(ctx, func(ctx workflow.Context) {
			var text string
			workflow.GetSignalChannel(ctx, name).Receive(ctx, &text)
			came = append(came, name+" "+text)
		})
	}
	ok, err := workflow.AwaitWithTimeout(ctx, patience, func() bool { return len(came) == 3 })
	if err != nil {
		return nil, err
	}
	if !ok {
		return came, temporal.NewApplicationError("not all signals came", "Patience", came)
	}
	return came, nil
}

// Counter counts by signals and updates, and is asked by queries.
func Counter(ctx workflow.Context, count int) (int, error) {
	done := false
	if err := workflow.SetQueryHandler(ctx, "count", func() (int, error) { return count, nil }); err != nil {
		return 0, err
	}
	if err := workflow.SetQueryHandler(ctx, "difference", func(from int) (int, error) { return count - from, nil }); err != nil {
		return 0, err
	}
	if err := workflow.SetQueryHandler(ctx, "naughty", func() (string, error) {
		workflow.Go(ctx, func(workflow.Context) {})
		return "", nil
	}); err != nil {
		return 0, err
	}
	add := func(ctx workflow.Context, by int) (int, error) {
		if by == 13 {
			return 0, temporal.NewApplicationError("unlucky", "Unlucky")
		}
		// A handler may wait.
		if err := workflow.Sleep(ctx, time.Millisecond); err != nil {
			return 0, err
		}
		before := count
		count += by
		return before, nil
	}
	err := workflow.SetUpdateHandlerWithOptions(ctx, "add", add, workflow.UpdateHandlerOptions{
		Validator: func(by int) error {
			if by < 0 {
				return fmt.Errorf("a count only grows, so not by %d", by)
			}
			return nil
		},
	})
	if err != nil {
		return 0, err
	}
	if err := workflow.SetUpdateHandler(ctx, "finish", func(ctx workflow.Context) (string, error) {
		done = true
		return workflow.GetCurrentUpdateInfo(ctx).Name, nil
	}); err != nil {
		return 0, err
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		signals := workflow.GetSignalChannel(ctx, "add")
		for {
			var by int
			signals.Receive(ctx, &by)
			count += by
		}
	})
	if err := workflow.Await(ctx, func() bool { return done && workflow.AllHandlersFinished(ctx) }); err != nil {
		return 0, err
	}
	return count, nil
}

type Step struct {
	Cursor int   `json:"cursor"`
	Log    []int `json:"log"`
}

// Chain goes on in new runs, with what the run before it came to.
func Chain(ctx workflow.Context, step Step) ([]int, error) {
	if step.Cursor == 3 {
		return step.Log, nil
	}
	if err := workflow.Sleep(ctx, 10*time.Millisecond); err != nil {
		return nil, err
	}
	return nil, workflow.NewContinueAsNewError(ctx, Chain, Step{step.Cursor + 1, append(step.Log, step.Cursor)})
}

// Parent starts a child, sends it a signal, and takes its result.
func Parent(ctx workflow.Context, name string) (map[string]any, error) {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID + "-child"
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: id,
		Memo:       map[string]any{"of": name},
	}), Child, name)
	var execution workflow.Execution
	if err := child.GetChildWorkflowExecution().Get(ctx, &execution); err != nil {
		return nil, err
	}
	if err := child.SignalChildWorkflow(ctx, "word", "a").Get(ctx, nil); err != nil {
		return nil, err
	}
	if err := workflow.SignalExternalWorkflow(ctx, execution.ID, "", "word", "b").Get(ctx, nil); err != nil {
		return nil, err
	}
	var result ChildResult
	if err := child.Get(ctx, &result); err != nil {
		return nil, err
	}
	unknown := workflow.SignalExternalWorkflow(ctx, "nobody", "", "word", "c").Get(ctx, nil)
	var noSuch *temporal.UnknownExternalWorkflowExecutionError

	fails := workflow.WithWorkflowID(ctx, id+"-fails")
	failure := workflow.ExecuteChildWorkflow(fails, FailWith, "final").Get(ctx, nil)
	var childError *temporal.ChildWorkflowExecutionError
	var application *temporal.ApplicationError
	if !errors.As(failure, &childError) || !errors.As(failure, &application) {
		return nil, fmt.Errorf("a child was to fail, but: %v", failure)
	}
	return map[string]any{
		"same id": execution.ID == id,
		"result":  result,
		"unknown": errors.As(unknown, &noSuch),
		"failure": application.Type(),
	}, nil
}

type ChildResult struct {
	Name   string   `json:"name"`
	Words  []string `json:"words"`
	Parent string   `json:"parent"`
}

// Child waits for two words.
func Child(ctx workflow.Context, name string) (ChildResult, error) {
	result := ChildResult{Name: name, Parent: workflow.GetInfo(ctx).ParentWorkflowExecution.ID}
	words := workflow.GetSignalChannel(ctx, "word")
	for range 2 {
		var word string
		words.Receive(ctx, &word)
		result.Words = append(result.Words, word)
	}
	return result, nil
}

// CancelChild cancels a child that would wait for an hour, and asks another workflow to cancel.
func CancelChild(ctx workflow.Context, other string) ([]bool, error) {
	childContext, cancel := workflow.WithCancel(ctx)
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(childContext, workflow.ChildWorkflowOptions{
		WaitForCancellation: true,
	}), Cleanup)
	if err := child.GetChildWorkflowExecution().Get(ctx, nil); err != nil {
		return nil, err
	}
	asked := workflow.RequestCancelExternalWorkflow(ctx, other, "").Get(ctx, nil)
	cancel()
	// Until it has cleaned up.
	return []bool{asked == nil, temporal.IsCanceledError(child.Get(ctx, nil))}, nil
}

// Cleanup waits to be canceled, and cleans up.
func Cleanup(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	err := workflow.Sleep(ctx, time.Hour)
	if !temporal.IsCanceledError(err) {
		return fmt.Errorf("it was to be canceled, but: %v", err)
	}
	if refused := workflow.ExecuteActivity(ctx, "clean", "in vain").Get(ctx, nil); !errors.Is(refused, workflow.ErrCanceled) {
		return fmt.Errorf("nothing begins in a canceled context, but: %v", refused)
	}
	shielded, _ := workflow.NewDisconnectedContext(ctx)
	if err := workflow.ExecuteActivity(shielded, "clean", "the desk").Get(shielded, nil); err != nil {
		return err
	}
	return err
}
