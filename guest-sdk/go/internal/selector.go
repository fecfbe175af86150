package internal

import "slices"

// Selector waits for the first of several things; workflow.Selector.
type Selector interface {
	AddReceive(c ReceiveChannel, f func(c ReceiveChannel, more bool)) Selector
	AddSend(c SendChannel, v any, f func()) Selector
	AddFuture(future Future, f func(f Future)) Selector
	AddDefault(f func())
	Select(ctx Context)
	HasPending() bool
}

type selector struct {
	cases     []selectorCase
	otherwise func()
}

type selectorCase struct {
	// One of the three.
	future  *future
	receive *channel
	send    *channel
	value   any
	// A future's case is chosen once.
	spent bool
	run   func()
}

// A selection is one wait of a selector: the case that was chosen while it waited, or -1.
type selection struct {
	chosen int
	// What the case was handed, to be received when the selector has its turn.
	value *any
	// Where the selection waits.
	channels []*channel
}

// choose says which case has come. The selection is given one thing only, so it waits nowhere any more.
func (s *selection) choose(index int, value *any) {
	s.chosen, s.value = index, value
	s.detach()
}

func (s *selection) detach() {
	for _, c := range s.channels {
		c.receivers = slices.DeleteFunc(c.receivers, func(it *receiver) bool { return it.selection == s })
		c.senders = slices.DeleteFunc(c.senders, func(it *sender) bool { return it.selection == s })
	}
	s.channels = nil
}

// NewSelector gives a selector without cases.
func NewSelector(Context) Selector { return &selector{} }

func (s *selector) AddReceive(c ReceiveChannel, f func(c ReceiveChannel, more bool)) Selector {
	channel := c.(*channel)
	s.cases = append(s.cases, selectorCase{receive: channel, run: func() {
		// What is there is left for the function to receive.
		more := len(channel.buffer) > 0 || len(channel.senders) > 0 || !channel.closed
		f(c, more)
	}})
	return s
}

func (s *selector) AddSend(c SendChannel, v any, f func()) Selector {
	s.cases = append(s.cases, selectorCase{send: c.(*channel), value: v, run: f})
	return s
}

func (s *selector) AddFuture(f Future, run func(f Future)) Selector {
	inner := f.(interface{ inner() *future }).inner()
	s.cases = append(s.cases, selectorCase{future: inner, run: func() { run(f) }})
	return s
}

func (s *selector) AddDefault(f func()) { s.otherwise = f }

// ready says whether a case could be chosen now.
func (c *selectorCase) ready() bool {
	switch {
	case c.spent:
		return false
	case c.future != nil:
		return c.future.ready
	case c.receive != nil:
		return c.receive.canReceive()
	default:
		return len(c.send.receivers) > 0 || len(c.send.buffer) < c.send.capacity || c.send.closed
	}
}

func (s *selector) HasPending() bool {
	return slices.ContainsFunc(s.cases, func(c selectorCase) bool { return c.ready() })
}

func (s *selector) Select(Context) {
	r := current()
	r.changes("select")
	for i := range s.cases {
		c := &s.cases[i]
		if !c.ready() {
			continue
		}
		if c.send != nil {
			c.send.offer(c.value)
		}
		s.choose(c)
		return
	}
	if s.otherwise != nil {
		s.otherwise()
		return
	}
	s.choose(s.wait(r))
}

func (s *selector) choose(c *selectorCase) {
	c.spent = c.future != nil
	if c.run != nil {
		c.run()
	}
}

// wait waits until a case has come.
func (s *selector) wait(r *run) *selectorCase {
	waiting := &selection{chosen: -1}
	waiter := r.routine()
	for i := range s.cases {
		switch c := &s.cases[i]; {
		case c.spent:
		case c.future != nil:
			c.future.waiters = append(c.future.waiters, waiter)
		case c.receive != nil:
			waiting.channels = append(waiting.channels, c.receive)
			c.receive.receivers = append(c.receive.receivers, &receiver{routine: waiter, selection: waiting, index: i})
		default:
			waiting.channels = append(waiting.channels, c.send)
			c.send.senders = append(c.send.senders, &sender{routine: waiter, value: c.value, selection: waiting, index: i})
		}
	}
	defer s.forget(waiter, waiting)
	for {
		r.wait("a selector")
		if waiting.chosen >= 0 {
			c := &s.cases[waiting.chosen]
			if waiting.value != nil {
				c.receive.buffer = slices.Insert(c.receive.buffer, 0, *waiting.value)
			}
			return c
		}
		for i := range s.cases {
			if c := &s.cases[i]; c.future != nil && c.ready() {
				return c
			}
		}
	}
}

// forget ends the selection's waits.
func (s *selector) forget(waiter *routine, waiting *selection) {
	waiting.detach()
	for i := range s.cases {
		if future := s.cases[i].future; future != nil {
			future.forget(waiter)
		}
	}
}
