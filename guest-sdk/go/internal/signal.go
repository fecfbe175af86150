package internal

import (
	"math"
	"slices"

	"go.temporal.io/sdk/internal/host"
)

// signals are those that a run has received, by name, until somebody receives them.
type signals struct {
	channels map[string]*channel
	// Names that the workflow has asked for.
	listened map[string]bool
}

func (s *signals) channel(name string) *channel {
	if s.channels == nil {
		s.channels = make(map[string]*channel)
		s.listened = make(map[string]bool)
	}
	c := s.channels[name]
	if c == nil {
		// They are kept until they are asked for, however many they are.
		c = newChannel(name, math.MaxInt)
		s.channels[name] = c
	}
	return c
}

func (s *signals) receive(name string, input []host.Payload) {
	s.channel(name).offer(encodedPayloads(input))
}

func (s *signals) names() []string {
	var names []string
	for name := range s.listened {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// GetSignalChannel gives the signals of this name, also those that came before anybody asked.
func GetSignalChannel(_ Context, name string) ReceiveChannel {
	r := current()
	c := r.signals.channel(name)
	r.signals.listened[name] = true
	return c
}

// GetUnhandledSignalNames gives the names of the signals that nobody has received yet.
func GetUnhandledSignalNames(Context) []string {
	var names []string
	for name, c := range current().signals.channels {
		if c.Len() > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
