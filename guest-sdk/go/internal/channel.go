package internal

import (
	"fmt"
	"slices"
	"time"
)

// ReceiveChannel is the end of a channel that is read; workflow.ReceiveChannel.
type ReceiveChannel interface {
	Name() string
	Receive(ctx Context, valuePtr any) (more bool)
	ReceiveWithTimeout(ctx Context, timeout time.Duration, valuePtr any) (ok, more bool)
	ReceiveAsync(valuePtr any) (ok bool)
	ReceiveAsyncWithMoreFlag(valuePtr any) (ok, more bool)
	Len() int
}

// SendChannel is the end of a channel that is written; workflow.SendChannel.
type SendChannel interface {
	Name() string
	Send(ctx Context, v any)
	SendAsync(v any) (ok bool)
	Close()
	Len() int
}

// Channel is both ends; workflow.Channel.
type Channel interface {
	Name() string
	Receive(ctx Context, valuePtr any) (more bool)
	ReceiveWithTimeout(ctx Context, timeout time.Duration, valuePtr any) (ok, more bool)
	ReceiveAsync(valuePtr any) (ok bool)
	ReceiveAsyncWithMoreFlag(valuePtr any) (ok, more bool)
	Send(ctx Context, v any)
	SendAsync(v any) (ok bool)
	Close()
	Len() int
}

type channel struct {
	name     string
	capacity int
	// What has been sent and not been received.
	buffer []any
	closed bool
	// Routines that wait to receive or to send, in the order of asking.
	receivers []*receiver
	senders   []*sender
}

type receiver struct {
	routine *routine
	// Handed over, or nil while it waits; of a plain receive.
	value *any
	// It waits no more.
	done bool
	// The selector that it is a case of, or nil.
	selection *selection
	index     int
}

type sender struct {
	routine   *routine
	value     any
	done      bool
	selection *selection
	index     int
}

func newChannel(name string, capacity int) *channel {
	return &channel{name: name, capacity: capacity}
}

// NewChannel gives a channel that holds this many values.
func NewChannel(_ Context, name string, capacity int) Channel { return newChannel(name, capacity) }

func (c *channel) Name() string { return c.name }
func (c *channel) Len() int     { return len(c.buffer) }

// canReceive says whether a receive would not wait.
func (c *channel) canReceive() bool {
	return len(c.buffer) > 0 || len(c.senders) > 0 || c.closed
}

// take receives without waiting. Ok says whether there was something, or the channel is closed.
func (c *channel) take() (value any, ok, more bool) {
	if len(c.buffer) > 0 {
		value = c.buffer[0]
		c.buffer = slices.Delete(c.buffer, 0, 1)
		// There is room for who waits to send.
		for len(c.senders) > 0 && len(c.buffer) < c.capacity {
			c.buffer = append(c.buffer, c.nextSender())
		}
		return value, true, true
	}
	if len(c.senders) > 0 {
		return c.nextSender(), true, true
	}
	return nil, c.closed, !c.closed
}

// nextSender lets the first of those who wait to send go on.
func (c *channel) nextSender() any {
	s := c.senders[0]
	c.senders = c.senders[1:]
	s.done = true
	if s.selection != nil {
		s.selection.choose(s.index, nil)
	}
	s.routine.wake()
	return s.value
}

// offer sends without waiting, if it can.
func (c *channel) offer(value any) bool {
	if c.closed {
		panic(fmt.Sprintf("send on closed channel %q", c.name))
	}
	if len(c.receivers) > 0 {
		next := c.receivers[0]
		c.receivers = c.receivers[1:]
		next.done = true
		if next.selection != nil {
			next.selection.choose(next.index, &value)
		} else {
			next.value = &value
		}
		next.routine.wake()
		return true
	}
	if len(c.buffer) < c.capacity {
		c.buffer = append(c.buffer, value)
		return true
	}
	return false
}

func (c *channel) Receive(_ Context, valuePtr any) bool {
	for {
		value, more := c.receive()
		if !more {
			assignOrPanic(c, nil, valuePtr)
			return false
		}
		if c.accept(value, valuePtr) {
			return true
		}
	}
}

func (c *channel) receive() (value any, more bool) {
	value, ok, more := c.take()
	if ok {
		return value, more
	}
	r := current()
	waiting := &receiver{routine: r.routine()}
	c.receivers = append(c.receivers, waiting)
	for !waiting.done {
		r.wait("channel " + c.name)
	}
	if waiting.value == nil {
		return nil, false
	}
	return *waiting.value, true
}

// accept reads a value into what the pointer points to. A signal that cannot be read is logged and left out: whoever
// sends rubbish must not be able to stop the workflow.
func (c *channel) accept(value, valuePtr any) bool {
	if _, fromOutside := value.(encodedPayloads); !fromOutside {
		assignOrPanic(c, value, valuePtr)
		return true
	}
	if err := assign(value, valuePtr); err != nil {
		Logger{}.Warn("left out a signal that cannot be read: "+err.Error(), "signal", c.name)
		return false
	}
	return true
}

func assignOrPanic(c *channel, value, valuePtr any) {
	if err := assign(value, valuePtr); err != nil {
		panic(fmt.Sprintf("channel %s: %v", c.name, err))
	}
}

func (c *channel) ReceiveWithTimeout(ctx Context, timeout time.Duration, valuePtr any) (ok, more bool) {
	if ok, more = c.ReceiveAsyncWithMoreFlag(valuePtr); ok || !more {
		return ok, more
	}
	timerContext, cancel := WithCancel(ctx)
	timer := NewTimer(timerContext, timeout, "")
	var s selector
	s.AddReceive(c, func(ReceiveChannel, bool) { ok, more = c.ReceiveAsyncWithMoreFlag(valuePtr) })
	s.AddFuture(timer, func(Future) {})
	for !ok && more && !timer.IsReady() {
		s.Select(ctx)
	}
	if !timer.IsReady() {
		cancel()
	}
	return ok, more
}

func (c *channel) ReceiveAsync(valuePtr any) bool {
	ok, _ := c.ReceiveAsyncWithMoreFlag(valuePtr)
	return ok
}

func (c *channel) ReceiveAsyncWithMoreFlag(valuePtr any) (ok, more bool) {
	current().changes("receive from a channel")
	for {
		value, ok, more := c.take()
		if !ok || !more {
			return false, more
		}
		if c.accept(value, valuePtr) {
			return true, true
		}
	}
}

func (c *channel) Send(_ Context, value any) {
	r := current()
	r.changes("send to a channel")
	if c.offer(value) {
		return
	}
	waiting := &sender{routine: r.routine(), value: value}
	c.senders = append(c.senders, waiting)
	for !waiting.done {
		r.wait("room in channel " + c.name)
	}
	if c.closed {
		panic(fmt.Sprintf("send on closed channel %q", c.name))
	}
}

func (c *channel) SendAsync(value any) bool {
	current().changes("send to a channel")
	return c.offer(value)
}

func (c *channel) Close() {
	current().changes("close a channel")
	c.close()
}

func (c *channel) close() {
	if c.closed {
		return
	}
	c.closed = true
	receivers, senders := c.receivers, c.senders
	c.receivers, c.senders = nil, nil
	for _, waiting := range receivers {
		waiting.done = true
		if waiting.selection != nil && waiting.selection.chosen < 0 {
			waiting.selection.choose(waiting.index, nil)
		}
		waiting.routine.wake()
	}
	for _, waiting := range senders {
		waiting.done = true
		if waiting.selection != nil && waiting.selection.chosen < 0 {
			waiting.selection.choose(waiting.index, nil)
		}
		waiting.routine.wake()
	}
}
