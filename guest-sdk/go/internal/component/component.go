//go:build wasip1

// Package component makes the program a workflow component: it answers the host.
package component

import (
	_ "unsafe" // for go:linkname

	"go.temporal.io/sdk/internal"
	"go.temporal.io/sdk/internal/abi"
)

// A component's main is called by nobody: the host calls exports. It is ours to call, once, as it registers the
// workflows.
//
//go:linkname mainMain main.main
func mainMain()

func init() {
	abi.Serve(internal.Guest{Host: abi.Imports{}, Main: mainMain})
}
