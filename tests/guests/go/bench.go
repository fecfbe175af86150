package main

import (
	"time"

	"go.temporal.io/sdk/workflow"
)

type Bench struct {
	Activities int `json:"activities"`
	Signals    int `json:"signals"`
}

// BenchWorkflow does one activity after the other, and then waits for signals.
func BenchWorkflow(ctx workflow.Context, bench Bench) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	for range bench.Activities {
		if err := workflow.ExecuteActivity(ctx, "work", map[string]any{"amount": 99.99}).Get(ctx, nil); err != nil {
			return err
		}
	}
	signals := workflow.GetSignalChannel(ctx, "go")
	for range bench.Signals {
		signals.Receive(ctx, nil)
	}
	return nil
}

// Renamed is known by another name.
func Renamed(ctx workflow.Context) (string, error) {
	return workflow.GetInfo(ctx).WorkflowType.Name, nil
}
