//! Children and messages to other workflows, step by step.

use mainspring_api::{
    common::WorkflowExecution,
    enums::{ParentClosePolicy, WorkflowExecutionStatus},
    history::history_event::Attributes,
};
use mainspring_core::{
    Rejection, RunState,
    child::ChildOutcome,
    outbox::{Effect, REPORT_TO_PARENT},
    signal::Signal,
    workflow::StartWorkflow,
};

use crate::{
    orders::Order,
    run::{Input, Run, parent, start},
};

fn the_only(run: &Run) -> Effect {
    let effects = run.state.effects();
    assert_eq!(effects.len(), 1, "{effects:?}");
    effects.into_iter().next().expect("there is one")
}

/// A parent whose only child has begun.
fn with_child(policy: ParentClosePolicy) -> (Run, StartWorkflow) {
    let mut run = Run::after(vec![Order::Child(policy.into())]);
    let effect = the_only(&run);
    run.answer(&effect, true);
    let Effect::StartChild { start, .. } = effect else { panic!("{effect:?}") };
    (run, *start)
}

#[test]
fn a_child_begins_and_completes() {
    let (mut run, _) = with_child(ParentClosePolicy::Unspecified);
    assert!(!run.state.has_effects());
    assert_eq!(run.state.pending_children().len(), 1);
    run.step(|step| step.child_closed(5, "child of 5", ChildOutcome::Completed(None)));
    let expected = [
        "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
        "CHILD_WORKFLOW_EXECUTION_STARTED",
        "WORKFLOW_TASK_SCHEDULED",
        "CHILD_WORKFLOW_EXECUTION_COMPLETED",
    ];
    assert_eq!(run.kinds().split_off(4), expected);
    assert!(run.state.pending_children().is_empty());
    run.check();
}

#[test]
fn a_child_starts_with_its_parent_and_the_root_of_the_tree() {
    let mut parent = Run::start(StartWorkflow { parent: Some(parent()), ..start() });
    parent.turn(vec![Order::Child(0)]);
    let Effect::StartChild { start, .. } = the_only(&parent) else { panic!("it is to start a child") };
    assert_eq!(start.request_id, "run:5");
    let child = Run::start(*start);
    let started = &child.state.started;
    let execution =
        |id: &str, run_id: &str| Some(WorkflowExecution { workflow_id: id.to_owned(), run_id: run_id.to_owned() });
    assert_eq!(started.parent_workflow_execution, execution("w", "run"));
    assert_eq!(started.parent_initiated_event_id, 5);
    assert_eq!(started.root_workflow_execution, execution("root", "root run"));
    assert_eq!(started.parent_workflow_namespace, "default");
    assert_eq!(child.state.execution_info().parent_execution, execution("w", "run"));
}

#[test]
fn what_happens_while_a_task_runs_comes_after_it_and_is_not_done_again() {
    let mut run = Run::after(vec![Order::Child(0), Order::Signal]);
    run.take(&Input::Signal(200));
    run.take(&Input::StartTask);
    for effect in run.state.effects() {
        run.answer(&effect, true);
        run.answer(&effect, true);
    }
    run.step(|step| step.child_closed(5, "child of 5", ChildOutcome::Terminated));
    run.check();
    assert!(!run.state.has_effects(), "though the answers are buffered");
    run.take(&Input::Crash);
    assert!(!run.state.has_effects());
    run.complete_task(&[]);
    run.check();
    let expected = [
        "WORKFLOW_TASK_COMPLETED",
        "CHILD_WORKFLOW_EXECUTION_STARTED",
        "EXTERNAL_WORKFLOW_EXECUTION_SIGNALED",
        "CHILD_WORKFLOW_EXECUTION_TERMINATED",
        "WORKFLOW_TASK_SCHEDULED",
    ];
    assert_eq!(run.kinds().split_off(9), expected);
}

#[test]
fn a_crash_before_an_effect_is_answered_does_not_lose_it() {
    let mut run = Run::after(vec![Order::Child(0), Order::Signal, Order::CancelExternal]);
    let before = run.state.effects();
    assert_eq!(before.len(), 3);
    run.take(&Input::Crash);
    assert_eq!(run.state.effects(), before);
}

#[test]
fn a_child_shares_its_parents_end_as_its_policy_says() {
    for (policy, expected) in [
        (ParentClosePolicy::Terminate, WorkflowExecutionStatus::Terminated),
        (ParentClosePolicy::RequestCancel, WorkflowExecutionStatus::Running),
        (ParentClosePolicy::Abandon, WorkflowExecutionStatus::Running),
    ] {
        let (mut run, start) = with_child(policy);
        let mut child = Run::start(start);
        run.turn(vec![Order::End(0)]);
        for effect in run.state.effects() {
            let Effect::CloseChild { run_id, closing, .. } = &effect else { panic!("{effect:?}") };
            assert_eq!(run_id, "child of 5");
            child.step(|step| step.close_child(closing)).expect("it is our child");
            run.answer(&effect, true);
        }
        assert_eq!(child.state.status, expected);
        assert_eq!(child.state.cancel_requested, policy == ParentClosePolicy::RequestCancel);
        assert!(!run.state.has_effects());
        run.check();
    }
}

#[test]
fn a_child_that_has_not_begun_when_its_parent_closes_is_begun_only_if_it_is_abandoned() {
    for policy in [ParentClosePolicy::Terminate, ParentClosePolicy::Abandon] {
        let mut run = Run::start(start());
        run.turn(vec![Order::Child(policy.into()), Order::End(0)]);
        let starts = matches!(the_only(&run), Effect::StartChild { .. });
        assert_eq!(starts, policy == ParentClosePolicy::Abandon);
        run.check();
    }
}

