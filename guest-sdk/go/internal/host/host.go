// Package host has the words that guest and host share, as wit/ defines them, and the calls that a guest may make.
package host

import "time"

// Payload is a value on the wire.
type Payload struct {
	Metadata []Entry
	Data     []byte
}

// Entry is one piece of a payload's metadata.
type Entry struct {
	Key   string
	Value []byte
}

// Field is a named payload: of a header, a memo, the search attributes. None takes out, where something can be taken out.
type Field struct {
	Key   string
	Value *Payload
}

// Detail is a named list of payloads of a marker.
type Detail struct {
	Key    string
	Values []Payload
}

// RetryPolicy says when and how often to try again. Durations that are nil have Temporal's defaults.
type RetryPolicy struct {
	InitialInterval        *time.Duration
	BackoffCoefficient     float64
	MaximumInterval        *time.Duration
	MaximumAttempts        uint32
	NonRetryableErrorTypes []string
}

// ActivityOptions are those of activities.schedule.
type ActivityOptions struct {
	ActivityID             string
	TaskQueue              string
	ScheduleToCloseTimeout time.Duration
	ScheduleToStartTimeout time.Duration
	StartToCloseTimeout    time.Duration
	HeartbeatTimeout       time.Duration
	RetryPolicy            *RetryPolicy
	CancellationType       ActivityCancellation
	Header                 []Field
	Summary                string
}

// ActivityCancellation says what canceling a running activity means to the workflow.
type ActivityCancellation uint8

const (
	ActivityTryCancel ActivityCancellation = iota
	ActivityWaitCompleted
	ActivityAbandon
)

// ChildOptions are those of children.start.
type ChildOptions struct {
	WorkflowID       string
	TaskQueue        string
	ExecutionTimeout time.Duration
	RunTimeout       time.Duration
	TaskTimeout      time.Duration
	RetryPolicy      *RetryPolicy
	// In the order of wit: terminate, abandon, request-cancel.
	ParentClosePolicy uint8
	// In the order of wit: allow-duplicate, allow-duplicate-failed-only, reject-duplicate.
	ReusePolicy      uint8
	CancellationType ChildCancellation
	Memo             []Field
	SearchAttributes []Field
	Header           []Field
	Summary          string
	Details          string
}

// ChildCancellation says what canceling a running child means to its parent.
type ChildCancellation uint8

const (
	ChildAbandon ChildCancellation = iota
	ChildTryCancel
	ChildWaitCompleted
	ChildWaitRequested
)

// Target is who a signal is for: a child, or any workflow.
type Target struct {
	// Not 0 where it is a child.
	Child      uint32
	WorkflowID string
	RunID      string
}

// FailureKind says what failed; its numbers are those of wit.
type FailureKind uint8

const (
	KindApplication FailureKind = iota
	KindTimeout
	KindCanceled
	KindTerminated
	KindServer
	KindActivity
	KindChildWorkflow
	KindOther
)

// Failure is one link of a chain of causes.
type Failure struct {
	Message           string
	Source            string
	StackTrace        string
	Kind              FailureKind
	EncodedAttributes *Payload
	// Of an application failure.
	Type           string
	NonRetryable   bool // also of a server failure
	NextRetryDelay time.Duration
	// Of an application failure or a cancellation; the last heartbeat's, of a timeout.
	Details []Payload
	// Of a timeout; the numbers are those of wit.
	TimeoutType uint8
	// Of an activity or a child workflow.
	Subject Subject
}

// Subject is what the failure of an activity or a child workflow is about.
type Subject struct {
	// Scheduled, or initiated.
	FirstEventID   uint64
	StartedEventID uint64
	RetryState     uint8
	// Of an activity.
	Identity   string
	ActivityID string
	// Of a child.
	Namespace  string
	WorkflowID string
	RunID      string
	// Of either.
	Type string
}

// EventKind says what has happened; its numbers are those of wit.
type EventKind uint8

