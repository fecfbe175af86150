//go:build wasip1

package abi

import "go.temporal.io/sdk/internal/host"

// Sizes of records in a list, in bytes; see the canonical ABI.
const (
	textBytes     = 8
	entryBytes    = 16 // tuple<string, list<u8>>
	payloadBytes  = 16
	fieldBytes    = 24 // tuple<string, payload>
	optFieldBytes = 28 // tuple<string, option<payload>>
	detailBytes   = 16 // tuple<string, payloads>
	logFieldBytes = 16 // tuple<string, string>
	linkBytes     = 112
	eventBytes    = 52
	retryBytes    = 72
	// Of the variants that these are in.
	failureKindBytes  = 64
	continuationBytes = 192
)

func readEntry(c *cursor) host.Entry {
	return host.Entry{Key: c.text(), Value: c.bytes()}
}

func putEntry(c *cursor, e *host.Entry) {
	c.putText(e.Key)
	c.putBytes(e.Value)
}

func readPayload(c *cursor) host.Payload {
	return host.Payload{Metadata: readList(c, entryBytes, readEntry), Data: c.bytes()}
}

func putPayload(c *cursor, p *host.Payload) {
	putList(c, p.Metadata, entryBytes, 4, putEntry)
	c.putBytes(p.Data)
}

func readPayloads(c *cursor) []host.Payload { return readList(c, payloadBytes, readPayload) }

func putPayloads(c *cursor, payloads []host.Payload) {
	putList(c, payloads, payloadBytes, 4, putPayload)
}

func layPayloads(a *arena, payloads []host.Payload) (at, length uint32) {
	return layList(a, payloads, payloadBytes, 4, putPayload)
}

func readField(c *cursor) host.Field {
	key := c.text()
	value := readPayload(c)
	return host.Field{Key: key, Value: &value}
}

func readFields(c *cursor) []host.Field { return readList(c, fieldBytes, readField) }

func putField(c *cursor, f *host.Field) {
	c.putText(f.Key)
	putPayload(c, f.Value)
}

func putFields(c *cursor, fields []host.Field) { putList(c, fields, fieldBytes, 4, putField) }

func putOptionalFields(c *cursor, fields *[]host.Field) {
	c.align(4)
	c.putBool(fields != nil)
	c.align(4)
	if fields != nil {
		putFields(c, *fields)
	} else {
		c.skip(textBytes)
	}
}

func putOptField(c *cursor, f *host.Field) {
	c.putText(f.Key)
	putOptionalPayload(c, f.Value)
}

func readOptionalPayload(c *cursor) *host.Payload {
	c.align(4)
	present := c.bool()
	c.align(4)
	if !present {
		c.skip(payloadBytes)
		return nil
	}
	payload := readPayload(c)
	return &payload
}

func putOptionalPayload(c *cursor, p *host.Payload) {
	c.align(4)
	c.putBool(p != nil)
	c.align(4)
	if p != nil {
		putPayload(c, p)
	} else {
		c.skip(payloadBytes)
	}
}

func putDetail(c *cursor, d *host.Detail) {
	c.putText(d.Key)
	putPayloads(c, d.Values)
}

func putLogField(c *cursor, f *host.LogField) {
	c.putText(f.Key)
	c.putText(f.Value)
}

func readText(c *cursor) string { return c.text() }

func putTextItem(c *cursor, s *string) { c.putText(*s) }

func readOptionalRetry(c *cursor) *host.RetryPolicy {
	c.align(8)
	present := c.bool()
	c.align(8)
	if !present {
		c.skip(retryBytes)
		return nil
	}
	policy := &host.RetryPolicy{
		InitialInterval:        c.durationPointer(),
		BackoffCoefficient:     c.f64(),
		MaximumInterval:        c.durationPointer(),
		MaximumAttempts:        c.u32(),
		NonRetryableErrorTypes: readList(c, textBytes, readText),
	}
	c.align(8)
	return policy
}

func putOptionalRetry(c *cursor, p *host.RetryPolicy) {
	c.align(8)
	c.putBool(p != nil)
	c.align(8)
	if p == nil {
		c.skip(retryBytes)
		return
	}
	c.putDurationPointer(p.InitialInterval)
	c.putF64(p.BackoffCoefficient)
	c.putDurationPointer(p.MaximumInterval)
	c.putU32(p.MaximumAttempts)
	putList(c, p.NonRetryableErrorTypes, textBytes, 4, putTextItem)
	c.align(8)
}

func readFailure(c *cursor) []host.Failure { return readList(c, linkBytes, readLink) }

func putFailure(c *cursor, failure []host.Failure) { putList(c, failure, linkBytes, 8, putLink) }

func layFailure(a *arena, failure []host.Failure) (at, length uint32) {
	return layList(a, failure, linkBytes, 8, putLink)
}

func readLink(c *cursor) host.Failure {
	f := host.Failure{Message: c.text(), Source: c.text(), StackTrace: c.text()}
	c.align(8)
	start := c.at
	f.Kind = host.FailureKind(c.u8())
	c.align(8)
	switch f.Kind {
	case host.KindApplication:
		f.Type, f.NonRetryable, f.Details, f.NextRetryDelay = c.text(), c.bool(), readPayloads(c), c.optionalDuration()
	case host.KindTimeout:
		f.TimeoutType, f.Details = c.u8(), readPayloads(c)
	case host.KindCanceled:
		f.Details = readPayloads(c)
	case host.KindServer:
		f.NonRetryable = c.bool()
	case host.KindActivity:
		s := &f.Subject
		s.FirstEventID, s.StartedEventID, s.Identity = c.u64(), c.u64(), c.text()
		s.Type, s.ActivityID, s.RetryState = c.text(), c.text(), c.u8()
	case host.KindChildWorkflow:
		s := &f.Subject
		s.Namespace, s.WorkflowID, s.RunID, s.Type = c.text(), c.text(), c.text(), c.text()
		s.FirstEventID, s.StartedEventID, s.RetryState = c.u64(), c.u64(), c.u8()
	}
	c.at = start + failureKindBytes
	f.EncodedAttributes = readOptionalPayload(c)
	return f
}

