// Package activity has what a program needs that holds activities beside its workflows. Their code is run by workers of
// their own; here their names and types count. As local activities they do run here.
package activity

import (
	"context"
	"errors"

	"go.temporal.io/sdk/internal"
	"go.temporal.io/sdk/log"
)

// RegisterOptions give an activity a name of its own.
type RegisterOptions struct {
	Name                          string
	DisableAlreadyRegisteredCheck bool
	SkipInvalidStructFunctions    bool
}

// Info is what an activity knows of itself.
type Info = internal.ActivityInfo

// Type names an activity.
type Type = struct{ Name string }

// ErrResultPending says that somebody else will complete the activity; a local one cannot say so.
var ErrResultPending = errors.New("not error: do not autocomplete, using Client.CompleteActivity() to complete")

// GetInfo is what a local activity knows of itself.
func GetInfo(ctx context.Context) Info {
	info, _ := ctx.Value(internal.ActivityInfoKey{}).(Info)
	return info
}

// IsActivity says whether the context is that of a local activity.
func IsActivity(ctx context.Context) bool {
	_, ok := ctx.Value(internal.ActivityInfoKey{}).(Info)
	return ok
}

// GetLogger gives the workflow's logger.
func GetLogger(context.Context) log.Logger { return internal.Logger{} }

// RecordHeartbeat does nothing: a local activity has no heartbeat.
func RecordHeartbeat(ctx context.Context, details ...interface{}) {}

// HasHeartbeatDetails says no.
func HasHeartbeatDetails(context.Context) bool { return false }

// GetHeartbeatDetails finds none.
func GetHeartbeatDetails(ctx context.Context, d ...interface{}) error { return internal.ErrNoData }

// GetWorkerStopChannel gives a channel that is never closed.
func GetWorkerStopChannel(context.Context) <-chan struct{} { return nil }
