//! Resets: of any run to any of its turns, and step by step.

use mainspring_api::{
    enums::{EventType, ResetReapplyExcludeType, ResetReapplyType, WorkflowTaskFailedCause},
    history::history_event::Attributes,
};
use mainspring_core::{
    Rejection, RunState, Time,
    child::ChildOutcome,
    outbox::{Effect, HISTORY_RESETTER},
    reset::{Exclude, ResetRequest, ResetRun, first_workflow_task, last_workflow_task, reset},
};

use crate::{
    orders::Order,
    run::{Input, Run, kinds, start},
};

fn reset_to(run: &Run, finish: i64, exclude: Exclude) -> Result<ResetRun, Rejection> {
    let request = ResetRequest {
        workflow_task_finish_event_id: finish,
        reason: "try again".into(),
        request_id: "reset".into(),
        exclude,
    };
    reset(&run.state.run_id, &run.history, &[], "new", &request, run.now)
}

/// A reset is possible where a workflow task is open just before, and what it makes is a run like any other.
pub fn check_reset(run: &Run, finish: i64) {
    let shared = usize::try_from(finish - 1).ok().and_then(|count| run.history.get(..count)).unwrap_or_default();
    let inside = finish > 1 && finish < run.state.next_event_id;
    let open = inside && RunState::fold("new", shared).is_ok_and(|state| state.workflow_task.is_some());
    match reset_to(run, finish, Exclude::default()) {
        Err(refused) => {
            assert!(!open, "{refused} at {finish} of {:?}", run.kinds());
            assert!(matches!(refused, Rejection::InvalidArgument(_)));
        }
        Ok(made) => {
            assert!(open);
            assert_eq!(made.events.get(..shared.len()), Some(shared));
            let folded = RunState::fold("new", &made.events).expect("the history is one");
            let activities = made.state.activities.iter().map(|(id, activity)| (*id, activity.row())).collect();
            let read_back = folded.with_rows(made.state.row(None), activities).expect("the rows fit the history");
            assert_eq!(read_back, made.state);
            let times: Vec<Time> =
                made.events.iter().filter_map(|event| event.event_time.as_ref()).map(Time::from_proto).collect();
            assert!(times.is_sorted());
            assert!(made.state.is_running() && made.state.workflow_task.is_some());
        }
    }
}

#[test]
fn signals_and_updates_behind_the_reset_point_are_carried_over_unless_excluded() {
    let mut run = Run::start(start());
    run.turn(vec![Order::Timer(1_000)]);
    run.take(&Input::Signal(3));
    run.update("u1").unwrap();
    run.turn(vec![Order::Accept]);
    run.update("u2").unwrap();
    run.turn(vec![Order::Accept, Order::Answer, Order::End(0)]);
    let first = first_workflow_task(&run.history).expect("there is one");
    assert_eq!(first, 4);
    let made = reset_to(&run, first, Exclude::default()).expect("it can be reset");
    let expected = [
        "WORKFLOW_EXECUTION_STARTED",
        "WORKFLOW_TASK_SCHEDULED",
        "WORKFLOW_TASK_STARTED",
        "WORKFLOW_TASK_FAILED",
        "WORKFLOW_EXECUTION_SIGNALED",
        "WORKFLOW_EXECUTION_UPDATE_ADMITTED",
        "WORKFLOW_EXECUTION_UPDATE_ADMITTED",
        "WORKFLOW_TASK_SCHEDULED",
    ];
    assert_eq!(kinds(&made.events), expected);
    let Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) =
        made.events.get(3).and_then(|it| it.attributes.clone())
    else {
        panic!("the task has failed");
    };
    assert_eq!(failed.cause(), WorkflowTaskFailedCause::ResetWorkflow);
    assert_eq!((failed.base_run_id.as_str(), failed.new_run_id.as_str()), ("run", "new"));
    assert_eq!(failed.failure.map(|failure| failure.message), Some("try again".into()));
    assert_eq!(made.state.start_request_id, "reset");
    assert_eq!(made.state.started.original_execution_run_id, "run");

    let none =
        Exclude::of(ResetReapplyType::Unspecified, &[ResetReapplyExcludeType::Signal, ResetReapplyExcludeType::Update]);
    let made = reset_to(&run, first, none).expect("it can be reset");
    assert_eq!(kinds(&made.events).split_off(3), ["WORKFLOW_TASK_FAILED", "WORKFLOW_TASK_SCHEDULED"]);
    assert_eq!(Exclude::of(ResetReapplyType::Signal, &[]), Exclude { signals: false, updates: true });
}

#[test]
fn an_update_that_a_reset_has_admitted_is_accepted_without_its_request() {
    let mut run = Run::after(Vec::new());
    run.update("u1").unwrap();
    run.turn(vec![Order::Accept]);
    let made = reset_to(&run, 4, Exclude::default()).expect("it can be reset");
    (run.state, run.history) = (made.state, made.events);
    assert_eq!(run.turn(vec![Order::Accept]), Some(mainspring_core::workflow_task::CompletionOutcome::Completed));
    let Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(accepted)) =
        run.history.last().and_then(|event| event.attributes.clone())
    else {
        panic!("{:?}", run.kinds());
    };
    assert_eq!(accepted.accepted_request, None);
    run.check();
}

