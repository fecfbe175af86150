package internal

import (
	"fmt"

	"go.temporal.io/sdk/internal/host"
)

// Version is a version of a change; workflow.Version.
type Version int

// DefaultVersion is that of runs that were here before the change.
const DefaultVersion Version = -1

// GetVersion gives the version of a change that this run has taken: the newest in runs that come here for the first
// time, which the journal remembers; in a replay the one that it remembers. The same in all of a run.
//
// The host knows patches, which have no number: each version is a patch of its own, by the name that Temporal lists it
// by, such as "refund-2".
func GetVersion(_ Context, changeID string, minSupported, maxSupported Version) Version {
	r := current()
	version, known := r.versions[changeID]
	if !known {
		version = DefaultVersion
		if !r.command("ask for a version") {
			version = maxSupported
		} else {
			for candidate := maxSupported; candidate > DefaultVersion && candidate >= minSupported; candidate-- {
				if r.host.Patched(fmt.Sprintf("%s-%d", changeID, candidate)) {
					version = candidate
					break
				}
			}
		}
		r.versions[changeID] = version
	}
	if version < minSupported {
		panic(fmt.Sprintf("the workflow has no code any more for version %d of change %q: its oldest is %d", version, changeID, minSupported))
	}
	if version > maxSupported {
		panic(fmt.Sprintf("the workflow has no code for version %d of change %q: its newest is %d", version, changeID, maxSupported))
	}
	return version
}

// SideEffect computes a value at once, and keeps it in the history. What it gives is the same each time, as everything
// in a workflow here.
func SideEffect(ctx Context, effect func(ctx Context) any) *EncodedValue {
	r := current()
	payload := r.effect(ctx, "a side effect", effect)
	if r.command("have a side effect") {
		r.host.RecordMarker("SideEffect", []host.Detail{{Key: "data", Values: []host.Payload{payload}}}, nil)
	}
	return &EncodedValue{[]host.Payload{payload}}
}

// MutableSideEffect computes a value at once, and keeps it in the history where it differs from the last of this id.
func MutableSideEffect(ctx Context, id string, effect func(ctx Context) any, equals func(a, b any) bool) *EncodedValue {
	r := current()
	var value any
	payload := r.effect(ctx, "a mutable side effect", func(ctx Context) any {
		value = effect(ctx)
		return value
	})
	last, known := r.mutable[id]
	if !known || !equals(last, value) {
		r.mutable[id] = value
		if r.command("have a mutable side effect") {
			name, _ := encode(id)
			r.host.RecordMarker("MutableSideEffect", []host.Detail{
				{Key: "side-effect-id", Values: []host.Payload{name}},
				{Key: "data", Values: []host.Payload{payload}},
			}, nil)
		}
		return &EncodedValue{[]host.Payload{payload}}
	}
	kept, err := encode(last)
	if err != nil {
		panic(fmt.Sprintf("the value of a mutable side effect: %v", err))
	}
	return &EncodedValue{[]host.Payload{kept}}
}

func (r *run) effect(ctx Context, what string, effect func(ctx Context) any) host.Payload {
	r.changes("have " + what)
	var value any
	r.reading(what, func() { value = effect(ctx) })
	payload, err := encode(value)
	if err != nil {
		panic(fmt.Sprintf("the value of %s: %v", what, err))
	}
	return payload
}
