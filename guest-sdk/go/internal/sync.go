package internal

import (
	"errors"
	"slices"
)

// WaitGroup waits for several routines; workflow.WaitGroup.
type WaitGroup interface {
	Add(delta int)
	Done()
	Wait(ctx Context)
	Go(ctx Context, f func(ctx Context))
}

type waitGroup struct {
	count   int
	waiters []*routine
}

// NewWaitGroup gives a group of none.
func NewWaitGroup(Context) WaitGroup { return &waitGroup{} }

func (g *waitGroup) Add(delta int) {
	g.count += delta
	if g.count < 0 {
		panic("negative WaitGroup counter")
	}
	if g.count == 0 {
		for _, waiter := range g.waiters {
			waiter.wake()
		}
		g.waiters = nil
	}
}

func (g *waitGroup) Done() { g.Add(-1) }

func (g *waitGroup) Wait(Context) {
	for g.count > 0 {
		r := current()
		g.waiters = append(g.waiters, r.routine())
		r.wait("a wait group")
	}
}

func (g *waitGroup) Go(ctx Context, f func(ctx Context)) {
	g.Add(1)
	Go(ctx, "", func(ctx Context) {
		defer g.Done()
		f(ctx)
	})
}

// Mutex is held by one at a time; workflow.Mutex.
type Mutex interface {
	Lock(ctx Context) error
	TryLock(ctx Context) bool
	Unlock()
	IsLocked() bool
}

type mutex struct{ semaphore semaphore }

// NewMutex gives one that nobody holds.
func NewMutex(Context) Mutex { return &mutex{semaphore{size: 1, what: "a mutex"}} }

func (m *mutex) Lock(ctx Context) error   { return m.semaphore.Acquire(ctx, 1) }
func (m *mutex) TryLock(ctx Context) bool { return m.semaphore.TryAcquire(ctx, 1) }
func (m *mutex) IsLocked() bool           { return m.semaphore.taken > 0 }

func (m *mutex) Unlock() {
	if !m.IsLocked() {
		panic("Mutex.Unlock() was called on an unlocked mutex")
	}
	m.semaphore.Release(1)
}

// Semaphore is held by so many at a time; workflow.Semaphore.
type Semaphore interface {
	Acquire(ctx Context, n int64) error
	TryAcquire(ctx Context, n int64) bool
	Release(n int64)
}

type semaphore struct {
	size, taken int64
	what        string
	// Those who wait, in the order of asking.
	queue []*acquisition
}

type acquisition struct {
	routine *routine
	n       int64
	granted bool
}

// NewSemaphore gives one of this size.
func NewSemaphore(_ Context, n int64) Semaphore { return &semaphore{size: n, what: "a semaphore"} }

func (s *semaphore) TryAcquire(_ Context, n int64) bool {
	current().changes("acquire " + s.what)
	if len(s.queue) > 0 || s.taken+n > s.size {
		return false
	}
	s.taken += n
	return true
}

func (s *semaphore) Acquire(ctx Context, n int64) error {
	if n > s.size {
		return errors.New("more is asked of the semaphore than it has")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.TryAcquire(ctx, n) {
		return nil
	}
	r := current()
	it := &acquisition{routine: r.routine(), n: n}
	s.queue = append(s.queue, it)
	// A canceled context ends the wait, as it ends an Await.
	a := &await{it.routine}
	r.awaits = append(r.awaits, a)
	defer func() {
		r.awaits = slices.DeleteFunc(r.awaits, func(other *await) bool { return other == a })
	}()
	for !it.granted {
		if err := ctx.Err(); err != nil {
			s.queue = slices.DeleteFunc(s.queue, func(other *acquisition) bool { return other == it })
			s.grant()
			return err
		}
		r.wait(s.what)
	}
	return nil
}

func (s *semaphore) Release(n int64) {
	current().changes("release " + s.what)
	s.taken -= n
	if s.taken < 0 {
		panic("Semaphore.Release() released more than held")
	}
	s.grant()
}

// grant gives what is free to those who wait, in their order.
func (s *semaphore) grant() {
	for len(s.queue) > 0 && s.taken+s.queue[0].n <= s.size {
		next := s.queue[0]
		s.queue = s.queue[1:]
		s.taken += next.n
		next.granted = true
		next.routine.wake()
	}
}