#[test]
fn an_update_that_a_reset_has_admitted_is_brought_to_the_workflow_until_it_is_answered() {
    let mut run = Run::after(Vec::new());
    run.update("u1").unwrap();
    run.turn(vec![Order::Accept]);
    let made = reset_to(&run, 4, Exclude::default()).expect("it can be reset");
    (run.state, run.history) = (made.state, made.events);
    let brought = |run: &mut Run| -> Vec<String> {
        let started = run.step(|step| step.start_workflow_task("worker", "request")).expect("a task is ready");
        let messages = run.step(|step| step.deliver_updates());
        assert!(messages.iter().all(|message| message.body.is_some()) && started > 0);
        messages.into_iter().map(|message| message.protocol_instance_id).collect()
    };
    assert_eq!(brought(&mut run), ["u1"]);
    assert!(run.step(|step| step.deliver_updates()).is_empty(), "it was brought already");
    // What is in memory alone is lost in a crash: the next start brings it again.
    let mut crashed = run.state.after_crash();
    std::mem::swap(&mut run.state, &mut crashed);
    assert_eq!(run.step(|step| step.deliver_updates()).len(), 1);
}

#[test]
fn a_point_without_an_open_workflow_task_is_refused_in_temporals_words() {
    let mut run = Run::after(Vec::new());
    run.take(&Input::Signal(3));
    let refused = |finish| match reset_to(&run, finish, Exclude::default()) {
        Err(Rejection::InvalidArgument(message)) => message,
        other => panic!("{other:?}"),
    };
    for finish in [-1, 0, 1, 7, 100] {
        assert_eq!(refused(finish), "Workflow task finish ID must be > 1 && <= workflow last event ID.");
    }
    let expected =
        "Can only reset workflow to event ID in range [WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]: 5";
    assert_eq!(refused(5), expected);
    let expected =
        "StateRebuilder unable to Rebuild mutable state to event ID: 1, version: 0, this event must be at the boundary";
    assert_eq!(refused(2), expected);
}

#[test]
fn the_first_and_the_last_turn_are_found() {
    let mut run = Run::start(start());
    assert_eq!(first_workflow_task(&run.history), Some(3), "none has completed yet");
    run.turn(Vec::new());
    run.take(&Input::Signal(3));
    run.turn(Vec::new());
    assert_eq!((first_workflow_task(&run.history), last_workflow_task(&run.history)), (Some(4), Some(8)));
    let kind = |id: i64| run.history.iter().find(|event| event.event_id == id).map(|event| event.event_type());
    assert_eq!(kind(8), Some(EventType::WorkflowTaskCompleted));
}

#[test]
fn what_has_become_of_a_child_that_both_runs_have_is_carried_over() {
    let mut run = Run::after(vec![Order::Child(0), Order::Child(0)]);
    run.take(&Input::Signal(3));
    run.take(&Input::StartTask);
    let effects = run.state.effects();
    run.answer(effects.first().expect("a child is to begin"), true);
    run.complete_task(&[Order::Child(0)]);
    run.step(|step| step.child_closed(5, "child of 5", ChildOutcome::Completed(None)));
    let last = last_workflow_task(&run.history).expect("there is one");
    let made = reset_to(&run, last, Exclude::default()).expect("it can be reset");
    let ends = kinds(&made.events);
    assert!(ends.contains(&"CHILD_WORKFLOW_EXECUTION_STARTED") && ends.contains(&"CHILD_WORKFLOW_EXECUTION_COMPLETED"));
    // The other child has not begun as far as anybody knows: it is asked for by the same request as before.
    let [Effect::StartChild { start, .. }] = &*made.state.effects() else { panic!("{:?}", made.state.effects()) };
    assert_eq!(start.request_id, "run:6");
    // What the new run starts itself is its own.
    (run.state, run.history) = (made.state, made.events);
    run.turn(vec![Order::Child(0)]);
    assert_eq!(run.state.children.values().next_back().map(|child| child.request_id.starts_with("new:")), Some(true));
}

#[test]
fn a_run_that_is_replaced_leaves_its_children_and_its_parent_alone() {
    let mut run =
        Run::start(mainspring_core::workflow::StartWorkflow { parent: Some(crate::run::parent()), ..start() });
    run.turn(vec![Order::Child(1)]);
    let child = run.state.effects();
    run.answer(child.first().expect("a child is to begin"), true);
    run.step(|step| step.terminate("reset", None, HISTORY_RESETTER)).expect("it runs");
    run.step(|step| step.note_reset("new"));
    assert!(!run.state.has_effects());
    assert_eq!(run.read_back().extended_info().reset_run_id, "new");
    run.check();
}

#[test]
fn an_activity_that_waits_has_all_of_its_time_again() {
    let mut run = Run::after(vec![Order::Activity { attempts: 1, heartbeat: false }]);
    run.take(&Input::Signal(3));
    run.take(&Input::Wait(50_000));
    run.turn(Vec::new());
    let last = last_workflow_task(&run.history).expect("there is one");
    let made = reset_to(&run, last, Exclude::default()).expect("it can be reset");
    let activity = made.state.activities.values().next().expect("it is open");
    assert_eq!((activity.scheduled_time, made.state.start_time), (run.now, run.now));
    assert_eq!(made.state.original_start_time, run.state.start_time);
}
