package internal

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/internal/host"
)

// A run is the one run of this instance: how events reach it, and how it goes on until nothing can move.
type run struct {
	host host.Host
	info host.Info

	routines    []*routine
	lastRoutine int
	// The routine that has the turn; nil while the host is served.
	current *routine

	operations map[uint32]*operation
	// Numbers that are made up once the run has ended.
	lastUnsaid uint32

	awaits []*await
	// Awaited conditions may have changed since they were last looked at.
	moved bool

	signals  signals
	queries  map[string]*queryHandler
	updates  updates
	versions map[string]Version
	mutable  map[string]any
	// What memo and search attributes have become.
	memo             map[string]*host.Payload
	searchAttributes map[string]*host.Payload
	localActivities  uint32
	details          string

	root            *cancelContext
	cancelRequested bool

	outcome *outcome
	// The run has ended: what still moves tells the host nothing, answers to updates apart.
	closed bool
	// What code that may change nothing is called; empty while other code runs.
	readOnly string
}

type outcome struct {
	result host.Payload
	err    error
}

// theRun is the run of this instance.
var theRun *run

func current() *run {
	if theRun == nil {
		panic("this function works only inside a workflow")
	}
	return theRun
}

// Guest is what the host calls.
type Guest struct {
	Host host.Host
	// Main registers the workflows: the program's own main.
	Main func()
}

var registered bool

func (g Guest) register() {
	if !registered {
		registered = true
		g.Main()
	}
}

// Describe gives the workflow types.
func (g Guest) Describe() []string {
	g.register()
	if len(registry.names) == 0 {
		crash("this module has no workflows: main() has to register them with a worker, and to call its Run", "")
	}
	return workflowNames()
}

// Start begins the run of this instance.
func (g Guest) Start(workflowType string, input []host.Payload) host.Status {
	g.register()
	function, ok := registry.workflows[workflowType]
	if !ok {
		crash(fmt.Sprintf("this module has no workflow type %q; it has %s", workflowType, strings.Join(registry.names, ", ")), "")
	}
	r := newRun(g.Host)
	r.spawn("main routine", func() { r.main(function, input) })
	return r.goOn()
}

func newRun(h host.Host) *run {
	r := &run{
		host:             h,
		info:             h.Info(),
		operations:       make(map[uint32]*operation),
		queries:          make(map[string]*queryHandler),
		versions:         make(map[string]Version),
		mutable:          make(map[string]any),
		memo:             make(map[string]*host.Payload),
		searchAttributes: make(map[string]*host.Payload),
		moved:            true,
	}
	theRun = r
	root, _ := WithCancel(rootContext{})
	r.root = root.(*cancelContext)
	return r
}

func (r *run) main(function any, input []host.Payload) {
	value := reflect.ValueOf(function)
	arguments, err := decodeArguments(input, value.Type(), 1)
	if err != nil {
		r.finish(nil, err)
		return
	}
	result, err := returned(value.Call(append([]reflect.Value{reflect.ValueOf(r.root)}, arguments...)))
	r.finish(result, err)
}

// returned takes apart what a workflow, a handler or an activity returns: (result, error), error, or nothing.
func returned(values []reflect.Value) (any, error) {
	if len(values) == 0 {
		return nil, nil
	}
	err, _ := values[len(values)-1].Interface().(error)
	if len(values) == 1 || err != nil {
		return nil, err
	}
	return values[0].Interface(), nil
}

// finish ends the run, unless it has ended already.
func (r *run) finish(result any, err error) {
	if r.closed {
		return
	}
	r.outcome = &outcome{err: err}
	if err == nil {
		if r.outcome.result, err = encode(result); err != nil {
			r.outcome.err = conversionError(fmt.Errorf("the result: %w", err))
		}
	}
	r.closed = true
}

// Resume goes on after these events.
func (g Guest) Resume(events []host.Event) host.Status {
	r := current()
	for i := range events {
		r.apply(&events[i])
	}
	r.moved = true
	return r.goOn()
}

