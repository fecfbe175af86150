//! What a run says to others and others to it: queries, updates, children, messages, changes, successors. The journal is
//! written by the core, as on a server.

use mainspring_api::{
    common::WorkflowExecution,
    enums::EventType,
    history::{HistoryEvent, history_event::Attributes},
    update::{Input, outcome::Value as Outcome},
};
use mainspring_core::{
    RunState, Step, Time,
    child::ChildOutcome,
    step::Setting,
    update::{self, Progress},
    workflow::StartWorkflow,
    workflow_task::{CompletionOutcome, WorkflowTaskCompletion},
};
use mainspring_sandbox::{
    Digest, ModuleSource, QueriedRun, QueryAnswer, Question, ReplayReport, RunKey, TaskFailure, WorkflowTask,
};
use prost::Message as _;
use serde_json::{Value, json};

use crate::support::{EPOCH, Journal, Puppets, payloads, puppet, shared};

/// A run, its core and its sandbox.
struct Run {
    state: RunState,
    events: Vec<HistoryEvent>,
    key: RunKey,
    seconds: i64,
    news: Vec<update::News>,
}

impl Run {
    fn start(steps: Value) -> Run {
        static STARTED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = STARTED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let run_id = format!("00000000-0000-4000-8000-{number:012}");
        let key = RunKey { namespace: "default".into(), workflow_id: "conversation".into(), run_id: run_id.clone() };
        let mut run = Run { state: RunState::new(&run_id), events: Vec::new(), key, seconds: EPOCH, news: Vec::new() };
        run.step(|step| {
            step.begin(StartWorkflow {
                workflow_id: "conversation".into(),
                workflow_type: "Puppet".into(),
                task_queue: "orders".into(),
                input: Some(payloads(&steps)),
                request_id: "start".into(),
                ..StartWorkflow::default()
            });
        });
        run
    }