#[test]
fn a_stranger_is_not_closed_for_a_child() {
    let (mut run, _) = with_child(ParentClosePolicy::Terminate);
    run.turn(vec![Order::End(0)]);
    let Effect::CloseChild { closing, .. } = the_only(&run) else { panic!("it closes its child") };
    let mut stranger = Run::start(start());
    let refused = stranger.step(|step| step.close_child(&closing));
    assert_eq!(refused, Err(Rejection::not_found("workflow parent does not match")));
}

#[test]
fn a_child_reports_its_end_to_its_parent_once() {
    let mut child = Run::start(StartWorkflow { parent: Some(parent()), ..start() });
    child.turn(vec![Order::End(2)]);
    let effect = the_only(&child);
    let Effect::ReportToParent { parent: to, child_run_id, outcome } = &effect else { panic!("{effect:?}") };
    assert_eq!((to, child_run_id.as_str()), (&parent(), "run"));
    assert!(matches!(**outcome, ChildOutcome::Failed { failure: Some(_), .. }));
    child.take(&Input::Crash);
    assert_eq!(the_only(&child), effect);
    child.step(|step| step.delivered(REPORT_TO_PARENT));
    assert!(!child.state.has_effects());
    child.take(&Input::Crash);
    assert!(!child.state.has_effects());
}

#[test]
fn a_child_that_goes_on_in_another_run_does_not_report() {
    let mut child = Run::start(StartWorkflow { parent: Some(parent()), ..start() });
    child.turn(vec![Order::Continue]);
    assert!(!child.state.has_effects());
    child.go_on();
    child.take(&Input::Wait(1_000));
    child.turn(vec![Order::End(0)]);
    let Effect::ReportToParent { child_run_id, .. } = the_only(&child) else { panic!("it reports") };
    assert_eq!(child_run_id, "run+");
}

#[test]
fn news_of_a_childs_end_that_overtake_its_start_stand_for_both() {
    let mut run = Run::after(vec![Order::Child(0)]);
    run.step(|step| step.child_closed(5, "child of 5", ChildOutcome::Completed(None)));
    run.check();
    let expected =
        ["CHILD_WORKFLOW_EXECUTION_STARTED", "CHILD_WORKFLOW_EXECUTION_COMPLETED", "WORKFLOW_TASK_SCHEDULED"];
    assert_eq!(run.kinds().split_off(5), expected);
    run.answer(&run.effects.values().next().cloned().expect("the start has left"), true);
    run.check();
}

#[test]
fn a_signal_to_another_workflow_says_where_it_comes_from_and_is_taken_once() {
    let sender = Run::after(vec![Order::Signal]);
    let Effect::Signal { signal, target, .. } = the_only(&sender) else { panic!("it signals") };
    assert_eq!(target.workflow_id, "other");
    let mut target = Run::start(start());
    for _ in 0..2 {
        target.step(|step| step.signal(Signal::clone(&signal))).expect("it is taken");
    }
    assert_eq!(target.state.signal_count, 1);
    let Some(Attributes::WorkflowExecutionSignaledEventAttributes(signaled)) =
        target.history.last().and_then(|event| event.attributes.clone())
    else {
        panic!("the last event is the signal");
    };
    assert_eq!(signaled.external_workflow_execution.map(|execution| execution.run_id), Some("run".into()));
}

#[test]
fn a_signal_is_on_its_way_when_its_sender_closes_but_not_one_of_its_last_turn() {
    let mut sender = Run::after(vec![Order::Signal]);
    sender.take(&Input::Signal(200));
    sender.turn(vec![Order::Signal, Order::CancelExternal, Order::End(0)]);
    let Effect::Signal { initiated_event_id, .. } = the_only(&sender) else { panic!("it signals") };
    assert_eq!(initiated_event_id, 5);
    sender.check();
}

#[test]
fn a_message_for_children_alone_is_refused_by_others() {
    let sender = Run::after(vec![Order::Signal]);
    let Effect::Signal { mut signal, .. } = the_only(&sender) else { panic!("it signals") };
    signal.origin.as_mut().expect("it has an origin").child_workflow_only = true;
    let mut stranger = Run::start(start());
    let refused = stranger.step(|step| step.signal(*signal));
    assert_eq!(refused, Err(Rejection::not_found("workflow parent does not match")));
}

#[test]
fn two_thousand_children_may_be_open() {
    let mut run = Run::start(start());
    run.turn(vec![Order::Child(0); 2_000]);
    assert_eq!(run.state.children.len(), 2_000);
    run.take(&Input::Signal(200));
    let Some(mainspring_core::workflow_task::CompletionOutcome::Failed(bad)) = run.turn(vec![Order::Child(0)]) else {
        panic!("one more is refused");
    };
    let expected = "PendingChildWorkflowsLimitExceeded: the number of pending child workflow executions, 2000, has reached the per-workflow limit of 2000";
    assert_eq!(bad.to_string(), expected);
}

#[test]
fn memo_and_search_attributes_are_merged_and_taken_out() {
    let mut run = Run::after(vec![Order::Memo(1), Order::Memo(2), Order::SearchAttributes(1)]);
    let fields = |state: &RunState| state.memo.as_ref().map_or(0, |memo| memo.fields.len());
    assert_eq!(fields(&run.state), 2);
    run.take(&Input::Signal(200));
    run.turn(vec![Order::Memo(9)]);
    assert_eq!(fields(&run.state), 1);
    assert_eq!(run.state.execution_info().search_attributes.map(|found| found.indexed_fields.len()), Some(1));
    run.check();
}
