//go:build wasip1

// Package abi speaks the canonical ABI of the component model: how guest and host lay the records of wit/ into memory.
package abi

import (
	"time"
	"unsafe"

	"go.temporal.io/sdk/internal/host"
)

//go:wasmimport mainspring:workflow/time@0.1.0 now
func timeNow(result unsafe.Pointer)

//go:wasmimport mainspring:workflow/random@0.1.0 get-bytes
func randomGetBytes(length uint32, result unsafe.Pointer)

//go:wasmimport mainspring:workflow/timers@0.1.0 start
func timersStart(seconds uint64, nanoseconds uint32, hasSummary, summary, summaryLen uint32) uint32

//go:wasmimport mainspring:workflow/timers@0.1.0 cancel
func timersCancel(timer uint32)

//go:wasmimport mainspring:workflow/activities@0.1.0 schedule
func activitiesSchedule(arguments unsafe.Pointer) uint32

//go:wasmimport mainspring:workflow/activities@0.1.0 cancel
func activitiesCancel(activity uint32)

//go:wasmimport mainspring:workflow/children@0.1.0 start
func childrenStart(arguments unsafe.Pointer) uint32

//go:wasmimport mainspring:workflow/children@0.1.0 cancel
func childrenCancel(child uint32)

//go:wasmimport mainspring:workflow/external@0.1.0 signal
func externalSignal(target, targetA, targetB, targetC, targetD, name, nameLen, input, inputLen, header, headerLen uint32) uint32

//go:wasmimport mainspring:workflow/external@0.1.0 cancel-signal
func externalCancelSignal(signal uint32)

//go:wasmimport mainspring:workflow/external@0.1.0 request-cancel
func externalRequestCancel(workflowID, workflowIDLen, runID, runIDLen, reason, reasonLen uint32) uint32

//go:wasmimport mainspring:workflow/updates@0.1.0 accept
func updatesAccept(update uint32)

//go:wasmimport mainspring:workflow/updates@0.1.0 reject
func updatesReject(update, failure, failureLen uint32)

//go:wasmimport mainspring:workflow/updates@0.1.0 complete
func updatesComplete(update, failed, value, valueLen uint32)

//go:wasmimport mainspring:workflow/attributes@0.1.0 upsert-memo
func attributesUpsertMemo(fields, fieldsLen uint32)

//go:wasmimport mainspring:workflow/attributes@0.1.0 upsert-search-attributes
func attributesUpsertSearchAttributes(fields, fieldsLen uint32)

//go:wasmimport mainspring:workflow/versioning@0.1.0 patched
func versioningPatched(id, idLen uint32) uint32

//go:wasmimport mainspring:workflow/versioning@0.1.0 deprecate-patch
func versioningDeprecatePatch(id, idLen uint32)

//go:wasmimport mainspring:workflow/markers@0.1.0 record-marker
func markersRecordMarker(name, nameLen, details, detailsLen, hasFailure, failure, failureLen uint32)

//go:wasmimport mainspring:workflow/info@0.1.0 get
func infoGet(result unsafe.Pointer)

//go:wasmimport mainspring:workflow/info@0.1.0 history
func infoHistory(result unsafe.Pointer)

//go:wasmimport mainspring:workflow/log@0.1.0 write
func logWrite(level, message, messageLen, fields, fieldsLen uint32)

// Imports is the host of a component.
type Imports struct{}

var _ host.Host = Imports{}

// done forgets what was laid down for a call. The host has copied what it wanted, and so have we.
func done() {
	incoming.clear()
	outgoing.clear()
}

func flag(set bool) uint32 {
	if set {
		return 1
	}
	return 0
}

func (Imports) Now() time.Time {
	defer done()
	result, c := outgoing.area(16, 8)
	timeNow(result)
	return c.time()
}

func (Imports) RandomBytes(length uint32) []byte {
	defer done()
	result, c := outgoing.area(8, 4)
	randomGetBytes(length, result)
	return c.bytes()
}

func (Imports) StartTimer(after time.Duration, summary string) uint32 {
	defer done()
	at, length := outgoing.text(summary)
	after = max(after, 0)
	return timersStart(uint64(after/time.Second), uint32(after%time.Second), flag(summary != ""), at, length)
}

func (Imports) CancelTimer(timer uint32) { timersCancel(timer) }

func (Imports) ScheduleActivity(activityType string, input []host.Payload, o *host.ActivityOptions) uint32 {
	defer done()
	arguments, c := outgoing.area(256, 8)
	c.putText(activityType)
	putPayloads(c, input)
	c.align(8)
	c.putOptionalText(o.ActivityID)
	c.putOptionalText(o.TaskQueue)
	c.putOptionalDuration(o.ScheduleToCloseTimeout)
	c.putOptionalDuration(o.ScheduleToStartTimeout)
	c.putOptionalDuration(o.StartToCloseTimeout)
	c.putOptionalDuration(o.HeartbeatTimeout)
	putOptionalRetry(c, o.RetryPolicy)
	c.putU8(uint8(o.CancellationType))
	putFields(c, o.Header)
	c.putOptionalText(o.Summary)
	return activitiesSchedule(arguments)
}

