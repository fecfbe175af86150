// Package worker takes a program's registrations. A component has no worker: the server runs the workflows, and workers
// of their own, in any language, run the activities. So the main function that starts a worker elsewhere says here which
// workflows there are, and Run returns at once.
package worker

import (
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/internal"
	_ "go.temporal.io/sdk/internal/component"
	"go.temporal.io/sdk/workflow"
)

// Options are there so that code which sets them compiles: the server's limits hold for a component.
type Options struct {
	MaxConcurrentActivityExecutionSize      int
	WorkerActivitiesPerSecond               float64
	MaxConcurrentLocalActivityExecutionSize int
	WorkerLocalActivitiesPerSecond          float64
	TaskQueueActivitiesPerSecond            float64
	MaxConcurrentActivityTaskPollers        int
	MaxConcurrentWorkflowTaskExecutionSize  int
	MaxConcurrentWorkflowTaskPollers        int
	EnableLoggingInReplay                   bool
	StickyScheduleToStartTimeout            time.Duration
	BackgroundActivityContext               interface{}
	WorkflowPanicPolicy                     WorkflowPanicPolicy
	WorkerStopTimeout                       time.Duration
	EnableSessionWorker                     bool
	MaxConcurrentSessionExecutionSize       int
	DisableWorkflowWorker                   bool
	LocalActivityWorkerOnly                 bool
	Identity                                string
	DeadlockDetectionTimeout                time.Duration
	MaxHeartbeatThrottleInterval            time.Duration
	DefaultHeartbeatThrottleInterval        time.Duration
	DisableEagerActivities                  bool
	BuildID                                 string
	DisableRegistrationAliasing             bool
}

// WorkflowPanicPolicy is there so that code which names it compiles: a panic fails the workflow task.
type WorkflowPanicPolicy int

const (
	BlockWorkflow WorkflowPanicPolicy = iota
	FailWorkflow
)

// Worker takes registrations.
type Worker interface {
	Registry
	Start() error
	Run(interruptCh <-chan interface{}) error
	Stop()
}

// Registry takes registrations.
type Registry interface {
	RegisterWorkflow(w interface{})
	RegisterWorkflowWithOptions(w interface{}, options workflow.RegisterOptions)
	RegisterActivity(a interface{})
	RegisterActivityWithOptions(a interface{}, options activity.RegisterOptions)
}

type worker struct{}

// New gives a worker. Its task queue is the one that the module is deployed to, whatever it is called here.
func New(c client.Client, taskQueue string, options Options) Worker { return worker{} }

func (worker) RegisterWorkflow(w interface{}) { internal.RegisterWorkflow(w, "") }

func (worker) RegisterWorkflowWithOptions(w interface{}, options workflow.RegisterOptions) {
	internal.RegisterWorkflow(w, options.Name)
}

func (worker) RegisterActivity(a interface{}) { internal.RegisterActivity(a, "") }

func (worker) RegisterActivityWithOptions(a interface{}, options activity.RegisterOptions) {
	internal.RegisterActivity(a, options.Name)
}

func (worker) Start() error                 { return nil }
func (worker) Run(<-chan interface{}) error { return nil }
func (worker) Stop()                        {}

// InterruptCh gives a channel on which nothing ever comes.
func InterruptCh() <-chan interface{} { return nil }
