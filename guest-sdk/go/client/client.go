// Package client lets the main function of a worker compile. A component reaches no server: clients are programs of
// their own.
package client

import (
	"go.temporal.io/sdk/log"
)

const (
	// DefaultHostPort is where a server listens unless it is told otherwise.
	DefaultHostPort = "localhost:7233"
	// DefaultNamespace is the namespace of who names none.
	DefaultNamespace = "default"
)

// Options are there so that code which sets them compiles.
type Options struct {
	HostPort  string
	Namespace string
	Identity  string
	Logger    log.Logger
}

// Client is what a worker is made with.
type Client interface {
	Close()
}

type client struct{}

func (client) Close() {}

// Dial gives a client that can do nothing.
func Dial(options Options) (Client, error) { return client{}, nil }

// NewLazyClient gives a client that can do nothing.
func NewLazyClient(options Options) (Client, error) { return client{}, nil }
