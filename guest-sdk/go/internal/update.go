package internal

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.temporal.io/sdk/internal/host"
)

// UpdateHandlerOptions are the options of SetUpdateHandlerWithOptions.
type UpdateHandlerOptions struct {
	// Validator takes what the handler takes, and refuses with an error. It may only read.
	Validator any
	// UnfinishedPolicy says whether a warning is logged where the workflow ends while the handler is running.
	UnfinishedPolicy HandlerUnfinishedPolicy
	// Description is for people.
	Description string
}

// HandlerUnfinishedPolicy says what happens where the workflow ends while a handler is running.
type HandlerUnfinishedPolicy int

const (
	HandlerUnfinishedPolicyWarnAndAbandon HandlerUnfinishedPolicy = iota
	HandlerUnfinishedPolicyAbandon
)

// UpdateInfo says which update is handled.
type UpdateInfo struct {
	ID   string
	Name string
}

type updateInfoKey struct{}

type updates struct {
	handlers map[string]*updateHandler
	// Those of this activation that have no handler yet.
	waiting []*host.Event
	// Handlers that have not finished, in the order of their beginning.
	running []*runningUpdate
}

type updateHandler struct {
	function reflect.Value
	options  UpdateHandlerOptions
}

type runningUpdate struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	policy HandlerUnfinishedPolicy
}

// SetUpdateHandler registers a function that handles updates of this name: func(ctx, arguments) (result, error). Each
// runs as a routine of its own.
func SetUpdateHandler(_ Context, name string, handler any, options UpdateHandlerOptions) error {
	r := current()
	r.changes("register an update handler")
	if err := checkHandlerName("update", name); err != nil {
		return err
	}
	t := reflect.TypeOf(handler)
	if t == nil || t.Kind() != reflect.Func || t.NumOut() < 1 || t.NumOut() > 2 || !t.Out(t.NumOut()-1).Implements(errorInterface) {
		return fmt.Errorf("the handler of update %q must be a function that returns (result, error) or error", name)
	}
	if options.Validator != nil {
		v := reflect.TypeOf(options.Validator)
		if v.Kind() != reflect.Func || v.NumOut() != 1 || !v.Out(0).Implements(errorInterface) {
			return fmt.Errorf("the validator of update %q must be a function that returns error", name)
		}
	}
	if r.updates.handlers == nil {
		r.updates.handlers = make(map[string]*updateHandler)
	}
	r.updates.handlers[name] = &updateHandler{function: reflect.ValueOf(handler), options: options}
	waiting := r.updates.waiting
	r.updates.waiting = nil
	for _, update := range waiting {
		r.updateRequested(update)
	}
	return nil
}

func (r *run) updateRequested(update *host.Event) {
	handler := r.updates.handlers[update.Name]
	if handler == nil {
		r.updates.waiting = append(r.updates.waiting, update)
		return
	}
	running := &runningUpdate{update.ID, update.Name, handler.options.UnfinishedPolicy}
	r.updates.running = append(r.updates.running, running)
	r.spawn(fmt.Sprintf("handler of update %s (id %s)", update.Name, update.ID), func() {
		r.handleUpdate(handler, update)
		r.updates.running = slices.DeleteFunc(r.updates.running, func(it *runningUpdate) bool { return it == running })
		// Somebody may wait for all handlers to finish.
		r.moved = true
	})
}

// handleUpdate is the routine of an update: from the validator to the answer.
func (r *run) handleUpdate(handler *updateHandler, update *host.Event) {
	// A request to cancel the workflow leaves it alone.
	ctx, _ := NewDisconnectedContext(r.root)
	ctx = WithValue(ctx, updateInfoKey{}, UpdateInfo{ID: update.ID, Name: update.Name})
	arguments, err := argumentsWithContext(ctx, handler.function.Type(), update.Payloads)
	if err == nil && update.RunValidator && handler.options.Validator != nil {
		err = r.validate(ctx, handler.options.Validator, update)
	}
	if err != nil {
		r.refuse(update, err)
		return
	}
	r.host.AcceptUpdate(update.Number)
	result, err := returned(handler.function.Call(arguments))
	var payload host.Payload
	if err == nil {
		if payload, err = encode(result); err != nil {
			err = conversionError(fmt.Errorf("the result of update %s: %w", update.Name, err))
		}
	}
	if err != nil {
		r.host.CompleteUpdate(update.Number, nil, toFailure(err))
		return
	}
	r.host.CompleteUpdate(update.Number, []host.Payload{payload}, nil)
}

