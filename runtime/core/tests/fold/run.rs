//! A run under test: what can happen to it, and what must always hold of it.

use std::{collections::BTreeMap, time::Duration};

use mainspring_api::{
    Duration as ProtoDuration,
    command::Command,
    common::Payload,
    enums::{SignalExternalWorkflowExecutionFailedCause, StartChildWorkflowExecutionFailedCause},
    failure::Failure,
    history::{HistoryEvent, history_event::Attributes as Written},
    protocol::Message,
    update,
};
use mainspring_core::{
    Rejection, RunState, Setting, Step, Time,
    activity::{ActivityOutcome, ActivityRef},
    cancel::CancelRequest,
    child::ChildOutcome,
    command::{check, is_command_event},
    continue_as_new::Successor,
    failure,
    outbox::Effect,
    protocol,
    signal::Signal,
    time,
    update::{News, Stage},
    workflow::{Parent, StartWorkflow},
    workflow_task::{CompletionOutcome, WorkflowTaskCompletion},
};

use crate::orders::{Asked, Order};

/// Something that happens to a run. Numbers pick among what there is.
#[derive(Clone, Debug)]
pub enum Input {
    Signal(u8),
    Update(u8),
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
    /// The answer to an effect, perhaps a second time.
    Answer(usize, bool),
    /// A child that has begun, or is about to be known to have, closes.
    EndChild(usize, u8),
    /// The server forgets all that is not stored.
    Crash,
}

pub struct Run {
    pub state: RunState,
    pub now: Time,
    pub history: Vec<HistoryEvent>,
    /// Effects that have left, whether they were answered or not.
    pub effects: BTreeMap<i64, Effect>,
    pub news: Vec<News>,
    /// Updates that the workflow task under way has brought.
    pub brought: Vec<Message>,
    pub successor: Option<Successor>,
    /// Runs of the chain that have closed.
    pub closed: Vec<(RunState, Vec<HistoryEvent>)>,
    pub next_id: u32,
}

pub fn start() -> StartWorkflow {
    StartWorkflow {
        workflow_id: "w".into(),
        workflow_type: "W".into(),
        task_queue: "q".into(),
        request_id: "start".into(),
        run_timeout: Some(seconds(100_000)),
        ..StartWorkflow::default()
    }
}

pub fn parent() -> Parent {
    let execution = |id: &str| mainspring_api::common::WorkflowExecution {
        workflow_id: id.to_owned(),
        run_id: format!("{id} run"),
    };
    Parent {
        namespace: "default".into(),
        namespace_id: "ns".into(),
        execution: execution("parent"),
        initiated_event_id: 5,
        root: execution("root"),
    }
}

impl Run {
    pub fn start(start: StartWorkflow) -> Run {
        let mut run = Run {
            state: RunState::new("run"),
            now: Time(1_000_000_000),
            history: Vec::new(),
            effects: BTreeMap::new(),
            news: Vec::new(),
            brought: Vec::new(),
            successor: None,
            closed: Vec::new(),
            next_id: 0,
        };
        run.step(|step| step.begin(start));
        run
    }

    /// A run whose first workflow task has completed with these orders.
    pub fn after(orders: Vec<Order>) -> Run {
        let mut run = Run::start(start());
        run.turn(orders);
        run
    }

    /// The workflow's turn.
    pub fn turn(&mut self, orders: Vec<Order>) -> Option<CompletionOutcome> {
        self.take(&Input::StartTask);
        self.complete_task(&orders)
    }

