//! Whatever happens to a run, in whatever order: its state is the fold of its history, with its rows laid over.

use std::time::Duration;

use mainspring_api::{
    Duration as ProtoDuration,
    command::{
        CancelTimerCommandAttributes, CancelWorkflowExecutionCommandAttributes, Command,
        CompleteWorkflowExecutionCommandAttributes, FailWorkflowExecutionCommandAttributes,
        RequestCancelActivityTaskCommandAttributes, ScheduleActivityTaskCommandAttributes, StartTimerCommandAttributes,
        command::Attributes,
    },
    common::{ActivityType, RetryPolicy},
    enums::{CommandType, WorkflowTaskFailedCause},
    history::HistoryEvent,
};
use mainspring_core::{
    RunState, Step, Time,
    activity::{ActivityOutcome, ActivityRef, Phase},
    cancel::CancelRequest,
    failure,
    signal::Signal,
    time,
    workflow::StartWorkflow,
    workflow_task::WorkflowTaskCompletion,
};
use proptest::prelude::*;

/// Something that happens to a run. Numbers pick among what there is.
#[derive(Clone, Debug)]
enum Input {
    Signal(u8),
    Cancel,
    Terminate,
    Wait(u32),
    StartTask,
    FailTask,
    CompleteTask(Vec<Order>),
    StartActivity(usize),
    ReturnActivity(usize),
    Heartbeat(usize),
    Complete(usize),
    Fail(usize, bool),
    CancelActivity(usize),
}

/// Something that a workflow asks for.
#[derive(Clone, Debug)]
enum Order {
    Activity { attempts: u8, heartbeat: bool },
    CancelActivity(usize),
    Timer(u16),
    CancelTimer(usize),
    End(u8),
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        4 => (0..4u8, any::<bool>()).prop_map(|(attempts, heartbeat)| Order::Activity { attempts, heartbeat }),
        2 => any::<usize>().prop_map(Order::CancelActivity),
        3 => (1..5_000u16).prop_map(Order::Timer),
        1 => any::<usize>().prop_map(Order::CancelTimer),
        1 => (0..12u8).prop_map(Order::End),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        3 => any::<u8>().prop_map(Input::Signal),
        1 => Just(Input::Cancel),
        1 => Just(Input::Wait(100_000_000)),
        4 => (0..4_000u32).prop_map(Input::Wait),
        8 => Just(Input::StartTask),
        2 => Just(Input::FailTask),
        8 => prop::collection::vec(order(), 0..4).prop_map(Input::CompleteTask),
        6 => any::<usize>().prop_map(Input::StartActivity),
        1 => any::<usize>().prop_map(Input::ReturnActivity),
        2 => any::<usize>().prop_map(Input::Heartbeat),
        4 => any::<usize>().prop_map(Input::Complete),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(which, fatal)| Input::Fail(which, fatal)),
        2 => any::<usize>().prop_map(Input::CancelActivity),
        1 => Just(Input::Terminate),
    ]
}

struct Run {
    state: RunState,
    now: Time,
    history: Vec<HistoryEvent>,
    next_id: u32,
}

impl Run {
    fn start(delay_seconds: i64) -> Run {
        let mut run = Run { state: RunState::new("run"), now: Time(1_000_000_000), history: Vec::new(), next_id: 0 };
        run.step(|step| {
            step.begin(StartWorkflow {
                workflow_id: "w".into(),
                workflow_type: "W".into(),
                task_queue: "q".into(),
                request_id: "start".into(),
                start_delay: Some(seconds(delay_seconds)),
                run_timeout: Some(seconds(100_000)),
                ..StartWorkflow::default()
            });
        });
        run
    }

