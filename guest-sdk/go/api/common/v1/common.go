// Package common has the few messages of temporal.api.common.v1 that workflow code meets.
package common

// Payload is a value on the wire.
type Payload struct {
	Metadata map[string][]byte
	Data     []byte
}

// GetMetadata says, among other things, how the data is encoded.
func (p *Payload) GetMetadata() map[string][]byte {
	if p == nil {
		return nil
	}
	return p.Metadata
}

// GetData is the encoded value.
func (p *Payload) GetData() []byte {
	if p == nil {
		return nil
	}
	return p.Data
}

// Payloads is a list of values.
type Payloads struct{ Payloads []*Payload }

// GetPayloads are the values.
func (p *Payloads) GetPayloads() []*Payload {
	if p == nil {
		return nil
	}
	return p.Payloads
}

// ActivityType names an activity.
type ActivityType struct{ Name string }

// GetName is its name.
func (t *ActivityType) GetName() string {
	if t == nil {
		return ""
	}
	return t.Name
}

// WorkflowType names a workflow.
type WorkflowType struct{ Name string }

// GetName is its name.
func (t *WorkflowType) GetName() string {
	if t == nil {
		return ""
	}
	return t.Name
}

// WorkflowExecution names a run.
type WorkflowExecution struct {
	WorkflowId string
	RunId      string
}

// GetWorkflowId is the id that the run was started with.
func (e *WorkflowExecution) GetWorkflowId() string {
	if e == nil {
		return ""
	}
	return e.WorkflowId
}

// GetRunId is the id that the server gave the run.
func (e *WorkflowExecution) GetRunId() string {
	if e == nil {
		return ""
	}
	return e.RunId
}

// Memo is what a run shows to people.
type Memo struct{ Fields map[string]*Payload }

// GetFields are the notes by their keys.
func (m *Memo) GetFields() map[string]*Payload {
	if m == nil {
		return nil
	}
	return m.Fields
}

// SearchAttributes is what a run can be found by.
type SearchAttributes struct{ IndexedFields map[string]*Payload }

// GetIndexedFields are the values by their names.
func (a *SearchAttributes) GetIndexedFields() map[string]*Payload {
	if a == nil {
		return nil
	}
	return a.IndexedFields
}
