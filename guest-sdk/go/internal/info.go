package internal

import (
	"encoding/json"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"go.temporal.io/sdk/internal/host"
)

// WorkflowType names a workflow; workflow.Type.
type WorkflowType struct{ Name string }

// WorkflowInfo is what the run knows of itself; workflow.Info.
type WorkflowInfo struct {
	WorkflowExecution WorkflowExecution
	// The first run of this workflow id's chain of retries and continuations.
	FirstRunID string
	// The same as the run's own id: a reset begins a run with a module of its own.
	OriginalRunID           string
	ContinuedExecutionRunID string
	// Empty and nil where it is nobody's child.
	ParentWorkflowNamespace string
	ParentWorkflowExecution *WorkflowExecution
	// The workflow at the top of the family: this one where it is nobody's child.
	RootWorkflowExecution    *WorkflowExecution
	WorkflowType             WorkflowType
	TaskQueueName            string
	WorkflowExecutionTimeout time.Duration
	WorkflowRunTimeout       time.Duration
	WorkflowTaskTimeout      time.Duration
	Namespace                string
	// From 1.
	Attempt           int32
	WorkflowStartTime time.Time
	RetryPolicy       *RetryPolicy
	Memo              *commonpb.Memo
	SearchAttributes  *commonpb.SearchAttributes
}

// GetCurrentHistoryLength is how many events the history has by now.
func (*WorkflowInfo) GetCurrentHistoryLength() int { return int(current().host.History().Length) }

// GetCurrentHistorySize is how many bytes the history has by now.
func (*WorkflowInfo) GetCurrentHistorySize() int { return int(current().host.History().SizeBytes) }

// GetContinueAsNewSuggested says whether the run should go on in a new one, with an empty history.
func (*WorkflowInfo) GetContinueAsNewSuggested() bool {
	return current().host.History().ContinueAsNewSuggested
}

// GetInfo is what the run knows of itself. Memo and search attributes are those of now.
func GetInfo(Context) *WorkflowInfo {
	r := current()
	i := r.info
	info := &WorkflowInfo{
		WorkflowExecution:        WorkflowExecution{ID: i.WorkflowID, RunID: i.RunID},
		FirstRunID:               i.FirstExecutionRunID,
		OriginalRunID:            i.RunID,
		ContinuedExecutionRunID:  i.ContinuedRunID,
		WorkflowType:             WorkflowType{i.WorkflowType},
		TaskQueueName:            i.TaskQueue,
		WorkflowExecutionTimeout: i.ExecutionTimeout,
		WorkflowRunTimeout:       i.RunTimeout,
		WorkflowTaskTimeout:      i.TaskTimeout,
		Namespace:                i.Namespace,
		Attempt:                  int32(i.Attempt),
		WorkflowStartTime:        i.StartTime,
		RetryPolicy:              retryPolicyFromHost(i.RetryPolicy),
		Memo:                     &commonpb.Memo{Fields: fieldMap(i.Memo, r.memo)},
		SearchAttributes:         &commonpb.SearchAttributes{IndexedFields: fieldMap(i.SearchAttributes, r.searchAttributes)},
	}
	info.RootWorkflowExecution = &WorkflowExecution{ID: i.WorkflowID, RunID: i.RunID}
	if i.Root != nil {
		info.RootWorkflowExecution = &WorkflowExecution{ID: i.Root.WorkflowID, RunID: i.Root.RunID}
	}
	if i.Parent != nil {
		info.ParentWorkflowNamespace = i.Parent.Namespace
		info.ParentWorkflowExecution = &WorkflowExecution{ID: i.Parent.WorkflowID, RunID: i.Parent.RunID}
	}
	return info
}

// fieldMap is what the run was started with, with its own changes.
func fieldMap(fields []host.Field, changes map[string]*host.Payload) map[string]*commonpb.Payload {
	all := make(map[string]*commonpb.Payload)
	for _, field := range fields {
		all[field.Key] = toProto(field.Value)
	}
	for key, payload := range changes {
		if payload == nil {
			delete(all, key)
		} else {
			all[key] = toProto(payload)
		}
	}
	return all
}

func toProto(p *host.Payload) *commonpb.Payload {
	payload := &commonpb.Payload{Metadata: make(map[string][]byte), Data: p.Data}
	for _, entry := range p.Metadata {
		payload.Metadata[entry.Key] = entry.Value
	}
	return payload
}

// Now is the time of this workflow task.
func Now(Context) time.Time { return current().host.Now() }

// HasLastCompletionResult says whether the run before this one in a schedule or a chain of continuations left a result.
func HasLastCompletionResult(Context) bool { return len(current().info.LastCompletionResult) > 0 }

// GetLastCompletionResult reads that result.
func GetLastCompletionResult(_ Context, valuePtrs ...any) error {
	return (&EncodedValues{current().info.LastCompletionResult}).Get(valuePtrs...)
}

// GetLastError is why the run before this one failed, or nil.
func GetLastError(Context) error { return fromFailure(current().info.LastFailure) }

// Logger writes lines of the workflow's log; log.Logger. Nothing is written in a replay.
type Logger struct{ fields []any }

// GetLogger gives the workflow's logger.
func GetLogger(Context) Logger { return Logger{} }

func (l Logger) Debug(msg string, keyvals ...any) { l.write(host.Debug, msg, keyvals) }
func (l Logger) Info(msg string, keyvals ...any)  { l.write(host.InfoLevel, msg, keyvals) }
func (l Logger) Warn(msg string, keyvals ...any)  { l.write(host.Warn, msg, keyvals) }
func (l Logger) Error(msg string, keyvals ...any) { l.write(host.Error, msg, keyvals) }

// WithFields gives a logger that adds these to each line.
func (l Logger) WithFields(keyvals ...any) Logger {
	return Logger{append(append([]any(nil), l.fields...), keyvals...)}
}

func (l Logger) write(level host.Level, msg string, keyvals []any) {
	keyvals = append(append([]any(nil), l.fields...), keyvals...)
	fields := make([]host.LogField, 0, (len(keyvals)+1)/2)
	for i := 0; i < len(keyvals); i += 2 {
		if i+1 == len(keyvals) {
			fields = append(fields, host.LogField{Key: "extra", Value: logValue(keyvals[i])})
			break
		}
		fields = append(fields, host.LogField{Key: fmt.Sprint(keyvals[i]), Value: logValue(keyvals[i+1])})
	}
	current().host.Log(level, msg, fields)
}

func logValue(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	}
	if text, err := json.Marshal(value); err == nil {
		return string(text)
	}
	return fmt.Sprint(value)
}
