// Package workflow is what workflows are written with: durable functions that the Mainspring server runs as WebAssembly
// components. Its names and their meaning are those of Temporal's Go SDK; see README.md for what is different.
package workflow

import (
	"cmp"
	"slices"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/internal"
	_ "go.temporal.io/sdk/internal/component"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
)

type (
	// Context carries a routine's cancellation and options.
	Context = internal.Context
	// CancelFunc cancels a context.
	CancelFunc = internal.CancelFunc
	// Future is a value that will come, or an error.
	Future = internal.Future
	// Settable sets a future.
	Settable = internal.Settable
	// ChildWorkflowFuture is the result of a child workflow.
	ChildWorkflowFuture = internal.ChildWorkflowFuture
	// Channel is both ends of a channel.
	Channel = internal.Channel
	// ReceiveChannel is the end that is read.
	ReceiveChannel = internal.ReceiveChannel
	// SendChannel is the end that is written.
	SendChannel = internal.SendChannel
	// Selector waits for the first of several things.
	Selector = internal.Selector
	// WaitGroup waits for several routines.
	WaitGroup = internal.WaitGroup
	// Mutex is held by one at a time.
	Mutex = internal.Mutex
	// Semaphore is held by so many at a time.
	Semaphore = internal.Semaphore
	// Info is what the run knows of itself.
	Info = internal.WorkflowInfo
	// Type names a workflow.
	Type = internal.WorkflowType
	// Execution names a run.
	Execution = internal.WorkflowExecution
	// Version is a version of a change.
	Version = internal.Version
	// ContinueAsNewError ends a run, and goes on in a new one.
	ContinueAsNewError = internal.ContinueAsNewError
	// ContinueAsNewErrorOptions are the options of NewContinueAsNewErrorWithOptions.
	ContinueAsNewErrorOptions = internal.ContinueAsNewErrorOptions
	// UpdateHandlerOptions are the options of SetUpdateHandlerWithOptions.
	UpdateHandlerOptions = internal.UpdateHandlerOptions
	// UpdateInfo says which update is handled.
	UpdateInfo = internal.UpdateInfo
	// HandlerUnfinishedPolicy says what happens where the workflow ends while a handler is running.
	HandlerUnfinishedPolicy = internal.HandlerUnfinishedPolicy
)

const (
	// DefaultVersion is that of runs that were here before a change.
	DefaultVersion = internal.DefaultVersion
	// HandlerUnfinishedPolicyWarnAndAbandon ends the handler, and a warning is logged.
	HandlerUnfinishedPolicyWarnAndAbandon = internal.HandlerUnfinishedPolicyWarnAndAbandon
	// HandlerUnfinishedPolicyAbandon ends the handler, and that is as it should be.
	HandlerUnfinishedPolicyAbandon = internal.HandlerUnfinishedPolicyAbandon
)

var (
	// ErrCanceled is what a canceled context gives.
	ErrCanceled = internal.ErrCanceled
	// ErrDeadlineExceeded is there so that code which names it compiles.
	ErrDeadlineExceeded = internal.ErrDeadlineExceeded
)

// RegisterOptions give a workflow a name of its own.
type RegisterOptions struct {
	Name                          string
	DisableAlreadyRegisteredCheck bool
}

// Routines.

// Go begins a routine.
func Go(ctx Context, f func(ctx Context)) { internal.Go(ctx, "", f) }

// GoNamed begins a routine with a name for people.
func GoNamed(ctx Context, name string, f func(ctx Context)) { internal.Go(ctx, name, f) }

// NewFuture gives a future, and what sets it.
func NewFuture(ctx Context) (Future, Settable) { return internal.NewFuture(ctx) }

// NewChannel gives a channel that holds nothing: who sends waits for who receives.
func NewChannel(ctx Context) Channel { return internal.NewChannel(ctx, "unnamed", 0) }

// NewNamedChannel gives such a channel with a name for people.
func NewNamedChannel(ctx Context, name string) Channel { return internal.NewChannel(ctx, name, 0) }

// NewBufferedChannel gives a channel that holds this many values.
func NewBufferedChannel(ctx Context, size int) Channel {
	return internal.NewChannel(ctx, "unnamed", size)
}

// NewNamedBufferedChannel gives such a channel with a name for people.
func NewNamedBufferedChannel(ctx Context, name string, size int) Channel {
	return internal.NewChannel(ctx, name, size)
}

// NewSelector gives a selector without cases. Where several are ready, the one that was added first is chosen.
func NewSelector(ctx Context) Selector { return internal.NewSelector(ctx) }

// NewNamedSelector gives one with a name for people.
func NewNamedSelector(ctx Context, name string) Selector { return internal.NewSelector(ctx) }

// NewWaitGroup gives a group of none.
func NewWaitGroup(ctx Context) WaitGroup { return internal.NewWaitGroup(ctx) }

// NewMutex gives a mutex that nobody holds.
func NewMutex(ctx Context) Mutex { return internal.NewMutex(ctx) }

// NewSemaphore gives a semaphore of this size.
func NewSemaphore(ctx Context, n int64) Semaphore { return internal.NewSemaphore(ctx, n) }

