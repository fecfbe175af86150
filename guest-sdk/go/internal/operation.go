package internal

import (
	"fmt"
	"math"
	"slices"
	"time"

	"go.temporal.io/sdk/internal/host"
)

// An operation is what the workflow has started and can await.
type operation struct {
	ctx Context
	// Asks the host to cancel it; the end follows as an event, but for a timer.
	cancel     func(number uint32)
	cancelSent bool
	future     *future
	// Of a child: resolves when it has begun.
	begun *future
}

// start starts an operation, unless its context is canceled: then it is resolved as canceled without being started.
// Where the run has ended, the host is not asked, and the operation never resolves.
func (r *run) start(ctx Context, action, what string, start func() uint32, cancel func(uint32)) *operation {
	o := &operation{ctx: ctx, cancel: cancel, future: newFuture(what)}
	if err := ctx.Err(); err != nil {
		o.future.set(nil, err)
		return o
	}
	var number uint32
	if r.command(action) {
		number = start()
	} else {
		// From the other end: the host counts up.
		r.lastUnsaid++
		number = math.MaxUint32 - r.lastUnsaid
	}
	o.future.waits = fmt.Sprintf("%s (operation %d)", what, number)
	r.operations[number] = o
	return o
}

// resolve tells that an operation has ended. A timer may fire in the very batch of events that cancels it: what came
// first stands.
func (r *run) resolve(number uint32, payloads []host.Payload, err error) {
	o := r.operations[number]
	if o == nil {
		return
	}
	delete(r.operations, number)
	if o.begun != nil && !o.begun.ready {
		o.begun.set(nil, err)
	}
	o.future.set(encodedPayloads(payloads), err)
}

// cancelOperations cancels, in the order of their start, the operations whose contexts are canceled.
func (r *run) cancelOperations() {
	var canceled []uint32
	for number, o := range r.operations {
		if !o.cancelSent && o.ctx.Err() != nil {
			canceled = append(canceled, number)
		}
	}
	slices.Sort(canceled)
	for _, number := range canceled {
		r.operations[number].cancelSent = true
		if cancel := r.operations[number].cancel; cancel != nil {
			cancel(number)
		}
	}
}

// NewTimer starts a timer. No time at all is over at once.
func NewTimer(ctx Context, after time.Duration, summary string) Future {
	r := current()
	if after <= 0 {
		f := newFuture("a timer")
		f.set(nil, ctx.Err())
		return f
	}
	o := r.start(ctx, "start a timer", fmt.Sprintf("a timer of %s", after),
		func() uint32 { return r.host.StartTimer(after, summary) },
		func(number uint32) {
			if r.command("cancel a timer") {
				r.host.CancelTimer(number)
			}
			r.resolve(number, nil, ErrCanceled)
		})
	return o.future
}

// Sleep waits for this long.
func Sleep(ctx Context, d time.Duration) error {
	return NewTimer(ctx, d, "").Get(ctx, nil)
}
