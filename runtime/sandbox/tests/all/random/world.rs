//! A run whose journal the core writes, as on a server, and whose workflow tasks run in two sandboxes: one that keeps the
//! instance, and one that has none and replays each time.

use std::collections::BTreeMap;

use mainspring_api::{
    enums::StartChildWorkflowExecutionFailedCause,
    history::HistoryEvent,
    protocol::Message,
    update::{Input as UpdateInput, Request},
};
use mainspring_core::{
    RunState, Step, Time,
    activity::{ActivityOutcome, ActivityRef, Phase},
    cancel::CancelRequest,
    child::ChildOutcome,
    continue_as_new::Successor,
    failure,
    outbox::Effect,
    signal::Signal,
    step::Setting,
    update,
    workflow::StartWorkflow,
    workflow_task::{CompletionOutcome, WorkflowTaskCompletion},
};
use mainspring_sandbox::{
    Activated, Digest, ModuleSource, QueriedRun, Question, RunKey, Sandbox, TaskFailure, WorkflowTask,
};
use prost::Message as _;
use serde_json::{Value, json};

use crate::support::{EPOCH, Journal, Puppets, payloads, puppet};

/// What happens to a run. Numbers pick among what there is.
#[derive(Clone, Debug)]
pub enum Input {
    /// The workflow's turn, if it has one, and what comes while it is under way.
    Turn(Vec<News>),
    News(News),
    /// The cached instance goes.
    Evict,
    /// The instance is asked.
    Query,
    /// The server loses a finished task, and tries again.
    LoseTask,
    /// The server forgets all that is not stored.
    Crash,
}

#[derive(Clone, Debug)]
pub enum News {
    Signal(u8),
    Cancel,
    Update(u8),
    Wait(u32),
    EndActivity(usize, u8),
    Answer(usize, bool),
    EndChild(usize, u8),
}

pub struct World<'a> {
    keeps: &'a Sandbox,
    replays: &'a Sandbox,
    pub state: RunState,
    pub history: Vec<HistoryEvent>,
    key: RunKey,
    now: Time,
    effects: BTreeMap<i64, Effect>,
    successor: Option<Successor>,
    updates: u32,
    runs: u32,
    chain: String,
    /// Of all runs: turns taken, and turns in which the cached instance went on.
    pub turns: u32,
    pub cached: u32,
}