    fn step<T>(&mut self, decide: impl FnOnce(&mut Step<'_>) -> T) -> T {
        self.seconds += 1;
        let setting = Setting {
            namespace: "default".into(),
            namespace_id: "namespace".into(),
            new_run_id: "00000000-0000-4000-9000-000000000000".into(),
        };
        let mut step = Step::within(&mut self.state, Time(self.seconds * 1_000_000_000), setting);
        let result = decide(&mut step);
        self.events.extend(step.events);
        self.news.extend(step.update_news);
        result
    }

    /// A workflow task that must succeed, or come to nothing.
    fn task(&mut self) -> CompletionOutcome {
        match self.try_task() {
            Ok(outcome) => outcome,
            Err(failure) => panic!("{failure}"),
        }
    }

    fn try_task(&mut self) -> Result<CompletionOutcome, TaskFailure> {
        let started = self.step(|step| step.start_workflow_task("test", "request")).expect("there is a task");
        let messages = self.step(|step| step.deliver_updates());
        let bodies = messages.iter().map(|message| message.body.as_ref().expect("a body").value.as_slice());
        let updates: Vec<_> = bodies.map(update_request).collect();
        let mut events = self.events.clone();
        events.extend(self.state.transient_events());
        let attempt = self.state.workflow_task.as_ref().expect("it runs").attempt;
        let task = WorkflowTask {
            run: &self.key,
            module: Digest::of(puppet()),
            attempt,
            started_event_id: started,
            updates: &updates,
            history: &Journal { events: &events, read: Default::default() },
            modules: &Puppets,
            terms: None,
        };
        let activated = shared().activate(&task)?;
        let completion = WorkflowTaskCompletion {
            started_event_id: started,
            attempt,
            commands: activated.commands,
            messages: activated.messages,
            build_id: Digest::of(puppet()).to_string(),
            ..WorkflowTaskCompletion::default()
        };
        Ok(self.step(|step| step.complete_workflow_task(completion, Default::default())).expect("it is the task"))
    }

    fn signal(&mut self, input: Value) {
        let signal =
            mainspring_core::signal::Signal { name: "go".into(), input: Some(payloads(&input)), ..Default::default() };
        self.step(|step| step.signal(signal)).expect("the run is open");
    }

    fn update(&mut self, id: &str, name: &str) {
        let input = Input { name: name.into(), args: Some(payloads(&json!(id))), ..Default::default() };
        self.step(|step| step.request_update(update::request(id, "test", input))).expect("it is admitted");
    }

    fn query(&self, name: &str) -> Result<QueryAnswer, TaskFailure> {
        let queried = QueriedRun {
            run: &self.key,
            module: Digest::of(puppet()),
            history: &Journal { events: &self.events, read: Default::default() },
            modules: &Puppets,
            terms: None,
        };
        shared().query(&queried, &Question { name: name.into(), ..Question::default() })
    }

    fn answer(&self, name: &str) -> Value {
        let answer = self.query(name).expect("the guest answers").expect("with a value");
        serde_json::from_slice(&answer.expect("it has one").payloads[0].data).expect("JSON")
    }

    fn replay(&self) -> Result<ReplayReport, TaskFailure> {
        shared().replay(&ModuleSource::Bytes(puppet()), &self.key, &self.events)
    }

    /// The trace that the workflow has returned; the history must replay.
    fn result(&self) -> Value {
        self.replay().expect("the history replays");
        match &self.events.last().expect("events").attributes {
            Some(Attributes::WorkflowExecutionCompletedEventAttributes(completed)) => {
                serde_json::from_slice(&completed.result.as_ref().expect("a result").payloads[0].data).expect("JSON")
            }
            other => panic!("the run has not completed: {other:?}"),
        }
    }

    fn find(&self, kind: EventType) -> i64 {
        let found = self.events.iter().find(|event| event.event_type() == kind);
        found.unwrap_or_else(|| panic!("no {kind:?}")).event_id
    }

    fn count(&self, kind: EventType) -> usize {
        self.events.iter().filter(|event| event.event_type() == kind).count()
    }

    /// The same history, as if the workflow had been written like this.
    fn rewritten(&self, steps: Value) -> Result<ReplayReport, TaskFailure> {
        let mut events = self.events.clone();
        if let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = &mut events[0].attributes {
            started.input = Some(payloads(&steps));
        }
        shared().replay(&ModuleSource::Bytes(puppet()), &self.key, &events)
    }
}

fn update_request(body: &[u8]) -> mainspring_api::update::Request {
    mainspring_api::update::Request::decode(body).expect("a request")
}

/// As servers name runs: a request that names another is refused.
const CHILD_RUN: &str = "00000000-0000-0000-0000-00000000000a";

#[test]
fn a_query_sees_the_run_where_it_stands_and_changes_nothing() {
    let mut run = Run::start(json!(["await_signal", "await_signal"]));
    run.task();
    assert_eq!(run.answer("trace"), json!([]));
    run.signal(json!(1));
    run.task();
    assert_eq!(run.answer("trace").as_array().map(Vec::len), Some(1));
    assert_eq!(run.answer("change")[1], "changed by a query");
    run.signal(json!(2));
    run.task();
    assert!(!run.result().to_string().contains("changed by a query"), "the workflow has met a query's doing");
    assert_eq!(run.answer("trace").as_array().map(Vec::len), Some(2), "a closed run still answers");
}

#[test]
fn a_query_that_wants_to_do_something_is_refused_and_the_run_goes_on() {
    let mut run = Run::start(json!(["await_signal"]));
    run.task();
    let refused = run.query("timer").expect_err("it may not");
    assert!(refused.to_string().contains("a query may change nothing"), "{refused}");
    let panicked = run.query("panic").expect_err("it traps");
    assert!(panicked.to_string().contains("a query panics"), "{panicked}");
    let failure = run.query("other").expect("it answers").expect_err("with a failure");
    assert_eq!(failure.message, "unknown query other");
    run.signal(json!(1));
    run.task();
    run.result();
}

#[test]
fn a_run_that_has_not_run_cannot_be_asked() {
    let run = Run::start(json!(["await_signal"]));
    let refused = run.query("trace").expect_err("there is nothing to ask");
    assert!(refused.to_string().contains("has not run yet"), "{refused}");
}

#[test]
fn updates_are_accepted_and_completed_at_once_or_later() {
    let mut run = Run::start(json!(["await_signal", {"complete_update": 2}]));
    run.task();
    run.update("first", "now");
    run.task();
    run.update("second", "later");
    run.task();
    assert_eq!((run.count(EventType::WorkflowExecutionUpdateAccepted)), 2);
    assert_eq!((run.count(EventType::WorkflowExecutionUpdateCompleted)), 1);
    run.signal(json!(null));
    run.task();
    assert_eq!((run.count(EventType::WorkflowExecutionUpdateCompleted)), 2);
    let last = run.news.pop().expect("news");
    let Progress::Completed(outcome) = last.progress else { panic!("{last:?}") };
    assert!(matches!(outcome.value, Some(Outcome::Success(_))));
    let trace = run.result();
    assert_eq!(trace[0]["number"], 1);
    assert_eq!(trace[1]["update"], "second");
}

#[test]
fn updates_that_come_with_the_first_task_find_the_workflow_begun() {
    let mut run = Run::start(json!([{"observe": "now"}, "await_signal"]));
    run.update("early", "now");
    run.task();
    run.signal(json!(null));
    run.task();
    assert_eq!(run.result()[1]["update"], "early");
}

#[test]
fn a_rejected_update_leaves_no_trace_anywhere() {
    let mut run = Run::start(json!(["await_signal"]));
    run.task();
    let before = run.events.len();
    run.update("bad", "reject");
    assert_eq!(run.task(), CompletionOutcome::Discarded);
    assert_eq!(run.events.len(), before);
    assert!(matches!(run.news.pop().expect("news").progress, Progress::Rejected(_)));
    // In one task with others, too: what follows it keeps its number.
    run.update("bad again", "reject");
    run.update("good", "now");
    run.task();
    run.signal(json!(null));
    run.task();
    let trace = run.result();
    assert_eq!((&trace[0]["update"], &trace[0]["number"]), (&json!("good"), &json!(1)));
    assert!(!trace.to_string().contains("must not stay"));
}

#[test]
fn an_update_must_be_decided_on_before_anything_is_done_for_it() {
    for (name, message) in
        [("ignore", "neither accepts nor rejects"), ("timer_first", "must be accepted before anything is done")]
    {
        let mut run = Run::start(json!(["await_signal"]));
        run.task();
        run.update("u", name);
        let failure = run.try_task().expect_err("the task fails");
        assert!(failure.to_string().contains(message), "{name}: {failure}");
    }
}

#[test]
fn another_outcome_of_an_update_is_a_divergence() {
    let mut run = Run::start(json!(["await_signal"]));
    run.task();
    run.update("u", "now");
    run.task();
    let completed = run.find(EventType::WorkflowExecutionUpdateCompleted);
    let index = usize::try_from(completed - 1).expect("an index");
    if let Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(has)) = &mut run.events[index].attributes {
        has.outcome.as_mut().expect("an outcome").value = Some(Outcome::Success(payloads(&json!("other"))));
    }
    let diverged = run.replay().expect_err("it is another outcome");
    assert!(diverged.to_string().contains(&completed.to_string()), "{diverged}");
    run.events.remove(index);
    assert!(run.replay().is_err(), "it is missing");
}

