// Fan-out of children: a library is counted by a child workflow for each book, so many at once. Each child has a history
// and a fate of its own; one that fails is a line of the report, and not the end of the others.
package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

type Library struct {
	Books  []string `json:"books"`
	AtOnce int64    `json:"at_once"`
	// How long after the counting the report is published.
	PublishAfterMs int64 `json:"publish_after_ms"`
}

type Report struct {
	Words  map[string]int    `json:"words"`
	Failed map[string]string `json:"failed"`
}

func CountLibrary(ctx workflow.Context, library Library) (Report, error) {
	report := Report{Words: map[string]int{}, Failed: map[string]string{}}
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	atOnce := workflow.NewSemaphore(ctx, library.AtOnce)
	group := workflow.NewWaitGroup(ctx)
	var canceled error
	// Each book once: its name is in the id of its child.
	for _, book := range slices.Compact(slices.Sorted(slices.Values(library.Books))) {
		group.Add(1)
		workflow.GoNamed(ctx, book, func(ctx workflow.Context) {
			defer group.Done()
			if err := atOnce.Acquire(ctx, 1); err != nil {
				canceled = err
				return
			}
			defer atOnce.Release(1)
			// Should this workflow close before its children, by a timeout or by force, they are terminated: nobody is
			// left who wants to know. That is the default parent close policy.
			var words int
			err := workflow.ExecuteChildWorkflow(workflow.WithWorkflowID(ctx, id+"/"+book), CountBook, book).Get(ctx, &words)
			switch {
			case err == nil:
				report.Words[book] = words
			case temporal.IsCanceledError(err):
				canceled = err
			default:
				report.Failed[book] = reason(err)
			}
		})
	}
	group.Wait(ctx)
	if canceled != nil {
		return report, canceled
	}

	// This child is started and then left alone: it goes on after its parent has ended.
	options := workflow.ChildWorkflowOptions{
		WorkflowID:        id + "-publication",
		ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
	}
	publication := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, options), PublishReport, report, library.PublishAfterMs)
	var execution workflow.Execution
	if err := publication.GetChildWorkflowExecution().Get(ctx, &execution); err != nil {
		return report, err
	}
	workflow.GetLogger(ctx).Info("the report is being published", "by", execution.ID)
	return report, nil
}

// reason is what went wrong in the child, for people.
func reason(err error) string {
	var cause *temporal.ApplicationError
	if errors.As(err, &cause) {
		return fmt.Sprintf("%s (%s)", cause.Message(), cause.Type())
	}
	return err.Error()
}

func CountBook(ctx workflow.Context, book string) (int, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 3},
	})
	var words int
	err := workflow.ExecuteActivity(ctx, "count_words", book).Get(ctx, &words)
	return words, err
}

func PublishReport(ctx workflow.Context, report Report, afterMs int64) error {
	if err := workflow.Sleep(ctx, time.Duration(afterMs)*time.Millisecond); err != nil {
		return err
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	return workflow.ExecuteActivity(ctx, "publish", report).Get(ctx, nil)
}
