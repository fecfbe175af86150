package internal

import "slices"

// Future is a value that will come, or an error; workflow.Future.
type Future interface {
	Get(ctx Context, valuePtr any) error
	IsReady() bool
}

// Settable sets a future; workflow.Settable.
type Settable interface {
	Set(value any, err error)
	SetValue(value any)
	SetError(err error)
	Chain(future Future)
}

type future struct {
	ready bool
	value any
	err   error
	// What its waiters wait for, for people.
	waits   string
	waiters []*routine
	chained []*future
}

func newFuture(waits string) *future { return &future{waits: waits} }

// NewFuture gives a future, and what sets it.
func NewFuture(Context) (Future, Settable) {
	f := newFuture("a future")
	return f, f
}

// failed gives a future that is ready with an error.
func failed(err error) *future {
	f := newFuture("")
	f.set(nil, err)
	return f
}

func (f *future) IsReady() bool { return f.ready }

func (f *future) Get(ctx Context, valuePtr any) error {
	f.await()
	if f.err != nil {
		return f.err
	}
	if err := assign(f.value, valuePtr); err != nil {
		return conversionError(err)
	}
	return nil
}

func (f *future) await() {
	if f.ready {
		return
	}
	r := current()
	waiter := r.routine()
	f.waiters = append(f.waiters, waiter)
	for !f.ready {
		r.wait(f.waits)
	}
}

func (f *future) forget(waiter *routine) {
	f.waiters = slices.DeleteFunc(f.waiters, func(other *routine) bool { return other == waiter })
}

// set does nothing where the future is ready already.
func (f *future) set(value any, err error) {
	if f.ready {
		return
	}
	f.ready, f.value, f.err = true, value, err
	for _, waiter := range f.waiters {
		waiter.wake()
	}
	f.waiters = nil
	for _, chained := range f.chained {
		chained.set(value, err)
	}
	f.chained = nil
}

func (f *future) Set(value any, err error) {
	current().changes("set a future")
	if f.ready {
		panic("a future is set only once")
	}
	f.set(value, err)
}

func (f *future) SetValue(value any) { f.Set(value, nil) }
func (f *future) SetError(err error) { f.Set(nil, err) }

func (f *future) Chain(other Future) {
	source := other.(interface{ inner() *future }).inner()
	if source.ready {
		f.Set(source.value, source.err)
		return
	}
	source.chained = append(source.chained, f)
}

func (f *future) inner() *future { return f }