#[test]
fn children_begin_and_end() {
    let mut run = Run::start(json!([
        {"child": {"name": "good", "cancel": "try"}}, {"child": {"name": "bad", "cancel": "try"}},
        {"child": {"name": "taken", "cancel": "try"}},
        {"await_start": "good"}, {"await": "good"}, {"await": "bad"}, {"await": "taken"},
    ]));
    run.task();
    let initiated: Vec<i64> = run
        .events
        .iter()
        .filter(|event| event.event_type() == EventType::StartChildWorkflowExecutionInitiated)
        .map(|event| event.event_id)
        .collect();
    run.step(|step| step.child_started(initiated[0], CHILD_RUN));
    run.step(|step| step.child_started(initiated[1], "00000000-0000-0000-0000-00000000000b"));
    run.step(|step| {
        use mainspring_api::enums::StartChildWorkflowExecutionFailedCause as Cause;
        step.child_start_failed(initiated[2], Cause::WorkflowAlreadyExists);
    });
    run.task();
    run.step(|step| {
        step.child_closed(initiated[0], CHILD_RUN, ChildOutcome::Completed(Some(payloads(&json!("done")))));
        step.child_closed(initiated[1], "00000000-0000-0000-0000-00000000000b", ChildOutcome::Terminated);
    });
    run.task();
    let trace = run.result();
    assert_eq!(trace[0], json!({"run": CHILD_RUN}));
    assert_eq!(trace[1], json!({"ok": ["done"]}));
    assert_eq!(trace[2]["failed"][0]["message"], "Child Workflow execution terminated");
    assert_eq!(trace[3]["failed"][1]["application"], "WorkflowExecutionAlreadyStarted");
}

