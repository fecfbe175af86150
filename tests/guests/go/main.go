// Workflows that show what the Go SDK can do, one file for each of its subjects. tests/languages/test_go.py runs them.
package main

import (
	"log"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

func main() {
	c, err := client.Dial(client.Options{})
	if err != nil {
		log.Fatalln(err)
	}
	defer c.Close()
	w := worker.New(c, "go", worker.Options{})
	for _, definition := range []any{
		BenchWorkflow, Greeter, SplitMerge, PickFirst, Reminder, Failures, FailWith, Local,
		GatherSignals, Counter, Chain, Parent, Child, CancelChild, Cleanup,
		Channels, Locks, Facts, Versions, Chance, Trouble, WrongInput,
	} {
		w.RegisterWorkflow(definition)
	}
	w.RegisterWorkflowWithOptions(Renamed, workflow.RegisterOptions{Name: "AnotherName"})
	if err := w.Run(worker.InterruptCh()); err != nil {
		log.Fatalln(err)
	}
}