impl<'a> World<'a> {
    pub fn start(keeps: &'a Sandbox, replays: &'a Sandbox, chain: u32, steps: &Value) -> World<'a> {
        let chain = format!("{chain:08}-0000-4000-8000");
        let mut world = World {
            keeps,
            replays,
            state: RunState::new(""),
            history: Vec::new(),
            key: RunKey { namespace: "default".into(), workflow_id: "random".into(), run_id: String::new() },
            now: Time(EPOCH * 1_000_000_000),
            effects: BTreeMap::new(),
            successor: None,
            updates: 0,
            runs: 0,
            chain,
            turns: 0,
            cached: 0,
        };
        world.next_run();
        let start = StartWorkflow {
            workflow_id: "random".into(),
            workflow_type: "Puppet".into(),
            task_queue: "orders".into(),
            input: Some(payloads(steps)),
            request_id: "start".into(),
            ..StartWorkflow::default()
        };
        world.step(|step| step.begin(start));
        world
    }

    fn next_run(&mut self) {
        self.key.run_id = self.run_id(self.runs);
        self.runs += 1;
        self.state = RunState::new(&self.key.run_id);
        self.history = Vec::new();
        self.effects = BTreeMap::new();
    }

    fn run_id(&self, number: u32) -> String {
        format!("{}-{number:012}", self.chain)
    }

    fn step<T>(&mut self, decide: impl FnOnce(&mut Step<'_>) -> T) -> T {
        self.now = Time(self.now.0 + 1_000_000);
        let setting = Setting {
            namespace: "default".into(),
            namespace_id: "namespace".into(),
            new_run_id: self.run_id(self.runs),
        };
        let mut step = Step::within(&mut self.state, self.now, setting);
        let result = decide(&mut step);
        self.history.extend(step.events);
        self.effects.extend(step.effects.into_iter().map(|effect| (effect.key(), effect)));
        self.successor = step.successor.or(self.successor.take());
        result
    }

    pub fn take(&mut self, input: &Input) {
        match input {
            Input::Turn(news) => self.turn(news),
            Input::News(news) => self.news(news),
            Input::Evict => self.keeps.evict(&self.key),
            Input::Query => self.query(),
            Input::LoseTask => drop(self.start_and_activate()),
            Input::Crash => {
                self.state = self.read_back();
                self.keeps.evict(&self.key);
            }
        }
        if let Some(successor) = self.successor.take() {
            self.check();
            self.next_run();
            self.step(|step| step.begin_successor(successor));
        }
    }

    /// A turn; what the two sandboxes make of it must be the same to the byte.
    fn turn(&mut self, news: &[News]) {
        let Some((started, attempt, activated)) = self.start_and_activate() else { return };
        self.turns += 1;
        self.cached += u32::from(activated.cached);
        for news in news {
            self.news(news);
        }
        // What came may have ended the run, or the task.
        let completion = WorkflowTaskCompletion {
            started_event_id: started,
            attempt,
            commands: activated.commands,
            messages: activated.messages,
            build_id: Digest::of(puppet()).to_string(),
            ..WorkflowTaskCompletion::default()
        };
        match self.step(|step| step.complete_workflow_task(completion, Default::default())) {
            Ok(CompletionOutcome::Completed) => {}
            // The instance has seen what there never was, or said what nobody took.
            Ok(CompletionOutcome::Discarded | CompletionOutcome::Failed(_)) | Err(_) => self.keeps.evict(&self.key),
        }
    }

    fn start_and_activate(&mut self) -> Option<(i64, i32, Activated)> {
        if self.state.workflow_task.as_ref().is_some_and(|task| task.started_time.is_some()) {
            // One that was lost has timed out.
            let timeout = self.state.workflow_task_timeout();
            self.now = self.now.after(timeout);
            self.step(|step| step.advance());
        }
        self.step(|step| step.retry_workflow_task_now());
        let started = self.step(|step| step.start_workflow_task("test", "request")).ok()?;
        let messages = self.step(|step| step.deliver_updates());
        let updates = requests(&messages);
        let mut events = self.history.clone();
        events.extend(self.state.transient_events());
        let attempt = self.state.workflow_task.as_ref().expect("it runs").attempt;
        let task = |sandbox: &Sandbox| -> Result<Activated, TaskFailure> {
            sandbox.activate(&WorkflowTask {
                run: &self.key,
                module: Digest::of(puppet()),
                attempt,
                started_event_id: started,
                updates: &updates,
                history: &Journal { events: &events, read: Default::default() },
                modules: &Puppets,
                terms: None,
            })
        };
        self.replays.evict(&self.key);
        let (live, replayed) = (task(self.keeps), task(self.replays));
        let (live, replayed) = match (live, replayed) {
            (Ok(live), Ok(replayed)) => (live, replayed),
            // What a workflow may not do, such as to signal a child that is over, fails in the same way.
            (Err(live), Err(replayed)) => {
                assert_eq!(live.to_string(), replayed.to_string());
                assert!(live.to_string().contains("is no child workflow that has begun"), "{live}");
                self.keeps.evict(&self.key);
                let (cause, failure) = (live.cause, live.failure);
                let pause = Default::default();
                self.step(|step| step.fail_workflow_task(started, attempt, cause, failure, "test", pause))
                    .expect("it is the task");
                return None;
            }
            (live, replayed) => panic!("{live:?} where it was kept, {replayed:?} where it was replayed"),
        };
        assert!(!replayed.cached);
        // Maps have no order of their own, in memory or in bytes: what they hold is compared.
        assert_eq!((&live.commands, &live.messages), (&replayed.commands, &replayed.messages));
        assert_eq!(live.fuel_used, replayed.fuel_used);
        Some((started, attempt, live))
    }

    fn query(&self) {
        if self.state.previous_started_event_id == 0 || self.state.has_started_workflow_task() {
            return;
        }
        let ask = |sandbox: &Sandbox| {
            let queried = QueriedRun {
                run: &self.key,
                module: Digest::of(puppet()),
                history: &Journal { events: &self.history, read: Default::default() },
                modules: &Puppets,
                terms: None,
            };
            sandbox.query(&queried, &Question { name: "trace".into(), ..Question::default() }).expect("an answer")
        };
        self.replays.evict(&self.key);
        assert_eq!(ask(self.keeps), ask(self.replays));
    }

    fn news(&mut self, news: &News) {
        match *news {
            News::Signal(number) => {
                let input = Some(payloads(&json!(number)));
                let signal = Signal { name: "go".into(), input, ..Signal::default() };
                let _ = self.step(|step| step.signal(signal));
            }
            News::Cancel => {
                let request = CancelRequest { reason: "enough".into(), ..CancelRequest::default() };
                let _ = self.step(|step| step.request_cancel(request));
            }
            News::Update(kind) => {
                self.updates += 1;
                let name = ["now", "later", "reject"][usize::from(kind) % 3];
                let input = UpdateInput { name: name.into(), args: Some(payloads(&json!(kind))), ..Default::default() };
                let request = update::request(&format!("update-{}", self.updates), "client", input);
                let _ = self.step(|step| step.request_update(request));
            }
            News::Wait(millis) => {
                self.now = self.now.after(std::time::Duration::from_millis(u64::from(millis)));
                self.step(|step| step.advance());
            }
            News::EndActivity(which, how) => self.end_activity(which, how),
            News::Answer(which, well) => self.answer(which, well),
            News::EndChild(which, how) => self.end_child(which, how),
        }
    }

    fn end_activity(&mut self, which: usize, how: u8) {
        let open: Vec<_> = self.state.activities.values().collect();
        let Some(activity) = which.checked_rem(open.len()).and_then(|at| open.get(at)) else { return };
        let (id, attempt, ready) = (activity.scheduled_event_id, activity.attempt, activity.phase == Phase::Ready);
        if ready {
            let _ = self.step(|step| step.start_activity(id, attempt, "poll", "worker"));
        }
        let fails = |fatal| ActivityOutcome::Failed {
            failure: failure::application("no", "Refused", fatal),
            last_heartbeat_details: None,
        };
        let outcome = match how % 4 {
            0 => fails(false),
            1 => fails(true),
            2 => ActivityOutcome::Canceled(Some(payloads(&json!("stopped")))),
            _ => ActivityOutcome::Completed(Some(payloads(&json!(how)))),
        };
        let activity = ActivityRef::Attempt { scheduled_event_id: id, attempt };
        let _ = self.step(|step| step.end_activity(&activity, outcome, "worker"));
    }

    fn answer(&mut self, which: usize, well: bool) {
        let left: Vec<Effect> = self.effects.values().cloned().collect();
        let Some(effect) = which.checked_rem(left.len()).and_then(|at| left.get(at)) else { return };
        let key = effect.key();
        let missing =
            mainspring_api::enums::SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound;
        let no_target =
            mainspring_api::enums::CancelExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound;
        self.step(|step| match (effect, well) {
            (Effect::StartChild { .. }, true) => step.child_started(key, &child_run(key)),
            (Effect::StartChild { .. }, false) => {
                step.child_start_failed(key, StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists);
            }
            (Effect::Signal { .. }, well) => step.external_signaled(key, if well { Ok(()) } else { Err(missing) }),
            (Effect::Cancel { .. }, well) => {
                step.external_cancel_requested(key, if well { Ok(()) } else { Err(no_target) });
            }
            (Effect::CloseChild { .. } | Effect::ReportToParent { .. }, _) => step.delivered(key),
        });
    }

    fn end_child(&mut self, which: usize, how: u8) {
        let open: Vec<i64> = self.state.children.keys().copied().collect();
        let Some(initiated) = which.checked_rem(open.len()).and_then(|at| open.get(at)).copied() else { return };
        let outcome = match how % 5 {
            0 => ChildOutcome::Failed {
                failure: Some(failure::application("no", "No", false)),
                retry_state: Default::default(),
            },
            1 => ChildOutcome::Canceled(None),
            2 => ChildOutcome::TimedOut(Default::default()),
            3 => ChildOutcome::Terminated,
            _ => ChildOutcome::Completed(Some(payloads(&json!(how)))),
        };
        self.step(|step| step.child_closed(initiated, &child_run(initiated), outcome));
    }

    fn read_back(&self) -> RunState {
        let folded = RunState::fold(&self.state.run_id, &self.history).expect("the history is one");
        let activities = self.state.activities.iter().map(|(id, activity)| (*id, activity.row())).collect();
        let mut state = folded.with_rows(self.state.row(None), activities).expect("the rows fit the history");
        // Whoever takes a run over knows its module; the engine notes it when a task completes.
        state.module = state.module.or_else(|| self.state.module.clone());
        state
    }

    /// The state is the fold of the history, and the history replays.
    pub fn check(&self) {
        let mut live = self.state.after_crash();
        let folded = self.read_back();
        live.module.clone_from(&folded.module);
        assert_eq!(folded, live);
        let source = ModuleSource::Stored { digest: Digest::of(puppet()), modules: &Puppets };
        match self.replays.replay(&source, &self.key, &self.history) {
            Ok(report) => assert!(report.same_module() || report.recorded_digest.is_none()),
            Err(failure) => panic!("the history does not replay: {failure}"),
        }
    }
}

fn requests(messages: &[Message]) -> Vec<Request> {
    let bodies = messages.iter().filter_map(|message| message.body.as_ref());
    bodies.map(|body| Request::decode(body.value.as_slice()).expect("a request")).collect()
}

/// The run of the child that this event initiated, in the form that servers give runs.
fn child_run(initiated_event_id: i64) -> String {
    format!("00000000-0000-0000-0000-{initiated_event_id:012}")
}