#[test]
fn a_child_is_cancelled_as_its_type_says() {
    for (cancel, at_once, asks) in
        [("abandon", true, false), ("try", true, true), ("requested", false, true), ("wait", false, true)]
    {
        let mut run = Run::start(json!([
            {"child": {"name": "c", "cancel": cancel}}, {"await_start": "c"}, "await_signal",
            {"cancel_child": "c"}, {"await": "c"}, "await_signal",
        ]));
        run.task();
        let initiated = run.find(EventType::StartChildWorkflowExecutionInitiated);
        run.step(|step| step.child_started(initiated, CHILD_RUN));
        run.task();
        run.signal(json!("cancel"));
        run.task();
        let is_told = |run: &Run| run.answer("trace").as_array().map(Vec::len) == Some(3);
        assert_eq!(is_told(&run), at_once, "{cancel}");
        assert_eq!(
            run.count(EventType::RequestCancelExternalWorkflowExecutionInitiated),
            usize::from(asks),
            "{cancel}"
        );
        if asks {
            let request = run.find(EventType::RequestCancelExternalWorkflowExecutionInitiated);
            run.step(|step| step.external_cancel_requested(request, Ok(())));
            run.task();
            assert_eq!(is_told(&run), cancel != "wait", "{cancel}");
        }
        run.step(|step| step.child_closed(initiated, CHILD_RUN, ChildOutcome::Canceled(None)));
        run.signal(json!("end"));
        run.task();
        assert_eq!(run.result()[2]["failed"][0]["message"], "Child Workflow execution cancelled", "{cancel}");
    }
}

#[test]
fn a_child_of_this_very_activation_was_never_started() {
    let mut run = Run::start(json!([
        {"child": {"name": "c", "cancel": "wait"}}, {"cancel_child": "c"}, {"await": "c"},
    ]));
    run.task();
    assert_eq!(run.count(EventType::StartChildWorkflowExecutionInitiated), 0);
    assert_eq!(run.result()[0]["failed"][0]["message"], "Child Workflow execution cancelled");
}

