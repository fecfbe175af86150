// The order workflow: charge the customer, then tell them so. The activities run in ../python/worker.py.
package main

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

type Order struct {
	Amount float64 `json:"amount"`
	UserID string  `json:"user_id"`
	Email  string  `json:"email"`
}

// OrderWorkflow returns the id of the payment transaction.
func OrderWorkflow(ctx workflow.Context, order Order) (string, error) {
	charge := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 3},
	})
	var transaction string
	if err := workflow.ExecuteActivity(charge, "charge_payment", order.Amount, order.UserID).Get(ctx, &transaction); err != nil {
		return "", err
	}

	email := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	subject := fmt.Sprintf("주문 완료: %s", transaction)
	if err := workflow.ExecuteActivity(email, "send_email", order.Email, subject).Get(ctx, nil); err != nil {
		return "", err
	}
	return transaction, nil
}
