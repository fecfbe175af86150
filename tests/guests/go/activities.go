package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Greet is run by a worker; here its name and its types count.
func Greet(ctx context.Context, greeting, name string) (string, error) {
	activity.GetLogger(ctx).Info("greeting", "name", name)
	return fmt.Sprintf("%s, %s!", greeting, name), nil
}

// Shop has activities as methods, as one does to share what they need.
type Shop struct{ endpoint string }

func (s *Shop) Price(ctx context.Context, article string) (int, error) {
	return len(article) * 100, nil
}

type Greeting struct {
	Text  string `json:"text"`
	Price int    `json:"price"`
}

// Greeter calls an activity by its function, and one by the method of a struct that does not exist here.
func Greeter(ctx workflow.Context, name string) (Greeting, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	workflow.GetLogger(ctx).Info("greeting begins", "name", name)
	var greeting Greeting
	if err := workflow.ExecuteActivity(ctx, Greet, "Hello", name).Get(ctx, &greeting.Text); err != nil {
		return greeting, err
	}
	var shop *Shop
	err := workflow.ExecuteActivity(ctx, shop.Price, name).Get(ctx, &greeting.Price)
	return greeting, err
}

// SplitMerge runs activities at once, and takes their results as they come.
func SplitMerge(ctx workflow.Context, numbers []int) (map[string]int, error) {
	ctx = workflow.WithStartToCloseTimeout(ctx, 10*time.Second)
	selector := workflow.NewSelector(ctx)
	sum, product := 0, 1
	var failed error
	for _, number := range numbers {
		selector.AddFuture(workflow.ExecuteActivity(ctx, "square", number), func(f workflow.Future) {
			var square int
			if err := f.Get(ctx, &square); err != nil {
				failed = err
				return
			}
			sum += square
			product *= square
		})
	}
	for range numbers {
		selector.Select(ctx)
		if failed != nil {
			return nil, failed
		}
	}
	return map[string]int{"sum": sum, "product": product}, nil
}

// PickFirst takes the first of two results, and cancels the other activity.
func PickFirst(ctx workflow.Context) (string, error) {
	ctx, cancel := workflow.WithCancel(ctx)
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute,
		HeartbeatTimeout:    5 * time.Second,
		WaitForCancellation: true,
	})
	slow := workflow.ExecuteActivity(ctx, "race", "slow")
	fast := workflow.ExecuteActivity(ctx, "race", "fast")
	var first string
	var err error
	take := func(f workflow.Future) { err = f.Get(ctx, &first) }
	workflow.NewSelector(ctx).AddFuture(slow, take).AddFuture(fast, take).Select(ctx)
	if err != nil {
		return "", err
	}
	cancel()
	// Until the canceled one has answered.
	if err := slow.Get(ctx, nil); !temporal.IsCanceledError(err) {
		return "", fmt.Errorf("the slow one was to be canceled, but: %v", err)
	}
	return first, nil
}

// Reminder waits for an activity, and reminds people where it takes long.
func Reminder(ctx workflow.Context, patience time.Duration) (int, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	timerContext, stop := workflow.WithCancel(ctx)
	order := workflow.ExecuteActivity(ctx, "prepare")
	reminders, done := 0, false
	selector := workflow.NewSelector(ctx)
	selector.AddFuture(order, func(workflow.Future) {
		done = true
		stop()
	})
	selector.AddFuture(workflow.NewTimer(timerContext, patience), func(f workflow.Future) {
		if f.Get(ctx, nil) == nil {
			reminders++
		}
	})
	for !done {
		selector.Select(ctx)
	}
	return reminders, order.Get(ctx, nil)
}

type Complaint struct {
	Code int    `json:"code"`
	Text string `json:"text"`
}

// Failures looks at what went wrong, and tells what it saw.
func Failures(ctx workflow.Context) ([]string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	var seen []string
	err := workflow.ExecuteActivity(ctx, "complain").Get(ctx, nil)
	var activityError *temporal.ActivityError
	var application *temporal.ApplicationError
	if errors.As(err, &activityError) && errors.As(err, &application) {
		var complaint Complaint
		if err := application.Details(&complaint); err != nil {
			return nil, err
		}
		seen = append(seen, fmt.Sprintf("%s: %s %s (%t): %d %s", activityError.ActivityType().GetName(), application.Type(),
			application.Message(), application.NonRetryable(), complaint.Code, complaint.Text))
	}
	late := workflow.WithScheduleToStartTimeout(workflow.WithTaskQueue(ctx, "nobody-is-here"), time.Second)
	err = workflow.ExecuteActivity(late, "complain").Get(ctx, nil)
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		seen = append(seen, timeout.TimeoutType().String())
	}
	if err = workflow.ExecuteActivity(ctx, Greet, "only one argument").Get(ctx, nil); err != nil {
		seen = append(seen, err.Error())
	}
	unlimited := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{})
	if err = workflow.ExecuteActivity(unlimited, Greet, "a", "b").Get(ctx, nil); err != nil {
		seen = append(seen, err.Error())
	}
	return seen, nil
}

// FailWith fails in one of several ways.
func FailWith(ctx workflow.Context, how string) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	switch how {
	case "plain":
		return errors.New("out of luck")
	case "wrapped":
		return fmt.Errorf("while trying: %w", temporal.NewApplicationError("no stock", "OutOfStock", 7))
	case "final":
		return temporal.NewNonRetryableApplicationError("no stock", "OutOfStock", errors.New("the shelf is empty"), "left", 2)
	case "activity":
		return workflow.ExecuteActivity(ctx, "complain").Get(ctx, nil)
	}
	return nil
}

// Local runs functions of this module as activities.
func Local(ctx workflow.Context, text string) (map[string]any, error) {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: time.Minute,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, MaximumAttempts: 3},
	})
	var words int
	if err := workflow.ExecuteLocalActivity(ctx, countWords, text).Get(ctx, &words); err != nil {
		return nil, err
	}
	var attempt int32
	if err := workflow.ExecuteLocalActivity(ctx, thirdTime).Get(ctx, &attempt); err != nil {
		return nil, err
	}
	final := workflow.ExecuteLocalActivity(ctx, func(context.Context) error {
		return temporal.NewNonRetryableApplicationError("no", "Never", nil)
	}).Get(ctx, nil)
	var application *temporal.ApplicationError
	if !errors.As(final, &application) {
		return nil, fmt.Errorf("an application error was to come, but: %v", final)
	}
	return map[string]any{"words": words, "attempt": attempt, "type": application.Type()}, nil
}

func countWords(_ context.Context, text string) (int, error) { return len(strings.Fields(text)), nil }

func thirdTime(ctx context.Context) (int32, error) {
	attempt := activity.GetInfo(ctx).Attempt
	if attempt < 3 {
		return 0, errors.New("not yet")
	}
	return attempt, nil
}
