package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"
)

// Channels has producers and consumers.
func Channels(ctx workflow.Context) ([]string, error) {
	var log []string
	numbers := workflow.NewChannel(ctx)
	squares := workflow.NewNamedBufferedChannel(ctx, "squares", 2)
	group := workflow.NewWaitGroup(ctx)
	for worker := range 2 {
		group.Add(1)
		workflow.GoNamed(ctx, fmt.Sprintf("worker %d", worker), func(ctx workflow.Context) {
			defer group.Done()
			var number int
			for numbers.Receive(ctx, &number) {
				squares.Send(ctx, number*number)
			}
		})
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		for number := range 6 {
			numbers.Send(ctx, number)
		}
		numbers.Close()
		group.Wait(ctx)
		squares.Close()
	})
	sum, more := 0, true
	for more {
		var square int
		if more = squares.Receive(ctx, &square); more {
			sum += square
		}
	}
	log = append(log, fmt.Sprint("sum ", sum))

	// A selector that sends, one that receives, and one with a default.
	handover := workflow.NewChannel(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		workflow.NewSelector(ctx).
			AddSend(handover, "offered", func() { log = append(log, "sent") }).
			Select(ctx)
	})
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(handover, func(c workflow.ReceiveChannel, more bool) {
		var word string
		c.Receive(ctx, &word)
		log = append(log, fmt.Sprint("received ", word, " ", more))
	})
	selector.Select(ctx)
	selector.AddDefault(func() { log = append(log, "default") })
	selector.Select(ctx)

	// Nobody comes.
	var nothing string
	ok, more := handover.ReceiveWithTimeout(ctx, time.Millisecond, &nothing)
	log = append(log, fmt.Sprint("timeout ", ok, " ", more))
	handover.Close()
	log = append(log, fmt.Sprint("closed ", handover.Receive(ctx, &nothing)))
	log = append(log, fmt.Sprint("full ", workflow.NewBufferedChannel(ctx, 0).SendAsync(1)))

	future, settable := workflow.NewFuture(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		_ = workflow.Sleep(ctx, time.Millisecond)
		settable.Set("set", nil)
	})
	var value string
	err := future.Get(ctx, &value)
	log = append(log, fmt.Sprint(value, " ", err, " ", future.IsReady()))
	return log, nil
}

// Locks lets routines in one by one, and three by three.
func Locks(ctx workflow.Context) ([]string, error) {
	var log []string
	mutex := workflow.NewMutex(ctx)
	semaphore := workflow.NewSemaphore(ctx, 3)
	group := workflow.NewWaitGroup(ctx)
	inside, most := 0, 0
	for routine := range 7 {
		group.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer group.Done()
			if semaphore.Acquire(ctx, 1) != nil {
				return
			}
			defer semaphore.Release(1)
			inside++
			most = max(most, inside)
			_ = workflow.Sleep(ctx, time.Millisecond)
			inside--
			if mutex.Lock(ctx) != nil {
				return
			}
			defer mutex.Unlock()
			log = append(log, fmt.Sprint(routine))
		})
	}
	group.Wait(ctx)
	locked := mutex.TryLock(ctx)
	again := mutex.TryLock(ctx)

	canceled, cancel := workflow.WithCancel(ctx)
	var gaveUp error
	group.Add(1)
	workflow.Go(canceled, func(ctx workflow.Context) {
		defer group.Done()
		gaveUp = mutex.Lock(ctx)
	})
	_ = workflow.Sleep(ctx, time.Millisecond)
	cancel()
	group.Wait(ctx)
	return []string{strings.Join(log, ""), fmt.Sprint(most), fmt.Sprint(locked, again), fmt.Sprint(errors.Is(gaveUp, workflow.ErrCanceled))}, nil
}