    pub fn step<T>(&mut self, decide: impl FnOnce(&mut Step<'_>) -> T) -> T {
        let setting = Setting {
            namespace: "default".into(),
            namespace_id: "ns".into(),
            new_run_id: format!("{}+", self.state.run_id),
        };
        let mut step = Step::within(&mut self.state, self.now, setting);
        let result = decide(&mut step);
        self.history.append(&mut step.events);
        self.effects.extend(step.effects.into_iter().map(|effect| (effect.key(), effect)));
        self.news.append(&mut step.update_news);
        self.successor = step.successor.or(self.successor.take());
        result
    }

    /// A refusal is an answer, too: what must hold is checked on the state.
    pub fn take(&mut self, input: &Input) {
        match input {
            Input::Signal(request) => {
                // The upper half has no request id, so that none of them is taken for another.
                let request_id = if *request < 128 { format!("request {}", request % 16) } else { String::new() };
                let signal = Signal { name: "s".into(), request_id, ..Signal::default() };
                drop(self.step(|step| step.signal(signal)));
            }
            Input::Update(id) => drop(self.update(&format!("update {}", id % 24))),
            Input::Cancel => drop(self.step(|step| step.request_cancel(CancelRequest::default()))),
            Input::Terminate => drop(self.step(|step| step.terminate("enough", None, ""))),
            Input::Wait(millis) => {
                self.now = self.now.after(Duration::from_millis(u64::from(*millis)));
                self.step(|step| step.advance());
            }
            Input::StartTask => {
                if self.step(|step| step.start_workflow_task("worker", "poll")).is_ok() {
                    self.brought = self.step(|step| step.deliver_updates());
                }
            }
            Input::FailTask => self.fail_task(),
            Input::CompleteTask(orders) => drop(self.complete_task(orders)),
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
            Input::Answer(which, well) => {
                let known: Vec<Effect> = self.effects.values().cloned().collect();
                let Some(effect) = which.checked_rem(known.len()).and_then(|at| known.get(at)) else { return };
                self.answer(effect, *well);
            }
            Input::EndChild(which, how) => self.end_child(*which, *how),
            Input::Crash => {
                self.state = self.read_back();
                self.brought.clear();
            }
        }
    }

    pub fn update(&mut self, update_id: &str) -> Result<Stage, Rejection> {
        let input = update::Input { name: "u".into(), ..update::Input::default() };
        self.step(|step| step.request_update(mainspring_core::update::request(update_id, "client", input)))
    }

    pub fn answer(&mut self, effect: &Effect, well: bool) {
        let key = effect.key();
        self.step(|step| match (effect, well) {
            (Effect::StartChild { .. }, true) => step.child_started(key, &format!("child of {key}")),
            (Effect::StartChild { .. }, false) => {
                let cause = StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists;
                step.child_start_failed(key, cause);
            }
            (Effect::Signal { .. }, true) => step.external_signaled(key, Ok(())),
            (Effect::Signal { .. }, false) => {
                let cause = SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound;
                step.external_signaled(key, Err(cause));
            }
            (Effect::Cancel { .. }, _) => step.external_cancel_requested(key, Ok(())),
            (Effect::CloseChild { .. } | Effect::ReportToParent { .. }, _) => step.delivered(key),
        });
    }

    fn end_child(&mut self, which: usize, how: u8) {
        let open: Vec<i64> = self.state.children.keys().copied().collect();
        let Some(initiated) = which.checked_rem(open.len()).and_then(|at| open.get(at)).copied() else { return };
        let outcome = match how % 5 {
            0 => ChildOutcome::Completed(None),
            1 => ChildOutcome::Failed { failure: None, retry_state: Default::default() },
            2 => ChildOutcome::Canceled(None),
            3 => ChildOutcome::TimedOut(Default::default()),
            _ => ChildOutcome::Terminated,
        };
        self.step(|step| step.child_closed(initiated, &format!("child of {initiated}"), outcome));
    }

    fn end(&mut self, which: usize, outcome: ActivityOutcome) {
        let Some(activity) = self.reference(which) else { return };
        drop(self.step(|step| step.end_activity(&activity, outcome, "worker")));
    }

    pub fn fail_task(&mut self) {
        let Some(task) = self.state.workflow_task.clone() else { return };
        let cause = mainspring_api::enums::WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure;
        let failure = failure::application("bug", "Bug", false);
        let pause = Duration::from_secs(1);
        drop(self.step(|step| {
            step.fail_workflow_task(task.started_event_id, task.attempt, cause, failure, "worker", pause)
        }));
    }

    pub fn complete_task(&mut self, orders: &[Order]) -> Option<CompletionOutcome> {
        let mut asked = Asked::default();
        for order in orders {
            order.ask(self, &mut asked);
        }
        self.complete_with(asked.commands, asked.messages)
    }

    /// Whatever is asked for and done must be what replay would find again.
    pub fn complete_with(&mut self, commands: Vec<Command>, messages: Vec<Message>) -> Option<CompletionOutcome> {
        let seen = self.history.len();
        let started = self.state.started.clone();
        let outcome = self.respond(commands.clone(), messages.clone())?;
        let events = self.history.get(seen..).unwrap_or_default();
        match &outcome {
            CompletionOutcome::Completed => {
                let marks: Vec<&HistoryEvent> = events.iter().filter(|event| is_command_event(event)).collect();
                assert_eq!(marks.len(), commands.len(), "{commands:?} became {marks:?}");
                for (command, event) in commands.iter().zip(marks) {
                    assert_eq!(check(command, event, &started), Ok(()));
                    let said = messages.iter().any(|message| protocol::check(message, event).is_ok());
                    assert_eq!(said, is_answer(event), "{event:?}");
                }
            }
            CompletionOutcome::Discarded => assert!(events.is_empty()),
            CompletionOutcome::Failed(_) => assert!(!events.iter().any(is_command_event)),
        }
        Some(outcome)
    }

    /// The answer of a worker, as it comes.
    pub fn respond(&mut self, commands: Vec<Command>, messages: Vec<Message>) -> Option<CompletionOutcome> {
        let task = self.state.workflow_task.clone()?;
        let completion = WorkflowTaskCompletion {
            started_event_id: task.started_event_id,
            attempt: task.attempt,
            commands,
            messages,
            build_id: "module".into(),
            ..WorkflowTaskCompletion::default()
        };
        let outcome = self.step(|step| step.complete_workflow_task(completion, Duration::from_secs(1))).ok()?;
        self.brought.clear();
        Some(outcome)
    }

    pub fn pick(&self, which: usize) -> Option<(i64, i32)> {
        let open: Vec<_> = self.state.activities.values().collect();
        let activity = open.get(which.checked_rem(open.len())?)?;
        Some((activity.scheduled_event_id, activity.attempt))
    }

    fn reference(&self, which: usize) -> Option<ActivityRef> {
        let (scheduled_event_id, attempt) = self.pick(which)?;
        Some(ActivityRef::Attempt { scheduled_event_id, attempt })
    }

    /// Where the run has closed and goes on in another one, that one.
    pub fn go_on(&mut self) {
        let Some(successor) = self.successor.take() else { return };
        let state = std::mem::replace(&mut self.state, RunState::new(&successor.run_id));
        let history = std::mem::take(&mut self.history);
        self.closed.push((state, history));
        self.effects.clear();
        self.step(|step| step.begin_successor(successor));
    }

    /// The state as it would be read back from the store.
    pub fn read_back(&self) -> RunState {
        let folded = RunState::fold(&self.state.run_id, &self.history).expect("the history is one");
        let activities = self.state.activities.iter().map(|(id, activity)| (*id, activity.row())).collect();
        folded.with_rows(self.state.row(None), activities).expect("the rows fit the history")
    }

    /// What must hold after every input.
    pub fn check(&self) {
        assert_eq!(self.read_back(), self.state.after_crash());
        let times: Vec<Time> =
            self.history.iter().filter_map(|event| event.event_time.as_ref()).map(Time::from_proto).collect();
        assert!(times.is_sorted());
        for effect in self.state.effects() {
            assert_eq!(self.effects.get(&effect.key()), Some(&effect), "it never left a step");
            assert!(self.state.is_undelivered(&effect));
        }
        assert_eq!(self.state.has_effects(), !self.state.effects().is_empty());
        self.check_fates();
    }

    /// Nothing begins or ends twice, and what ends names its beginning.
    fn check_fates(&self) {
        let mut begun = BTreeMap::new();
        let mut ended = Vec::new();
        for event in &self.history {
            self.check_activity(event);
            match event.attributes.as_ref().expect("an event has attributes") {
                Written::ChildWorkflowExecutionStartedEventAttributes(it) => {
                    assert_eq!(begun.insert(it.initiated_event_id, event.event_id), None);
                }
                Written::ChildWorkflowExecutionCompletedEventAttributes(it) => {
                    assert_eq!(begun.get(&it.initiated_event_id), Some(&it.started_event_id));
                    ended.push(it.initiated_event_id);
                }
                Written::ChildWorkflowExecutionFailedEventAttributes(it) => {
                    assert_eq!(begun.get(&it.initiated_event_id), Some(&it.started_event_id));
                    ended.push(it.initiated_event_id);
                }
                Written::ChildWorkflowExecutionTerminatedEventAttributes(it) => {
                    assert_eq!(begun.get(&it.initiated_event_id), Some(&it.started_event_id));
                    ended.push(it.initiated_event_id);
                }
                Written::StartChildWorkflowExecutionFailedEventAttributes(it) => {
                    assert_eq!(begun.get(&it.initiated_event_id), None);
                    ended.push(it.initiated_event_id);
                }
                Written::ExternalWorkflowExecutionSignaledEventAttributes(it) => ended.push(it.initiated_event_id),
                Written::SignalExternalWorkflowExecutionFailedEventAttributes(it) => ended.push(it.initiated_event_id),
                Written::ExternalWorkflowExecutionCancelRequestedEventAttributes(it) => {
                    ended.push(it.initiated_event_id);
                }
                Written::WorkflowExecutionUpdateCompletedEventAttributes(it) => ended.push(it.accepted_event_id),
                _ => {}
            }
        }
        let number = ended.len();
        ended.sort_unstable();
        ended.dedup();
        assert_eq!(ended.len(), number, "something has ended twice");
    }

    /// The end of an activity names the start of the same activity.
    fn check_activity(&self, event: &HistoryEvent) {
        let (scheduled, started) = match event.attributes.as_ref().expect("an event has attributes") {
            Written::ActivityTaskCompletedEventAttributes(it) => (it.scheduled_event_id, it.started_event_id),
            Written::ActivityTaskFailedEventAttributes(it) => (it.scheduled_event_id, it.started_event_id),
            Written::ActivityTaskTimedOutEventAttributes(it) => (it.scheduled_event_id, it.started_event_id),
            Written::ActivityTaskCanceledEventAttributes(it) => (it.scheduled_event_id, it.started_event_id),
            _ => return,
        };
        // None has begun where it was canceled or ran out of time before.
        if started != 0 {
            let named = self.history.iter().find(|event| event.event_id == started);
            assert!(
                matches!(named.and_then(|event| event.attributes.as_ref()),
                    Some(Written::ActivityTaskStartedEventAttributes(it)) if it.scheduled_event_id == scheduled),
                "{event:?} names {named:?}"
            );
        }
    }

    /// The types of the events, without their common part.
    pub fn kinds(&self) -> Vec<&'static str> {
        kinds(&self.history)
    }
}

fn is_answer(event: &HistoryEvent) -> bool {
    matches!(
        event.attributes,
        Some(
            Written::WorkflowExecutionUpdateAcceptedEventAttributes(_)
                | Written::WorkflowExecutionUpdateCompletedEventAttributes(_)
        )
    )
}

pub fn kinds(events: &[HistoryEvent]) -> Vec<&'static str> {
    events.iter().map(|event| event.event_type().as_str_name().trim_start_matches("EVENT_TYPE_")).collect()
}

pub fn seconds(seconds: i64) -> ProtoDuration {
    time::to_proto(Duration::from_secs(u64::try_from(seconds).expect("it is not negative")))
}

pub fn text(value: &str) -> Payload {
    Payload { data: format!("{value:?}").into_bytes(), ..Payload::default() }
}

pub fn boom() -> Failure {
    failure::application("boom", "Boom", false)
}
