// Package workflows greets. The activity of the workflow runs in worker/worker.py.
package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Greet is started with a name.
func Greet(ctx workflow.Context, name string) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 3},
	})
	var greeting string
	if err := workflow.ExecuteActivity(ctx, "compose_greeting", name).Get(ctx, &greeting); err != nil {
		return "", err
	}
	workflow.GetLogger(ctx).Info("composed", "greeting", greeting)
	return greeting, nil
}