func putLink(c *cursor, f *host.Failure) {
	c.putText(f.Message)
	c.putText(f.Source)
	c.putText(f.StackTrace)
	c.align(8)
	start := c.at
	c.putU8(uint8(f.Kind))
	c.align(8)
	switch s := &f.Subject; f.Kind {
	case host.KindApplication:
		c.putText(f.Type)
		c.putBool(f.NonRetryable)
		putPayloads(c, f.Details)
		c.putOptionalDuration(f.NextRetryDelay)
	case host.KindTimeout:
		c.putU8(f.TimeoutType)
		putPayloads(c, f.Details)
	case host.KindCanceled:
		putPayloads(c, f.Details)
	case host.KindServer:
		c.putBool(f.NonRetryable)
	case host.KindActivity:
		c.putU64(s.FirstEventID)
		c.putU64(s.StartedEventID)
		c.putText(s.Identity)
		c.putText(s.Type)
		c.putText(s.ActivityID)
		c.putU8(s.RetryState)
	case host.KindChildWorkflow:
		c.putText(s.Namespace)
		c.putText(s.WorkflowID)
		c.putText(s.RunID)
		c.putText(s.Type)
		c.putU64(s.FirstEventID)
		c.putU64(s.StartedEventID)
		c.putU8(s.RetryState)
	}
	c.at = start + failureKindBytes
	putOptionalPayload(c, f.EncodedAttributes)
}

// readOutcome reads a result whose error is a failure.
func readOutcome(c *cursor, ok func(*cursor)) []host.Failure {
	c.align(4)
	failed := c.bool()
	c.align(4)
	if failed {
		return readFailure(c)
	}
	ok(c)
	return nil
}

func readEvent(c *cursor) host.Event {
	e := host.Event{Kind: host.EventKind(c.u8())}
	c.align(4)
	switch e.Kind {
	case host.ActivityResolved, host.ChildResolved:
		e.Operation = c.u32()
		e.Failure = readOutcome(c, func(c *cursor) { e.Payloads = readPayloads(c) })
	case host.TimerFired:
		e.Operation = c.u32()
	case host.SignalReceived:
		e.Name, e.Payloads, e.Identity, e.Header = c.text(), readPayloads(c), c.text(), readFields(c)
	case host.CancelRequested:
		e.Text = c.text()
	case host.ChildStarted:
		e.Operation = c.u32()
		e.Failure = readOutcome(c, func(c *cursor) { e.Text = c.text() })
	case host.ExternalResolved:
		e.Operation = c.u32()
		if c.align(4); c.bool() {
			c.align(4)
			e.Failure = readFailure(c)
		}
	case host.UpdateRequested:
		e.Number, e.ID, e.Name, e.Payloads = c.u32(), c.text(), c.text(), readPayloads(c)
		e.Identity, e.Header, e.RunValidator = c.text(), readFields(c), c.bool()
	}
	return e
}

func putStatus(c *cursor, s *host.Status) {
	c.putU8(uint8(s.Kind))
	c.align(8)
	switch s.Kind {
	case host.Completed, host.Canceled:
		putPayloads(c, s.Payloads)
	case host.Failed:
		putFailure(c, s.Failure)
	case host.ContinuedAsNew:
		n := s.Continuation
		c.putOptionalText(n.WorkflowType)
		c.putOptionalText(n.TaskQueue)
		putPayloads(c, n.Input)
		c.putOptionalDuration(n.RunTimeout)
		c.putOptionalDuration(n.TaskTimeout)
		putOptionalRetry(c, n.RetryPolicy)
		putOptionalFields(c, n.Memo)
		putOptionalFields(c, n.SearchAttributes)
		putFields(c, n.Header)
	}
}

// readOptionalExecution reads an option of a run, with its namespace or without.
func readOptionalExecution(c *cursor, withNamespace bool) *host.Execution {
	c.align(4)
	present := c.bool()
	c.align(4)
	if !present {
		c.skip(2 * textBytes)
		if withNamespace {
			c.skip(textBytes)
		}
		return nil
	}
	e := &host.Execution{}
	if withNamespace {
		e.Namespace = c.text()
	}
	e.WorkflowID, e.RunID = c.text(), c.text()
	return e
}

func readInfo(c *cursor) host.Info {
	info := host.Info{
		Namespace:           c.text(),
		WorkflowID:          c.text(),
		RunID:               c.text(),
		FirstExecutionRunID: c.text(),
		ContinuedRunID:      c.optionalText(),
		Parent:              readOptionalExecution(c, true),
		Root:                readOptionalExecution(c, false),
		WorkflowType:        c.text(),
		TaskQueue:           c.text(),
		Attempt:             c.u32(),
		StartTime:           c.time(),
		ExecutionTimeout:    c.optionalDuration(),
		RunTimeout:          c.optionalDuration(),
		TaskTimeout:         c.optionalDuration(),
		RetryPolicy:         readOptionalRetry(c),
		Memo:                readFields(c),
		SearchAttributes:    readFields(c),
		Header:              readFields(c),
	}
	info.LastCompletionResult = readPayloads(c)
	c.align(4)
	present := c.bool()
	c.align(4)
	if present {
		info.LastFailure = readFailure(c)
	} else {
		c.skip(textBytes)
	}
	return info
}
