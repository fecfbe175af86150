// Saga: a trip is booked in three steps, each at another company. When one of them fails, or somebody cancels the trip,
// what was booked so far is taken back, the last step first.
package main

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

type Trip struct {
	// What the companies know the trip by: to book, or to take back, the same one twice is to do it once.
	ID          string `json:"id"`
	Destination string `json:"destination"`
}

type Bookings struct {
	Car    string `json:"car"`
	Hotel  string `json:"hotel"`
	Flight string `json:"flight"`
}

func BookTrip(ctx workflow.Context, trip Trip) (bookings Bookings, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 3},
	})
	var saga Saga
	defer func() {
		if err != nil {
			saga.Compensate(ctx)
		}
	}()
	steps := []struct {
		book, cancel string
		booking      *string
	}{
		{"book_car", "cancel_car", &bookings.Car},
		{"book_hotel", "cancel_hotel", &bookings.Hotel},
		{"book_flight", "cancel_flight", &bookings.Flight},
	}
	for _, step := range steps {
		// The way back is noted before the step: where an answer was lost, the booking may be there all the same.
		saga.OnFailure(step.cancel, trip.ID)
		if err = workflow.ExecuteActivity(ctx, step.book, trip).Get(ctx, step.booking); err != nil {
			return bookings, err
		}
	}
	return bookings, nil
}

// Saga is what takes back what was done.
type Saga struct {
	compensations []compensation
}

type compensation struct {
	activity string
	argument any
}

func (s *Saga) OnFailure(activity string, argument any) {
	s.compensations = append(s.compensations, compensation{activity, argument})
}

// Compensate also works in a workflow that has been canceled. Each step back is tried until it succeeds: nothing else
// would put things right.
func (s *Saga) Compensate(ctx workflow.Context) {
	shielded, _ := workflow.NewDisconnectedContext(ctx)
	shielded = workflow.WithActivityOptions(shielded, workflow.ActivityOptions{StartToCloseTimeout: 30 * time.Second})
	for i := len(s.compensations) - 1; i >= 0; i-- {
		step := s.compensations[i]
		if err := workflow.ExecuteActivity(shielded, step.activity, step.argument).Get(shielded, nil); err != nil {
			workflow.GetLogger(ctx).Error("somebody has to look after this", "step", step.activity, "error", err)
		}
	}
}
