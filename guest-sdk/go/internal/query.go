package internal

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.temporal.io/sdk/internal/host"
)

// Queries that are built in, and the prefix that is kept for them.
const (
	reservedPrefix = "__temporal"
	stackTrace     = "__stack_trace"
	metadataQuery  = "__temporal_workflow_metadata"
)

type queryHandler struct {
	function    reflect.Value
	description string
}

// SetQueryHandler registers a function that answers queries of this name: func(arguments) (result, error).
func SetQueryHandler(_ Context, name string, handler any, description string) error {
	r := current()
	r.changes("register a query handler")
	if err := checkHandlerName("query", name); err != nil {
		return err
	}
	t := reflect.TypeOf(handler)
	if t == nil || t.Kind() != reflect.Func || t.NumOut() != 2 || !t.Out(1).Implements(errorInterface) {
		return fmt.Errorf("the handler of query %q must be a function that returns (result, error)", name)
	}
	r.queries[name] = &queryHandler{reflect.ValueOf(handler), description}
	return nil
}

func checkHandlerName(what, name string) error {
	if strings.HasPrefix(name, reservedPrefix) || name == stackTrace {
		return fmt.Errorf("%s name %q is kept for what is built in", what, name)
	}
	return nil
}

// AnswerQuery answers a query about the run where it stands.
func (g Guest) AnswerQuery(query host.Query) ([]host.Payload, []host.Failure) {
	r := current()
	var answer any
	var err error
	r.reading("a query handler", func() { answer, err = r.answer(query) })
	if err != nil {
		return nil, toFailure(err)
	}
	payload, err := encode(answer)
	if err != nil {
		return nil, toFailure(conversionError(fmt.Errorf("the answer to query %s: %w", query.Name, err)))
	}
	return []host.Payload{payload}, nil
}

func (r *run) answer(query host.Query) (answer any, err error) {
	switch query.Name {
	case stackTrace:
		return r.stackTrace(), nil
	case metadataQuery:
		return r.metadata()
	}
	handler := r.queries[query.Name]
	if handler == nil {
		return nil, NewApplicationError(fmt.Sprintf(
			"Query handler for '%s' expected but not found, and there is no dynamic handler. Known queries: [%s]",
			query.Name, strings.Join(sortedKeys(r.queries), " ")), "QueryHandlerNotFound", ApplicationErrorOptions{})
	}
	arguments, err := decodeArguments(query.Args, handler.function.Type(), 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if value := recover(); value != nil {
			answer, err = nil, &PanicError{value, userStack()}
		}
	}()
	return returned(handler.function.Call(arguments))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

type interaction struct {
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
}

// metadata is a temporal.api.sdk.v1.WorkflowMetadata, as proto3 JSON.
func (r *run) metadata() (host.Payload, error) {
	type definition struct {
		Type    string        `json:"type"`
		Queries []interaction `json:"queryDefinitions,omitempty"`
		Signals []interaction `json:"signalDefinitions,omitempty"`
		Updates []interaction `json:"updateDefinitions,omitempty"`
	}
	d := definition{Type: r.info.WorkflowType}
	for _, name := range sortedKeys(r.queries) {
		d.Queries = append(d.Queries, interaction{name, r.queries[name].description})
	}
	for _, name := range r.signals.names() {
		d.Signals = append(d.Signals, interaction{Name: name})
	}
	for _, name := range sortedKeys(r.updates.handlers) {
		d.Updates = append(d.Updates, interaction{name, r.updates.handlers[name].options.Description})
	}
	data, err := json.Marshal(struct {
		Definition definition `json:"definition"`
		Details    string     `json:"currentDetails,omitempty"`
	}{d, r.details})
	payload := newPayload(encodingJSONProto, data)
	payload.Metadata = append(payload.Metadata,
		host.Entry{Key: "messageType", Value: []byte("temporal.api.sdk.v1.WorkflowMetadata")})
	return payload, err
}

// GetCurrentDetails is what SetCurrentDetails was last given.
func GetCurrentDetails(Context) string { return current().details }

// SetCurrentDetails sets the text that the UI shows of the workflow; it is no part of the history.
func SetCurrentDetails(_ Context, details string) {
	r := current()
	r.changes("set the current details")
	r.details = details
}