func (r *run) apply(event *host.Event) {
	switch event.Kind {
	case host.ActivityResolved, host.ChildResolved:
		r.resolve(event.Operation, event.Payloads, fromFailure(event.Failure))
	case host.TimerFired:
		r.resolve(event.Operation, nil, nil)
	case host.ChildStarted:
		r.childStarted(event.Operation, event.Text, fromFailure(event.Failure))
	case host.ExternalResolved:
		r.resolve(event.Operation, nil, fromExternal(event.Failure))
	case host.SignalReceived:
		r.signals.receive(event.Name, event.Payloads)
	case host.UpdateRequested:
		r.updateRequested(event)
	case host.CancelRequested:
		r.cancelRequested = true
		r.cancel(r.root)
	}
}

// goOn runs until nothing can move: also after the main routine has ended, as what was woken by the same events may
// still answer an update.
func (r *run) goOn() host.Status {
	for {
		r.runRoutines()
		// All wait; but what has run may have made conditions true, which wake nobody by themselves.
		if !r.moved || len(r.awaits) == 0 {
			break
		}
		r.moved = false
		for _, a := range r.awaits {
			a.routine.wake()
		}
	}
	r.rejectWaitingUpdates()
	if r.outcome == nil {
		return host.Status{Kind: host.Blocked}
	}
	ended := r.outcome
	r.outcome = nil
	return r.close(ended)
}

func (r *run) close(ended *outcome) host.Status {
	r.warnOfUnfinishedUpdates()
	err := ended.err
	if err == nil {
		return host.Status{Kind: host.Completed, Payloads: []host.Payload{ended.result}}
	}
	if continuation := continuationOf(err); continuation != nil {
		return host.Status{Kind: host.ContinuedAsNew, Continuation: continuation}
	}
	// As in Temporal: a cancellation ends the workflow as canceled only where somebody asked it to cancel.
	if r.cancelRequested && isCanceled(err) {
		return host.Status{Kind: host.Canceled, Payloads: canceledDetails(err)}
	}
	return host.Status{Kind: host.Failed, Failure: toFailure(err)}
}

// changes checks that something may change now.
func (r *run) changes(action string) {
	if r.readOnly != "" {
		panic(fmt.Sprintf("%s tried to %s: it may only read, and change nothing", r.readOnly, action))
	}
}

// command says whether the host is to be told of something, after checking that it may be.
func (r *run) command(action string) bool {
	r.changes(action)
	return !r.closed
}

// reading runs code that may change nothing.
func (r *run) reading(what string, body func()) {
	outer := r.readOnly
	r.readOnly = what
	defer func() { r.readOnly = outer }()
	body()
}

// crash ends the instance: a panic is a bug, which fails the workflow task and not the workflow.
func (r *run) crash(value any, stack string) {
	crash(fmt.Sprint("panic: ", value), stack)
}

// crashExit is the exit code that the adapter of WASI takes for our own: there is nothing to add to our message.
const crashExit = 134

func crash(message, stack string) {
	if stack != "" {
		stack = "\n" + strings.TrimSuffix(stack, "\n")
	}
	fmt.Fprintf(os.Stderr, "%s%s\n", message, stack)
	os.Exit(crashExit)
}

// An await is a routine that waits for a condition.
type await struct{ routine *routine }

// Await waits until the condition is true; ErrCanceled where the context is canceled first.
func Await(ctx Context, condition func() bool) error {
	r := current()
	if condition() {
		return nil
	}
	a := &await{r.routine()}
	r.awaits = append(r.awaits, a)
	defer func() {
		r.awaits = slices.DeleteFunc(r.awaits, func(other *await) bool { return other == a })
	}()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.wait("a condition")
		if condition() {
			// What the routine does now may make other conditions true.
			r.moved = true
			return nil
		}
	}
}

// AwaitWithTimeout waits until the condition is true, and says whether it is, but for no longer than this.
func AwaitWithTimeout(ctx Context, timeout time.Duration, summary string, condition func() bool) (bool, error) {
	if condition() {
		return true, nil
	}
	timerContext, cancel := WithCancel(ctx)
	timer := NewTimer(timerContext, timeout, summary)
	err := Await(ctx, func() bool { return condition() || timer.IsReady() })
	if err != nil {
		return false, err
	}
	met := condition()
	if !timer.IsReady() {
		cancel()
	}
	return met, nil
}