func (Imports) CancelActivity(activity uint32) { activitiesCancel(activity) }

func (Imports) StartChild(workflowType string, input []host.Payload, o *host.ChildOptions) uint32 {
	defer done()
	arguments, c := outgoing.area(320, 8)
	c.putText(workflowType)
	putPayloads(c, input)
	c.align(8)
	c.putOptionalText(o.WorkflowID)
	c.putOptionalText(o.TaskQueue)
	c.putOptionalDuration(o.ExecutionTimeout)
	c.putOptionalDuration(o.RunTimeout)
	c.putOptionalDuration(o.TaskTimeout)
	putOptionalRetry(c, o.RetryPolicy)
	c.putU8(o.ParentClosePolicy)
	c.putU8(o.ReusePolicy)
	c.putU8(uint8(o.CancellationType))
	putFields(c, o.Memo)
	putFields(c, o.SearchAttributes)
	putFields(c, o.Header)
	c.putOptionalText(o.Summary)
	c.putOptionalText(o.Details)
	return childrenStart(arguments)
}

func (Imports) CancelChild(child uint32) { childrenCancel(child) }

func (Imports) Signal(target host.Target, name string, input []host.Payload, header []host.Field) uint32 {
	defer done()
	var kind, a, b, c, d uint32
	if target.Child != 0 {
		a = target.Child
	} else {
		kind = 1
		a, b = outgoing.text(target.WorkflowID)
		c, d = outgoing.text(target.RunID)
	}
	nameAt, nameLen := outgoing.text(name)
	inputAt, inputLen := layPayloads(&outgoing, input)
	headerAt, headerLen := layList(&outgoing, header, fieldBytes, 4, putField)
	return externalSignal(kind, a, b, c, d, nameAt, nameLen, inputAt, inputLen, headerAt, headerLen)
}

func (Imports) CancelSignal(signal uint32) { externalCancelSignal(signal) }

func (Imports) RequestCancel(workflowID, runID, reason string) uint32 {
	defer done()
	a, b := outgoing.text(workflowID)
	c, d := outgoing.text(runID)
	e, f := outgoing.text(reason)
	return externalRequestCancel(a, b, c, d, e, f)
}

func (Imports) AcceptUpdate(update uint32) { updatesAccept(update) }

func (Imports) RejectUpdate(update uint32, reason []host.Failure) {
	defer done()
	at, length := layFailure(&outgoing, reason)
	updatesReject(update, at, length)
}

func (Imports) CompleteUpdate(update uint32, result []host.Payload, failure []host.Failure) {
	defer done()
	if failure != nil {
		at, length := layFailure(&outgoing, failure)
		updatesComplete(update, 1, at, length)
		return
	}
	at, length := layPayloads(&outgoing, result)
	updatesComplete(update, 0, at, length)
}

func (Imports) UpsertMemo(fields []host.Field) {
	defer done()
	attributesUpsertMemo(layList(&outgoing, fields, optFieldBytes, 4, putOptField))
}

func (Imports) UpsertSearchAttributes(fields []host.Field) {
	defer done()
	attributesUpsertSearchAttributes(layList(&outgoing, fields, optFieldBytes, 4, putOptField))
}

func (Imports) Patched(id string) bool {
	defer done()
	return versioningPatched(outgoing.text(id)) != 0
}

func (Imports) DeprecatePatch(id string) {
	defer done()
	versioningDeprecatePatch(outgoing.text(id))
}

func (Imports) RecordMarker(name string, details []host.Detail, failure []host.Failure) {
	defer done()
	nameAt, nameLen := outgoing.text(name)
	detailsAt, detailsLen := layList(&outgoing, details, detailBytes, 4, putDetail)
	failureAt, failureLen := layFailure(&outgoing, failure)
	markersRecordMarker(nameAt, nameLen, detailsAt, detailsLen, flag(failure != nil), failureAt, failureLen)
}

func (Imports) Info() host.Info {
	defer done()
	// More than the record has today: later versions may add to its end.
	result, c := outgoing.area(512, 8)
	infoGet(result)
	return readInfo(c)
}

func (Imports) History() host.HistoryInfo {
	defer done()
	result, c := outgoing.area(12, 4)
	infoHistory(result)
	return host.HistoryInfo{Length: c.u32(), SizeBytes: c.u32(), ContinueAsNewSuggested: c.bool()}
}

func (Imports) Log(level host.Level, message string, fields []host.LogField) {
	defer done()
	messageAt, messageLen := outgoing.text(message)
	fieldsAt, fieldsLen := layList(&outgoing, fields, logFieldBytes, 4, putLogField)
	logWrite(uint32(level), messageAt, messageLen, fieldsAt, fieldsLen)
}