const (
	ActivityResolved EventKind = iota
	TimerFired
	SignalReceived
	CancelRequested
	ChildStarted
	ChildResolved
	ExternalResolved
	UpdateRequested
)

// Event is what the host tells a running workflow. Only what belongs to its kind is set.
type Event struct {
	Kind      EventKind
	Operation uint32
	// Why it came to nothing, outermost first; nil where it did not.
	Failure []Failure
	// A result, or the input of a signal or an update.
	Payloads []Payload
	// The run id of a child, or the reason of a cancel request.
	Text string
	// Of a signal or an update.
	Name     string
	Identity string
	Header   []Field
	// Of an update.
	Number       uint32
	ID           string
	RunValidator bool
}

// StatusKind says where a workflow stands; its numbers are those of wit.
type StatusKind uint8

const (
	Blocked StatusKind = iota
	Completed
	Failed
	Canceled
	ContinuedAsNew
)

// Status is where a workflow stands when an activation returns.
type Status struct {
	Kind StatusKind
	// The result, or a cancellation's details.
	Payloads     []Payload
	Failure      []Failure
	Continuation *Continuation
}

// Continuation says how a workflow goes on in a new run.
type Continuation struct {
	WorkflowType     string
	TaskQueue        string
	Input            []Payload
	RunTimeout       time.Duration
	TaskTimeout      time.Duration
	RetryPolicy      *RetryPolicy
	Memo             *[]Field
	SearchAttributes *[]Field
	Header           []Field
}

// Query is a question, and who asks.
type Query struct {
	Name   string
	Args   []Payload
	Header []Field
}

// Execution names a run.
type Execution struct{ Namespace, WorkflowID, RunID string }

// Info is what the run knows of itself.
type Info struct {
	Namespace           string
	WorkflowID          string
	RunID               string
	FirstExecutionRunID string
	ContinuedRunID      string
	// nil where it is nobody's child.
	Parent, Root         *Execution
	WorkflowType         string
	TaskQueue            string
	Attempt              uint32
	StartTime            time.Time
	ExecutionTimeout     time.Duration
	RunTimeout           time.Duration
	TaskTimeout          time.Duration
	RetryPolicy          *RetryPolicy
	Memo                 []Field
	SearchAttributes     []Field
	Header               []Field
	LastCompletionResult []Payload
	LastFailure          []Failure
}

// HistoryInfo is how long the history is by now.
type HistoryInfo struct {
	Length                 uint32
	SizeBytes              uint32
	ContinueAsNewSuggested bool
}

// Level is a log level; its numbers are those of wit.
type Level uint8

const (
	Trace Level = iota
	Debug
	InfoLevel
	Warn
	Error
)

// LogField is a named value of a log line.
type LogField struct{ Key, Value string }

// Host is what a guest may ask for: the imports of the world, one by one.
type Host interface {
	Now() time.Time
	RandomBytes(length uint32) []byte
	StartTimer(after time.Duration, summary string) uint32
	CancelTimer(timer uint32)
	ScheduleActivity(activityType string, input []Payload, options *ActivityOptions) uint32
	CancelActivity(activity uint32)
	StartChild(workflowType string, input []Payload, options *ChildOptions) uint32
	CancelChild(child uint32)
	Signal(target Target, name string, input []Payload, header []Field) uint32
	CancelSignal(signal uint32)
	RequestCancel(workflowID, runID, reason string) uint32
	AcceptUpdate(update uint32)
	RejectUpdate(update uint32, reason []Failure)
	// CompleteUpdate tells the result, or where there is a failure that.
	CompleteUpdate(update uint32, result []Payload, failure []Failure)
	UpsertMemo(fields []Field)
	UpsertSearchAttributes(fields []Field)
	Patched(id string) bool
	DeprecatePatch(id string)
	RecordMarker(name string, details []Detail, failure []Failure)
	Info() Info
	History() HistoryInfo
	Log(level Level, message string, fields []LogField)
}