// Await waits until the condition is true; an error says that the context was canceled first.
func Await(ctx Context, condition func() bool) error { return internal.Await(ctx, condition) }

// AwaitWithTimeout waits until the condition is true, and says whether it is, but for no longer than this.
func AwaitWithTimeout(ctx Context, timeout time.Duration, condition func() bool) (ok bool, err error) {
	return internal.AwaitWithTimeout(ctx, timeout, "", condition)
}

// AwaitOptions are the options of AwaitWithOptions.
type AwaitOptions struct {
	Timeout      time.Duration
	TimerOptions TimerOptions
}

// AwaitWithOptions is AwaitWithTimeout with options.
func AwaitWithOptions(ctx Context, options AwaitOptions, condition func() bool) (ok bool, err error) {
	return internal.AwaitWithTimeout(ctx, options.Timeout, options.TimerOptions.Summary, condition)
}

// Time.

// Now is the time of this workflow task. It stands still while the workflow runs.
func Now(ctx Context) time.Time { return internal.Now(ctx) }

// Sleep waits for this long; an error says that the context was canceled first.
func Sleep(ctx Context, d time.Duration) error { return internal.Sleep(ctx, d) }

// NewTimer starts a timer, which is canceled with its context.
func NewTimer(ctx Context, d time.Duration) Future { return internal.NewTimer(ctx, d, "") }

// TimerOptions are the options of NewTimerWithOptions.
type TimerOptions struct {
	// One line for people, shown by the CLI and the UI.
	Summary string
}

// NewTimerWithOptions is NewTimer with options.
func NewTimerWithOptions(ctx Context, d time.Duration, options TimerOptions) Future {
	return internal.NewTimer(ctx, d, options.Summary)
}

// Activities, children and other workflows.

// ExecuteActivity schedules an activity: by its name, or by its function, whose code is not needed. The context must
// have ActivityOptions with a StartToCloseTimeout or a ScheduleToCloseTimeout.
func ExecuteActivity(ctx Context, activity interface{}, args ...interface{}) Future {
	return internal.ExecuteActivity(ctx, activity, args...)
}

// ExecuteLocalActivity runs a function of this module as an activity: it is retried like one, and its result is in the
// history. It can reach nothing outside of the sandbox.
func ExecuteLocalActivity(ctx Context, activity interface{}, args ...interface{}) Future {
	return internal.ExecuteLocalActivity(ctx, activity, args...)
}

// ExecuteChildWorkflow starts a child workflow.
func ExecuteChildWorkflow(ctx Context, childWorkflow interface{}, args ...interface{}) ChildWorkflowFuture {
	return internal.ExecuteChildWorkflow(ctx, childWorkflow, args...)
}

// SignalExternalWorkflow sends a signal to any workflow of the namespace. The future says whether it was taken.
func SignalExternalWorkflow(ctx Context, workflowID, runID, signalName string, arg interface{}) Future {
	return internal.SignalExternalWorkflow(ctx, workflowID, runID, signalName, arg)
}

// RequestCancelExternalWorkflow asks any workflow of the namespace to cancel. The future says whether it was asked.
func RequestCancelExternalWorkflow(ctx Context, workflowID, runID string) Future {
	return internal.RequestCancelExternalWorkflow(ctx, workflowID, runID)
}

// NewContinueAsNewError ends this run, and goes on in a new one with these arguments: returned as the workflow's error.
func NewContinueAsNewError(ctx Context, wfn interface{}, args ...interface{}) error {
	return internal.NewContinueAsNewError(ctx, wfn, ContinueAsNewErrorOptions{}, args...)
}

// NewContinueAsNewErrorWithOptions is NewContinueAsNewError with options.
func NewContinueAsNewErrorWithOptions(ctx Context, options ContinueAsNewErrorOptions, wfn interface{}, args ...interface{}) error {
	return internal.NewContinueAsNewError(ctx, wfn, options, args...)
}

// IsContinueAsNewError says whether the error goes on in a new run.
func IsContinueAsNewError(err error) bool { return internal.IsContinueAsNewError(err) }

// Messages to the workflow.

// GetSignalChannel gives the signals of this name, also those that came before anybody asked.
func GetSignalChannel(ctx Context, signalName string) ReceiveChannel {
	return internal.GetSignalChannel(ctx, signalName)
}

// SignalChannelOptions are the options of GetSignalChannelWithOptions.
type SignalChannelOptions struct {
	// Description is for people.
	Description string
}

// GetSignalChannelWithOptions is GetSignalChannel with options.
func GetSignalChannelWithOptions(ctx Context, signalName string, options SignalChannelOptions) ReceiveChannel {
	return internal.GetSignalChannel(ctx, signalName)
}

// GetUnhandledSignalNames gives the names of the signals that nobody has received yet.
func GetUnhandledSignalNames(ctx Context) []string { return internal.GetUnhandledSignalNames(ctx) }

// SetQueryHandler registers a function that answers queries of this name: func(args) (result, error). It may only read.
func SetQueryHandler(ctx Context, queryType string, handler interface{}) error {
	return internal.SetQueryHandler(ctx, queryType, handler, "")
}

