package main

import (
	"os"
	"time"

	"go.temporal.io/sdk/workflow"
)

// Trouble does what a workflow may not do.
func Trouble(ctx workflow.Context, what string) (string, error) {
	switch what {
	case "panic":
		var nobody *Complaint
		return nobody.Text, nil
	case "panic in a routine":
		workflow.Go(ctx, func(workflow.Context) { panic("on purpose") })
		return "", workflow.Sleep(ctx, time.Hour)
	case "native sleep":
		time.Sleep(time.Hour)
	case "native channel":
		<-make(chan int)
	case "exit":
		os.Exit(1)
	case "file":
		_, err := os.ReadFile("/etc/passwd")
		return err.Error(), nil
	case "recursion":
		return recurse(""), nil
	case "memory":
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
		}
	case "garbage":
		// Far more than there is memory, but never much of it at once.
		kept := make([][]byte, 30)
		for i := range 300 {
			kept[i%len(kept)] = make([]byte, 1<<20)
			kept[i%len(kept)][i] = 1
		}
		return "collected", nil
	case "loop":
		for {
			what += "!"
			what = what[:1]
		}
	}
	return "", nil
}

func recurse(text string) string { return recurse(text+"x") + "y" }

// WrongInput cannot read what it is given.
func WrongInput(ctx workflow.Context, number int) (int, error) { return number, nil }
