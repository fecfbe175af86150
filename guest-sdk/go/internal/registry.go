package internal

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

// registry is what the program's worker has registered.
var registry struct {
	names     []string
	workflows map[string]any
	// Functions that are registered by another name than their own.
	aliases map[string]string
}

var (
	workflowContextType = reflect.TypeFor[Context]()
	goContextType       = reflect.TypeFor[context.Context]()
	errorInterface      = reflect.TypeFor[error]()
)

// RegisterWorkflow makes a function known as a workflow type: by its own name, unless another is given.
func RegisterWorkflow(function any, name string) {
	if err := checkWorkflow(function); err != nil {
		panic("RegisterWorkflow: " + err.Error())
	}
	if name == "" {
		name = functionName(function)
	} else {
		alias(function, name)
	}
	if registry.workflows == nil {
		registry.workflows = make(map[string]any)
	}
	if _, taken := registry.workflows[name]; taken {
		panic(fmt.Sprintf("RegisterWorkflow: workflow type %q is already registered", name))
	}
	registry.names = append(registry.names, name)
	registry.workflows[name] = function
}

func checkWorkflow(function any) error {
	t := reflect.TypeOf(function)
	switch {
	case t == nil || t.Kind() != reflect.Func:
		return fmt.Errorf("a workflow is a function, not a %T", function)
	case t.NumIn() < 1 || !t.In(0).Implements(workflowContextType):
		return fmt.Errorf("the first parameter of %s must be a workflow.Context", functionName(function))
	case t.IsVariadic():
		return fmt.Errorf("%s may not be variadic", functionName(function))
	case t.NumOut() < 1 || t.NumOut() > 2 || !t.Out(t.NumOut()-1).Implements(errorInterface):
		return fmt.Errorf("%s must return (result, error) or error", functionName(function))
	}
	return nil
}

// RegisterActivity makes a function known by a name of its own, or the methods of a struct by a prefix. The activities
// themselves are run by other processes: what is needed of them here are their names.
func RegisterActivity(activity any, name string) {
	if name == "" {
		return
	}
	t := reflect.TypeOf(activity)
	if t == nil {
		panic("RegisterActivity: an activity is a function or a struct, not nil")
	}
	if t.Kind() == reflect.Func {
		alias(activity, name)
		return
	}
	of := t
	format := "%s.%s.%s"
	if t.Kind() == reflect.Pointer {
		of, format = t.Elem(), "%s.(*%s).%s"
	}
	for i := range t.NumMethod() {
		method := t.Method(i).Name
		setAlias(fmt.Sprintf(format, of.PkgPath(), of.Name(), method), name+method)
	}
}

func alias(function any, name string) { setAlias(fullName(function), name) }

func setAlias(full, name string) {
	if registry.aliases == nil {
		registry.aliases = make(map[string]string)
	}
	registry.aliases[full] = name
}

// fullName is what Go calls a function, with its package.
func fullName(function any) string {
	full := runtime.FuncForPC(reflect.ValueOf(function).Pointer()).Name()
	// A method that is taken from a value.
	return strings.TrimSuffix(full, "-fm")
}

// functionName is the name that a function goes by among workflows and activities.
func functionName(function any) string {
	full := fullName(function)
	if name, ok := registry.aliases[full]; ok {
		return name
	}
	return full[strings.LastIndexByte(full, '.')+1:]
}

// nameOf gives the type that is meant by a name, or by a function, whose arguments it checks.
func nameOf(what string, target any, arguments []any) (string, error) {
	if name, ok := target.(string); ok {
		if name == "" {
			return "", fmt.Errorf("the name of a %s is empty", what)
		}
		return name, nil
	}
	t := reflect.TypeOf(target)
	if t == nil || t.Kind() != reflect.Func {
		return "", fmt.Errorf("a %s is known by its name or its function, not by a %T", what, target)
	}
	name := functionName(target)
	first := 0
	if t.NumIn() > 0 && (t.In(0).Implements(workflowContextType) || t.In(0).Implements(goContextType)) {
		first = 1
	}
	if wanted := t.NumIn() - first; !t.IsVariadic() && wanted != len(arguments) {
		return "", fmt.Errorf("expected %d args for function: %s but found %d", wanted, name, len(arguments))
	}
	for i, argument := range arguments {
		parameter := min(i+first, t.NumIn()-1)
		if argument == nil || t.IsVariadic() {
			continue
		}
		if given := reflect.TypeOf(argument); !given.AssignableTo(t.In(parameter)) {
			return "", fmt.Errorf("cannot assign function argument: %d from type: %s to type: %s", i+1, given, t.In(parameter))
		}
	}
	return name, nil
}

// workflowNames are the registered workflow types, in the order of registration.
func workflowNames() []string { return slices.Clone(registry.names) }