// argumentsWithContext reads the arguments of a function whose first parameter may be a context.
func argumentsWithContext(ctx Context, t reflect.Type, input []host.Payload) ([]reflect.Value, error) {
	if t.NumIn() > 0 && t.In(0).Implements(workflowContextType) {
		arguments, err := decodeArguments(input, t, 1)
		return append([]reflect.Value{reflect.ValueOf(ctx)}, arguments...), err
	}
	return decodeArguments(input, t, 0)
}

func (r *run) validate(ctx Context, validator any, update *host.Event) (err error) {
	function := reflect.ValueOf(validator)
	arguments, err := argumentsWithContext(ctx, function.Type(), update.Payloads)
	if err != nil {
		return err
	}
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{value, userStack()}
		}
	}()
	r.reading("an update validator", func() { _, err = returned(function.Call(arguments)) })
	return err
}

// refuse refuses an update; but one that the journal has as accepted fails instead.
func (r *run) refuse(update *host.Event, err error) {
	if update.RunValidator {
		r.host.RejectUpdate(update.Number, toFailure(err))
		return
	}
	r.host.AcceptUpdate(update.Number)
	r.host.CompleteUpdate(update.Number, nil, toFailure(err))
}

// rejectWaitingUpdates refuses those without a handler: nothing can move any more, so whoever wanted to register one
// has had the time for it.
func (r *run) rejectWaitingUpdates() {
	waiting := r.updates.waiting
	r.updates.waiting = nil
	for _, update := range waiting {
		r.refuse(update, NewApplicationError(fmt.Sprintf(
			"Update handler for '%s' expected but not found, and there is no dynamic handler. known updates: [%s]",
			update.Name, strings.Join(sortedKeys(r.updates.handlers), " ")), "UpdateHandlerNotFound", ApplicationErrorOptions{}))
	}
}

// AllHandlersFinished says whether no handler of an update is running.
func AllHandlersFinished(Context) bool { return len(current().updates.running) == 0 }

// GetCurrentUpdateInfo says which update the routine handles; nil where it handles none.
func GetCurrentUpdateInfo(ctx Context) *UpdateInfo {
	if info, ok := ctx.Value(updateInfoKey{}).(UpdateInfo); ok {
		return &info
	}
	return nil
}

// unfinishedUpdates is Temporal's warning, with the names that things have in Go.
const unfinishedUpdates = "[TMPRL1102] Workflow finished while update handlers are still running. This may have " +
	"interrupted work that the update handler was doing, and the client that sent the update will receive a 'workflow " +
	"execution already completed' RPCError instead of the update result. You can wait for all update handlers to " +
	"complete by using `workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })`. Alternatively, " +
	"if both you and the clients sending the update are okay with interrupting running handlers when the workflow " +
	"finishes, and causing clients to receive errors, then you can disable this warning where the handler is " +
	"registered, by `UnfinishedPolicy: workflow.HandlerUnfinishedPolicyAbandon`. The following updates were unfinished " +
	"(and warnings were not disabled for their handler):"

func (r *run) warnOfUnfinishedUpdates() {
	var unfinished []*runningUpdate
	for _, it := range r.updates.running {
		if it.policy == HandlerUnfinishedPolicyWarnAndAbandon {
			unfinished = append(unfinished, it)
		}
	}
	if len(unfinished) == 0 {
		return
	}
	list, _ := json.Marshal(unfinished)
	r.host.Log(host.Warn, unfinishedUpdates+" "+string(list), nil)
}