// QueryHandlerOptions are the options of SetQueryHandlerWithOptions.
type QueryHandlerOptions struct {
	// Description is for people.
	Description string
}

// SetQueryHandlerWithOptions is SetQueryHandler with options.
func SetQueryHandlerWithOptions(ctx Context, queryType string, handler interface{}, options QueryHandlerOptions) error {
	return internal.SetQueryHandler(ctx, queryType, handler, options.Description)
}

// SetUpdateHandler registers a function that handles updates of this name: func(ctx, args) (result, error). Each runs
// as a routine of its own.
func SetUpdateHandler(ctx Context, updateName string, handler interface{}) error {
	return internal.SetUpdateHandler(ctx, updateName, handler, UpdateHandlerOptions{})
}

// SetUpdateHandlerWithOptions is SetUpdateHandler with options: a validator among them.
func SetUpdateHandlerWithOptions(ctx Context, updateName string, handler interface{}, opts UpdateHandlerOptions) error {
	return internal.SetUpdateHandler(ctx, updateName, handler, opts)
}

// AllHandlersFinished says whether no handler of an update is running.
func AllHandlersFinished(ctx Context) bool { return internal.AllHandlersFinished(ctx) }

// GetCurrentUpdateInfo says which update the routine handles; nil where it handles none.
func GetCurrentUpdateInfo(ctx Context) *UpdateInfo { return internal.GetCurrentUpdateInfo(ctx) }

// What the run knows and shows.

// GetInfo is what the run knows of itself.
func GetInfo(ctx Context) *Info { return internal.GetInfo(ctx) }

// GetLogger gives the workflow's logger. Nothing is written in a replay.
func GetLogger(ctx Context) log.Logger { return logger{internal.GetLogger(ctx)} }

type logger struct{ internal.Logger }

func (l logger) With(keyvals ...interface{}) log.Logger { return logger{l.WithFields(keyvals...)} }

// IsReplaying says no: a replay is not to be told from the first execution, and nothing needs to be.
func IsReplaying(ctx Context) bool { return false }

// HasLastCompletionResult says whether the run before this one left a result.
func HasLastCompletionResult(ctx Context) bool { return internal.HasLastCompletionResult(ctx) }

// GetLastCompletionResult reads that result.
func GetLastCompletionResult(ctx Context, d ...interface{}) error {
	return internal.GetLastCompletionResult(ctx, d...)
}

// GetLastError is why the run before this one failed, or nil.
func GetLastError(ctx Context) error { return internal.GetLastError(ctx) }

// UpsertMemo changes the run's memo; a nil takes a note out.
func UpsertMemo(ctx Context, memo map[string]interface{}) error {
	return internal.UpsertMemo(ctx, memo)
}

// UpsertSearchAttributes changes the run's search attributes by plain values; a string is a Keyword.
func UpsertSearchAttributes(ctx Context, attributes map[string]interface{}) error {
	return internal.UpsertSearchAttributes(ctx, attributes)
}

// UpsertTypedSearchAttributes changes the run's search attributes.
func UpsertTypedSearchAttributes(ctx Context, attributes ...temporal.SearchAttributeUpdate) error {
	return internal.UpsertTypedSearchAttributes(ctx, attributes...)
}

// GetTypedSearchAttributes are the run's search attributes of now.
func GetTypedSearchAttributes(ctx Context) temporal.SearchAttributes {
	return internal.GetTypedSearchAttributes(ctx)
}

// GetCurrentDetails is what SetCurrentDetails was last given.
func GetCurrentDetails(ctx Context) string { return internal.GetCurrentDetails(ctx) }

// SetCurrentDetails sets the text that the UI shows of the workflow: several lines, in Markdown.
func SetCurrentDetails(ctx Context, details string) { internal.SetCurrentDetails(ctx, details) }

// Changes and facts.

// GetVersion gives the version of a change that this run has taken: the newest in runs that come here for the first
// time, which the journal remembers.
func GetVersion(ctx Context, changeID string, minSupported, maxSupported Version) Version {
	return internal.GetVersion(ctx, changeID, minSupported, maxSupported)
}

// SideEffect computes a value at once, and keeps it in the history.
func SideEffect(ctx Context, f func(ctx Context) interface{}) converter.EncodedValue {
	return internal.SideEffect(ctx, f)
}

// MutableSideEffect computes a value at once, and keeps it in the history where it differs from the last of this id.
func MutableSideEffect(ctx Context, id string, f func(ctx Context) interface{}, equals func(a, b interface{}) bool) converter.EncodedValue {
	return internal.MutableSideEffect(ctx, id, f, equals)
}

// DeterministicKeys gives the keys of a map in order. (The order of a map is the same in every replay here; but it is
// another one in another run.)
func DeterministicKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return DeterministicKeysFunc(m, func(a, b K) int { return cmp.Compare(a, b) })
}

// DeterministicKeysFunc gives the keys of a map in the order of a comparison.
func DeterministicKeysFunc[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compare)
	return keys
}
