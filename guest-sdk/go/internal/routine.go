package internal

import (
	"fmt"
	"iter"
	"runtime/debug"
	"strings"
)

// A routine is one of the workflow's coroutines. It runs only while the run has handed it the turn, and hands it back
// where it waits or ends: so Go's own scheduler has no say in their order.
type routine struct {
	id    int
	name  string
	next  func() (struct{}, bool)
	yield func(struct{}) bool
	// It may have its turn.
	ready bool
	ended bool
	// What it waits for, for people.
	waits string
	// What it panicked with, and where.
	panicked any
	stack    string
}

// spawn adds a routine, which is ready to run. Routines have their turns in the order in which they were added.
func (r *run) spawn(name string, body func()) *routine {
	r.changes("start a routine")
	r.lastRoutine++
	c := &routine{id: r.lastRoutine, name: name, ready: true}
	if name == "" {
		c.name = fmt.Sprintf("routine %d", c.id)
	}
	c.next, _ = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		defer func() {
			if value := recover(); value != nil {
				c.panicked, c.stack = value, userStack()
			}
		}()
		body()
	})
	r.routines = append(r.routines, c)
	return c
}

// turn lets a routine run until it waits or ends.
func (r *run) turn(c *routine) {
	outer := r.current
	r.current, c.ready = c, false
	_, more := c.next()
	r.current = outer
	c.ended = !more
	if c.panicked != nil {
		r.crash(c.panicked, c.stack)
	}
}

// wait hands the turn back. Whoever calls it looks afterwards whether what it waits for has come.
func (r *run) wait(what string) {
	c := r.routine()
	c.waits = what
	c.yield(struct{}{})
	c.waits = ""
}

// routine is the one that has the turn.
func (r *run) routine() *routine {
	r.changes("wait")
	if r.current == nil {
		panic("this function waits, so it works only in the routines of a workflow: where workflow.Go or the workflow itself runs it")
	}
	return r.current
}

func (c *routine) wake() { c.ready = true }

// runRoutines gives every routine that is ready its turn, in the order in which they began, until none is.
func (r *run) runRoutines() {
	for progress := true; progress; {
		progress = false
		// What is spawned meanwhile has its turn in the same round.
		for i := 0; i < len(r.routines); i++ {
			if c := r.routines[i]; c.ready && !c.ended {
				r.turn(c)
				progress = true
			}
		}
		r.forgetEnded()
	}
}

func (r *run) forgetEnded() {
	kept := r.routines[:0]
	for _, c := range r.routines {
		if !c.ended {
			kept = append(kept, c)
		}
	}
	clear(r.routines[len(kept):])
	r.routines = kept
}

// stackTrace says what each routine waits for, for people.
func (r *run) stackTrace() string {
	var text strings.Builder
	for _, c := range r.routines {
		waits := c.waits
		if waits == "" {
			waits = "its turn"
		}
		fmt.Fprintf(&text, "%s waits for\n    %s\n", c.name, waits)
	}
	return text.String()
}

// stackBytesMax is how much of a stack is told, so that the message of the panic stays in sight: the host quotes the
// last 2 KiB.
const stackBytesMax = 1200

// userStack is the stack of a panic, without what the runtime and this package do.
func userStack() string {
	lines := strings.Split(string(debug.Stack()), "\n")
	// Up to the panic itself; then frames of two lines each.
	for i, line := range lines {
		if strings.HasPrefix(line, "panic(") {
			lines = lines[i+2:]
			break
		}
	}
	var text strings.Builder
	for i := 0; i+1 < len(lines); i += 2 {
		if strings.HasPrefix(lines[i], "go.temporal.io/sdk/internal.") || strings.HasPrefix(lines[i], "created by ") ||
			strings.HasPrefix(lines[i], "iter.Pull") || strings.HasPrefix(lines[i], "runtime.") ||
			strings.HasPrefix(lines[i], "reflect.") {
			continue
		}
		if text.Len()+len(lines[i])+len(lines[i+1]) > stackBytesMax {
			break
		}
		text.WriteString(lines[i] + "\n" + lines[i+1] + "\n")
	}
	return text.String()
}

// Go begins a routine.
func Go(ctx Context, name string, body func(ctx Context)) {
	current().spawn(name, func() { body(ctx) })
}
