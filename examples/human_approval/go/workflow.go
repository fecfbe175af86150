// Human approval: an expense that waits for people. They look at it (a query), remark on it (a signal) and decide about
// it (an update, which can be refused and is answered). When they do nothing, a timer asks somebody else.
package main

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

type Expense struct {
	Purpose   string   `json:"purpose"`
	Reviewers []string `json:"reviewers"`
	// How many of them have to approve.
	Needed int `json:"needed"`
	// Who is asked when they do not.
	Manager         string `json:"manager"`
	ReviewersHaveMs int64  `json:"reviewers_have_ms"`
	ManagerHasMs    int64  `json:"manager_has_ms"`
}

type Review struct {
	Needed     int      `json:"needed"`
	Asked      []string `json:"asked"`
	ApprovedBy []string `json:"approved_by"`
	RejectedBy *string  `json:"rejected_by"`
	Comments   []string `json:"comments"`
}

func ApproveExpense(ctx workflow.Context, expense Expense) (*Review, error) {
	review := &Review{Needed: expense.Needed, Asked: []string{}, ApprovedBy: []string{}, Comments: []string{}}
	if err := review.register(ctx); err != nil {
		return nil, err
	}
	for _, reviewer := range expense.Reviewers {
		if err := review.ask(ctx, reviewer, "please decide: "+expense.Purpose); err != nil {
			return nil, err
		}
	}
	decided, err := workflow.AwaitWithTimeout(ctx, time.Duration(expense.ReviewersHaveMs)*time.Millisecond, review.isDecided)
	if err != nil {
		return nil, err
	}
	if !decided {
		// The last one to ask, whose word is enough.
		review.Needed = len(review.ApprovedBy) + 1
		if err := review.ask(ctx, expense.Manager, "nobody decides: "+expense.Purpose); err != nil {
			return nil, err
		}
		decided, err = workflow.AwaitWithTimeout(ctx, time.Duration(expense.ManagerHasMs)*time.Millisecond, review.isDecided)
		if err != nil {
			return nil, err
		}
		if !decided {
			return nil, temporal.NewApplicationError("nobody has decided", "Expired")
		}
	}
	return review, nil
}

// register says who answers the messages to the workflow.
func (r *Review) register(ctx workflow.Context) error {
	if err := workflow.SetQueryHandler(ctx, "status", func() (*Review, error) { return r, nil }); err != nil {
		return err
	}
	validated := workflow.UpdateHandlerOptions{Validator: r.mayDecide}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, "decide", r.decide, validated); err != nil {
		return err
	}
	// Remarks: nobody has to answer them.
	workflow.Go(ctx, func(ctx workflow.Context) {
		remarks := workflow.GetSignalChannel(ctx, "comment")
		for {
			var arguments converter.EncodedValues
			remarks.Receive(ctx, &arguments)
			var author, text string
			if err := arguments.Get(&author, &text); err != nil {
				workflow.GetLogger(ctx).Warn("left out a remark", "error", err)
				continue
			}
			r.Comments = append(r.Comments, fmt.Sprintf("%s: %s", author, text))
		}
	})
	return nil
}

// decide answers how many approvals are still missing.
func (r *Review) decide(_ workflow.Context, person string, approve bool) (int, error) {
	if approve {
		r.ApprovedBy = append(r.ApprovedBy, person)
	} else {
		r.RejectedBy = &person
	}
	return max(r.Needed-len(r.ApprovedBy), 0), nil
}

// mayDecide refuses without leaving a trace in the history.
func (r *Review) mayDecide(person string, _ bool) error {
	switch {
	case !slices.Contains(r.Asked, person):
		return temporal.NewApplicationError(person+" was not asked", "NotAsked")
	case slices.Contains(r.ApprovedBy, person):
		return temporal.NewApplicationError(person+" has decided already", "DecidedTwice")
	case r.isDecided():
		return temporal.NewApplicationError("it is decided", "TooLate")
	}
	return nil
}

func (r *Review) isDecided() bool { return r.RejectedBy != nil || len(r.ApprovedBy) >= r.Needed }

func (r *Review) ask(ctx workflow.Context, person, text string) error {
	r.Asked = append(r.Asked, person)
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 30 * time.Second})
	return workflow.ExecuteActivity(ctx, "notify", person, text).Get(ctx, nil)
}
