//go:build wasip1

package abi

import (
	"unsafe"

	"go.temporal.io/sdk/internal/host"
)

// Guest is what the host calls.
type Guest interface {
	// Describe gives the names of the workflow types.
	Describe() []string
	Start(workflowType string, input []host.Payload) host.Status
	Resume(events []host.Event) host.Status
	AnswerQuery(query host.Query) ([]host.Payload, []host.Failure)
}

var guest Guest

// Serve lets the host call this guest.
func Serve(g Guest) { guest = g }

//go:wasmexport describe
func describe() unsafe.Pointer {
	returned.clear()
	names := guest.Describe()
	result, c := returned.area(8, 4)
	putList(c, names, textBytes, 4, putTextItem)
	return result
}

//go:wasmexport start
func start(workflowType, workflowTypeLen, input, inputLen uint32) unsafe.Pointer {
	returned.clear()
	name := text(workflowType, workflowTypeLen)
	payloads := list(input, inputLen, payloadBytes, readPayload)
	incoming.clear()
	status := guest.Start(name, payloads)
	return layStatus(&status)
}

//go:wasmexport resume
func resume(events, eventsLen uint32) unsafe.Pointer {
	returned.clear()
	read := list(events, eventsLen, eventBytes, readEvent)
	incoming.clear()
	status := guest.Resume(read)
	return layStatus(&status)
}

//go:wasmexport answer-query
func answerQuery(name, nameLen, args, argsLen, header, headerLen uint32) unsafe.Pointer {
	returned.clear()
	query := host.Query{
		Name:   text(name, nameLen),
		Args:   list(args, argsLen, payloadBytes, readPayload),
		Header: list(header, headerLen, fieldBytes, readField),
	}
	incoming.clear()
	answer, failure := guest.AnswerQuery(query)
	result, c := returned.area(12, 4)
	c.putBool(failure != nil)
	c.align(4)
	if failure != nil {
		putFailure(c, failure)
	} else {
		putPayloads(c, answer)
	}
	return result
}

func layStatus(status *host.Status) unsafe.Pointer {
	result, c := returned.area(8+continuationBytes, 8)
	putStatus(c, status)
	return result
}
