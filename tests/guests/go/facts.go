package main

import (
	"fmt"
	"maps"
	"math/rand"
	randv2 "math/rand/v2"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Facts are what the run knows of itself, and shows.
func Facts(ctx workflow.Context) (map[string]any, error) {
	info := workflow.GetInfo(ctx)
	facts := map[string]any{
		"type":      info.WorkflowType.Name,
		"namespace": info.Namespace,
		"queue":     info.TaskQueueName,
		"attempt":   info.Attempt,
		"same root": info.RootWorkflowExecution.RunID == info.WorkflowExecution.RunID,
		"parent":    info.ParentWorkflowExecution == nil,
		"history":   info.GetCurrentHistoryLength(),
		"suggested": info.GetContinueAsNewSuggested(),
		"memo":      string(info.Memo.GetFields()["note"].GetData()),
	}
	if err := workflow.UpsertMemo(ctx, map[string]any{"note": "changed", "more": 2}); err != nil {
		return nil, err
	}
	facts["memo now"] = string(workflow.GetInfo(ctx).Memo.GetFields()["note"].GetData())
	customer := temporal.NewSearchAttributeKeyKeyword("CustomKeywordField")
	amount := temporal.NewSearchAttributeKeyInt64("CustomIntField")
	err := workflow.UpsertTypedSearchAttributes(ctx, customer.ValueSet("c-7"), amount.ValueSet(42))
	if err != nil {
		return nil, err
	}
	facts["customer"], _ = workflow.GetTypedSearchAttributes(ctx).GetKeyword(customer)
	facts["amount"], _ = workflow.GetTypedSearchAttributes(ctx).GetInt64(amount)
	return facts, nil
}

// Versions takes the newest path of a change, and notes side effects.
func Versions(ctx workflow.Context) ([]int, error) {
	var drawn int
	if err := workflow.SideEffect(ctx, func(workflow.Context) any { return rand.Intn(1000) }).Get(&drawn); err != nil {
		return nil, err
	}
	limits := []int{5, 5, 6}
	var noted []int
	for _, limit := range limits {
		var value int
		equals := func(a, b any) bool { return a == b }
		if err := workflow.MutableSideEffect(ctx, "limit", func(workflow.Context) any { return limit }, equals).Get(&value); err != nil {
			return nil, err
		}
		noted = append(noted, value)
	}
	first := workflow.GetVersion(ctx, "change", workflow.DefaultVersion, 2)
	if err := workflow.Sleep(ctx, time.Millisecond); err != nil {
		return nil, err
	}
	second := workflow.GetVersion(ctx, "change", 1, 2)
	if drawn < 0 || drawn >= 1000 {
		return nil, fmt.Errorf("%d was drawn", drawn)
	}
	return append(noted, int(first), int(second)), nil
}

// Chance does what is different in each run, and must be the same in each replay of it: what it saw are the arguments
// of activities.
func Chance(ctx workflow.Context) ([]string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	numbers := make(map[string]int)
	for i := range 50 {
		numbers[fmt.Sprintf("key %d", i)] = i
	}
	var seen []string
	see := func(what string, values ...any) error {
		saw := what + fmt.Sprint(values...)
		seen = append(seen, saw)
		return workflow.ExecuteActivity(ctx, "see", saw).Get(ctx, nil)
	}
	if err := see("order of a map: ", slices.Collect(maps.Keys(numbers))); err != nil {
		return nil, err
	}
	if err := see("math/rand: ", rand.Intn(1_000_000), rand.Perm(5)); err != nil {
		return nil, err
	}
	if err := see("math/rand/v2: ", randv2.IntN(1_000_000), randv2.Float64()); err != nil {
		return nil, err
	}
	if err := see("time: ", time.Now().UnixNano(), workflow.Now(ctx).UnixNano()); err != nil {
		return nil, err
	}
	// Native routines and a native select, which begin and end within a turn.
	left, right := make(chan string, 1), make(chan string, 1)
	go func() { left <- "left" }()
	go func() { right <- "right" }()
	select {
	case side := <-left:
		return seen, see("select: ", side)
	case side := <-right:
		return seen, see("select: ", side)
	}
}