#[test]
fn messages_to_other_workflows_are_told_as_delivered_or_not() {
    let mut run = Run::start(json!([
        {"child": {"name": "c", "cancel": "try"}},
        {"signal_child": {"name": "to child", "child": "c"}},
        {"signal_external": {"name": "to nobody", "workflow": "nobody"}},
        {"cancel_external": {"name": "cancel", "workflow": "other"}},
        {"await": "to child"}, {"await": "to nobody"}, {"await": "cancel"},
    ]));
    run.task();
    let signals: Vec<i64> = run
        .events
        .iter()
        .filter(|event| event.event_type() == EventType::SignalExternalWorkflowExecutionInitiated)
        .map(|event| event.event_id)
        .collect();
    let to_child = run.events.iter().find(|event| event.event_id == signals[0]).expect("it is there");
    assert!(matches!(&to_child.attributes,
        Some(Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(signal))
            if signal.child_workflow_only
                && signal.workflow_execution == Some(WorkflowExecution { workflow_id: "c".into(), run_id: String::new() })));
    let cancel = run.find(EventType::RequestCancelExternalWorkflowExecutionInitiated);
    run.step(|step| {
        use mainspring_api::enums::SignalExternalWorkflowExecutionFailedCause as Cause;
        step.external_signaled(signals[0], Ok(()));
        step.external_signaled(signals[1], Err(Cause::ExternalWorkflowExecutionNotFound));
        step.external_cancel_requested(cancel, Ok(()));
    });
    run.task();
    let trace = run.result();
    assert_eq!((&trace[0], &trace[2]), (&json!("delivered"), &json!("delivered")));
    assert!(trace[1]["failed"][0]["message"].as_str().is_some_and(|said| said.contains("not found")), "{trace}");
}

#[test]
fn a_run_keeps_to_the_path_of_a_change_that_it_has_taken() {
    let mut new = Run::start(json!([{"patched": "change"}, "await_signal", {"patched": "change"}]));
    new.task();
    new.signal(json!(null));
    new.task();
    assert_eq!((&new.result()[0], &new.result()[2]), (&json!(true), &json!(true)));
    assert_eq!(new.count(EventType::MarkerRecorded), 1);

    // A run from before the change replays with it, and takes the old path.
    let mut old = Run::start(json!(["await_signal", "complete"]));
    old.task();
    old.signal(json!(null));
    old.task();
    assert!(
        old.rewritten(json!([{"patched": "change"}, "await_signal", "complete"])).is_err(),
        "the trace has an entry more"
    );
    // Once the old path is gone, both kinds of new runs replay; one that still asks has not lost its marker.
    let gone = json!([{"deprecate_patch": "change"}, {"observe": "true"}, "await_signal", {"observe": "true"}]);
    new.rewritten(gone).expect("a run with the marker replays where the change is deprecated");
    let forgotten = json!([{"observe": "true"}, "await_signal", {"observe": "true"}]);
    assert!(new.rewritten(forgotten.clone()).is_err(), "its marker is still there");
    let mut deprecated =
        Run::start(json!([{"deprecate_patch": "change"}, {"observe": "true"}, "await_signal", {"observe": "true"}]));
    deprecated.task();
    deprecated.signal(json!(null));
    deprecated.task();
    deprecated.rewritten(forgotten).expect("a deprecated marker may be forgotten");
}

#[test]
fn markers_and_memos_are_compared_in_replay() {
    let mut run = Run::start(json!([{"marker": "fact"}, {"upsert_memo": "note"}]));
    run.task();
    run.result();
    assert!(run.rewritten(json!([{"marker": "other"}, {"upsert_memo": "note"}])).is_err());
    assert!(run.rewritten(json!([{"marker": "fact"}, {"upsert_memo": "other"}])).is_err());
    assert!(run.rewritten(json!([{"upsert_memo": "note"}, {"marker": "fact"}])).is_err());
    assert!(run.rewritten(json!([{"marker": "fact"}])).is_err());
}

#[test]
fn a_run_goes_on_in_another() {
    let mut run = Run::start(json!([{"continue_as_new": [1, 2]}]));
    run.task();
    assert_eq!(run.events.last().map(HistoryEvent::event_type), Some(EventType::WorkflowExecutionContinuedAsNew));
    run.replay().expect("it replays");
    assert!(run.rewritten(json!([{"continue_as_new": [2, 1]}])).is_err());
}
