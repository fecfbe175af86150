package internal

import (
	"slices"
	"time"
)

// Context carries a routine's cancellation and options; workflow.Context.
type Context interface {
	Deadline() (deadline time.Time, ok bool)
	Done() Channel
	Err() error
	Value(key any) any
}

// CancelFunc cancels a context.
type CancelFunc func()

type rootContext struct{}

func (rootContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (rootContext) Done() Channel               { return nil }
func (rootContext) Err() error                  { return nil }
func (rootContext) Value(any) any               { return nil }

type valueContext struct {
	Context
	key, value any
}

func (c *valueContext) Value(key any) any {
	if key == c.key {
		return c.value
	}
	return c.Context.Value(key)
}

// WithValue gives a context with a value.
func WithValue(parent Context, key, value any) Context {
	return &valueContext{parent, key, value}
}

type cancelContextKey struct{}

type cancelContext struct {
	Context
	done     *channel
	err      error
	above    *cancelContext
	children []*cancelContext
}

func (c *cancelContext) Done() Channel { return c.done }
func (c *cancelContext) Err() error    { return c.err }

func (c *cancelContext) Value(key any) any {
	if key == (cancelContextKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// WithCancel gives a context that can be canceled, and is canceled with its parent.
func WithCancel(parent Context) (Context, CancelFunc) {
	c := &cancelContext{Context: parent, done: newChannel("done", 0)}
	if above, ok := parent.Value(cancelContextKey{}).(*cancelContext); ok {
		if above.err != nil {
			c.err = above.err
			c.done.close()
		} else {
			c.above = above
			above.children = append(above.children, c)
		}
	}
	return c, func() {
		current().changes("cancel a context")
		current().cancel(c)
	}
}

type disconnectedContext struct{ Context }

func (disconnectedContext) Done() Channel { return nil }
func (disconnectedContext) Err() error    { return nil }

func (c disconnectedContext) Value(key any) any {
	if key == (cancelContextKey{}) {
		return nil
	}
	return c.Context.Value(key)
}

// NewDisconnectedContext gives a context with the parent's values, which is not canceled with it.
func NewDisconnectedContext(parent Context) (Context, CancelFunc) {
	return WithCancel(disconnectedContext{parent})
}

// cancel cancels a context and those below it: first what has been started in them, in the order of its start; then
// whoever waits for them learns of it.
func (r *run) cancel(c *cancelContext) {
	if c.err != nil {
		return
	}
	if c.above != nil {
		c.above.children = slices.DeleteFunc(c.above.children, func(child *cancelContext) bool { return child == c })
		c.above = nil
	}
	canceled := c.mark(nil)
	r.cancelOperations()
	for _, c := range canceled {
		c.done.close()
	}
	// Awaits look at their contexts again.
	r.moved = true
}

func (c *cancelContext) mark(canceled []*cancelContext) []*cancelContext {
	c.err = ErrCanceled
	canceled = append(canceled, c)
	for _, child := range c.children {
		child.above = nil
		canceled = child.mark(canceled)
	}
	c.children = nil
	return canceled
}