    fn step<T>(&mut self, decide: impl FnOnce(&mut Step<'_>) -> T) -> T {
        let mut step = Step::new(&mut self.state, self.now);
        let result = decide(&mut step);
        self.history.append(&mut step.events);
        result
    }

    /// A refusal is an answer, too: what must hold is checked on the state.
    fn take(&mut self, input: &Input) {
        match input {
            Input::Signal(request) => {
                // The upper half has no request id, so that none of them is taken for another.
                let request_id = if *request < 128 { format!("request {}", request % 16) } else { String::new() };
                let signal = Signal { name: "s".into(), request_id, ..Signal::default() };
                drop(self.step(|step| step.signal(signal)));
            }
            Input::Cancel => drop(self.step(|step| step.request_cancel(CancelRequest::default()))),
            Input::Terminate => drop(self.step(|step| step.terminate("enough", None, ""))),
            Input::Wait(millis) => {
                self.now = self.now.after(Duration::from_millis(u64::from(*millis)));
                self.step(|step| step.advance());
            }
            Input::StartTask => drop(self.step(|step| step.start_workflow_task("worker", "poll"))),
            Input::FailTask => self.fail_task(),
            Input::CompleteTask(orders) => self.complete_task(orders),
            Input::StartActivity(which) => {
                let Some((id, attempt)) = self.pick(*which) else { return };
                drop(self.step(|step| step.start_activity(id, attempt, "poll", "worker")));
            }
            Input::ReturnActivity(which) => {
                let Some((id, _)) = self.pick(*which) else { return };
                self.step(|step| step.return_activity(id, "poll"));
            }
            Input::Heartbeat(which) => {
                let Some(activity) = self.reference(*which) else { return };
                drop(self.step(|step| step.heartbeat_activity(&activity, None, "worker")));
            }
            Input::Complete(which) => self.end(*which, ActivityOutcome::Completed(None)),
            Input::CancelActivity(which) => self.end(*which, ActivityOutcome::Canceled(None)),
            Input::Fail(which, fatal) => {
                let failure = failure::application("no", "Refused", *fatal);
                self.end(*which, ActivityOutcome::Failed { failure, last_heartbeat_details: None });
            }
        }
    }

    fn end(&mut self, which: usize, outcome: ActivityOutcome) {
        let Some(activity) = self.reference(which) else { return };
        drop(self.step(|step| step.end_activity(&activity, outcome, "worker")));
    }

    fn fail_task(&mut self) {
        let Some(task) = self.state.workflow_task.clone() else { return };
        let cause = WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure;
        let failure = failure::application("bug", "Bug", false);
        let pause = Duration::from_secs(1);
        drop(self.step(|step| {
            step.fail_workflow_task(task.started_event_id, task.attempt, cause, failure, "worker", pause)
        }));
    }

    fn complete_task(&mut self, orders: &[Order]) {
        let Some(task) = self.state.workflow_task.clone() else { return };
        let commands = orders.iter().filter_map(|order| self.command(order)).collect();
        let completion = WorkflowTaskCompletion {
            started_event_id: task.started_event_id,
            attempt: task.attempt,
            commands,
            build_id: "module".into(),
            ..WorkflowTaskCompletion::default()
        };
        drop(self.step(|step| step.complete_workflow_task(completion, Duration::from_secs(1))));
    }

    fn pick(&self, which: usize) -> Option<(i64, i32)> {
        let open: Vec<_> = self.state.activities.values().collect();
        let activity = open.get(which.checked_rem(open.len())?)?;
        Some((activity.scheduled_event_id, activity.attempt))
    }

    fn reference(&self, which: usize) -> Option<ActivityRef> {
        let (scheduled_event_id, attempt) = self.pick(which)?;
        Some(ActivityRef::Attempt { scheduled_event_id, attempt })
    }

    fn command(&mut self, order: &Order) -> Option<Command> {
        self.next_id += 1;
        let id = self.next_id.to_string();
        let (command_type, attributes) = match order {
            Order::Activity { attempts, heartbeat } => {
                let policy = RetryPolicy { maximum_attempts: i32::from(*attempts), ..RetryPolicy::default() };
                let attributes = ScheduleActivityTaskCommandAttributes {
                    activity_id: id,
                    activity_type: Some(ActivityType { name: "A".into() }),
                    start_to_close_timeout: Some(seconds(3)),
                    heartbeat_timeout: heartbeat.then(|| seconds(1)),
                    retry_policy: Some(policy),
                    ..Default::default()
                };
                (CommandType::ScheduleActivityTask, Attributes::ScheduleActivityTaskCommandAttributes(attributes))
            }
            Order::CancelActivity(which) => {
                let scheduled_event_id = self.pick(*which)?.0;
                let attributes = RequestCancelActivityTaskCommandAttributes { scheduled_event_id };
                let attributes = Attributes::RequestCancelActivityTaskCommandAttributes(attributes);
                (CommandType::RequestCancelActivityTask, attributes)
            }
            Order::Timer(millis) => {
                let start_to_fire_timeout = Some(time::to_proto(Duration::from_millis(u64::from(*millis))));
                let attributes = StartTimerCommandAttributes { timer_id: id, start_to_fire_timeout };
                (CommandType::StartTimer, Attributes::StartTimerCommandAttributes(attributes))
            }
            Order::CancelTimer(which) => {
                let open: Vec<&String> = self.state.timers.keys().collect();
                let timer_id = (*open.get(which.checked_rem(open.len())?)?).clone();
                let attributes = CancelTimerCommandAttributes { timer_id };
                (CommandType::CancelTimer, Attributes::CancelTimerCommandAttributes(attributes))
            }
            Order::End(0) => {
                let attributes = CompleteWorkflowExecutionCommandAttributes::default();
                let attributes = Attributes::CompleteWorkflowExecutionCommandAttributes(attributes);
                (CommandType::CompleteWorkflowExecution, attributes)
            }
            Order::End(1) => {
                let attributes = CancelWorkflowExecutionCommandAttributes::default();
                let attributes = Attributes::CancelWorkflowExecutionCommandAttributes(attributes);
                (CommandType::CancelWorkflowExecution, attributes)
            }
            Order::End(2) => {
                let failure = Some(failure::application("failed", "Failed", false));
                let attributes = FailWorkflowExecutionCommandAttributes { failure };
                (CommandType::FailWorkflowExecution, Attributes::FailWorkflowExecutionCommandAttributes(attributes))
            }
            Order::End(_) => return None,
        };
        Some(Command { command_type: command_type.into(), attributes: Some(attributes), ..Command::default() })
    }

    /// The state as it would be read back from the store.
    fn read_back(&self) -> RunState {
        let folded = RunState::fold("run", &self.history).expect("the history is one");
        let activities = self.state.activities.iter().map(|(id, activity)| (*id, activity.row())).collect();
        folded.with_rows(self.state.row(None), activities).expect("the rows fit the history")
    }
}

fn seconds(seconds: i64) -> ProtoDuration {
    ProtoDuration { seconds, nanos: 0 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_state_is_the_fold_of_the_history(delay in 0..3i64, inputs in prop::collection::vec(input(), 0..80)) {
        let mut run = Run::start(delay);
        for input in &inputs {
            run.take(input);
            prop_assert_eq!(&run.read_back(), &run.state, "after {:?}", input);
            let times: Vec<Time> =
                run.history.iter().filter_map(|event| event.event_time.as_ref()).map(Time::from_proto).collect();
            prop_assert!(times.is_sorted());
            // Whoever lets time pass finds nothing overdue afterwards.
            if let (Input::Wait(_), Some(deadline)) = (input, run.state.next_deadline()) {
                prop_assert!(deadline > run.now, "{:?} is overdue at {:?}", deadline, run.now);
            }
        }
    }

    #[test]
    fn a_run_that_is_served_comes_to_its_end(inputs in prop::collection::vec(input(), 0..60)) {
        let mut run = Run::start(0);
        for input in &inputs {
            run.take(input);
        }
        // From wherever it stands, a workflow that asks to complete at its next turn does.
        for _ in 0..10 {
            run.take(&Input::Signal(200));
            run.take(&Input::Wait(2_000_000));
            run.take(&Input::StartTask);
            run.take(&Input::CompleteTask(vec![Order::End(0)]));
        }
        prop_assert!(!run.state.is_running());
        prop_assert!(run.state.activities.is_empty() && run.state.timers.is_empty());
    }
}

#[test]
fn an_activity_is_attempted_no_more_often_than_its_policy_allows() {
    let mut run = Run::start(0);
    run.take(&Input::StartTask);
    run.take(&Input::CompleteTask(vec![Order::Activity { attempts: 3, heartbeat: false }]));
    let mut attempts = 0;
    while let Some(activity) = run.state.activities.values().next() {
        assert!(attempts < 10, "it never ends");
        match activity.phase {
            Phase::Ready => {
                attempts += 1;
                run.take(&Input::StartActivity(0));
                run.take(&Input::Fail(0, false));
            }
            _ => run.take(&Input::Wait(500)),
        }
    }
    assert_eq!(attempts, 3);
}
