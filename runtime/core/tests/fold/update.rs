//! Updates, step by step.

use mainspring_api::{enums::ResourceExhaustedCause, update::outcome::Value};
use mainspring_core::{
    Rejection,
    update::{Progress, Stage, Update, outcome},
    workflow::StartWorkflow,
    workflow_task::CompletionOutcome,
};

use crate::{
    orders::Order,
    run::{Input, Run, kinds, seconds, start},
};

/// A run that waits for a signal: its first workflow task is done.
fn idle() -> Run {
    Run::after(Vec::new())
}

const FIRST_TASK: [&str; 4] =
    ["WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED"];

#[test]
fn an_update_that_is_accepted_and_completed_at_once_is_five_events() {
    let mut run = idle();
    assert_eq!(run.update("u1"), Ok(Stage::Admitted));
    assert_eq!(run.history.len(), 4, "nothing is written before the task completes");
    run.take(&Input::StartTask);
    let request = run.brought.first().expect("the task brings it").clone();
    assert_eq!((request.id.as_str(), request.protocol_instance_id.as_str()), ("u1/request", "u1"));
    assert_eq!(run.complete_task(&[Order::Accept, Order::Answer]), Some(CompletionOutcome::Completed));
    let new = run.kinds().split_off(4);
    let expected = [
        "WORKFLOW_TASK_SCHEDULED",
        "WORKFLOW_TASK_STARTED",
        "WORKFLOW_TASK_COMPLETED",
        "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
        "WORKFLOW_EXECUTION_UPDATE_COMPLETED",
    ];
    assert_eq!(new, expected);
    assert!(run.state.workflow_task.is_none());
    // Who waits for acceptance hears of the outcome at once.
    assert!(matches!(run.news.as_slice(), [news] if matches!(news.progress, Progress::Completed(_))));
    let Ok(Stage::Completed { event_id }) = run.update("u1") else { panic!("it is known by its id") };
    let event = run.history.iter().find(|event| event.event_id == event_id).expect("it is in the history");
    assert!(matches!(outcome(event).and_then(|outcome| outcome.value.clone()), Some(Value::Success(_))));
    run.check();
}

#[test]
fn a_rejected_update_leaves_no_trace() {
    let mut run = idle();
    let before = run.state.clone();
    run.update("u1").unwrap();
    assert_eq!(run.turn(vec![Order::Reject]), Some(CompletionOutcome::Discarded));
    assert_eq!(run.kinds(), FIRST_TASK);
    assert_eq!(run.state.after_crash(), before);
    assert!(matches!(run.news.as_slice(), [news] if matches!(news.progress, Progress::Rejected(_))));
    // The same id may be tried again.
    assert_eq!(run.update("u1"), Ok(Stage::Admitted));
}

#[test]
fn a_worker_that_says_nothing_of_an_update_does_not_know_updates() {
    let mut run = idle();
    run.update("u1").unwrap();
    assert_eq!(run.turn(Vec::new()), Some(CompletionOutcome::Discarded));
    let [news] = run.news.as_slice() else { panic!("one is told") };
    let Progress::Rejected(failure) = &news.progress else { panic!("{news:?}") };
    assert!(failure.message.starts_with("Workflow Update is rejected because it wasn't processed by worker."));
}

#[test]
fn a_signal_turns_a_speculative_task_into_a_proper_one() {
    let mut run = idle();
    run.update("u1").unwrap();
    run.take(&Input::StartTask);
    run.take(&Input::Signal(200));
    assert_eq!(run.kinds().split_off(4), ["WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED"]);
    assert_eq!(run.complete_task(&[Order::Reject]), Some(CompletionOutcome::Completed));
    let expected = ["WORKFLOW_TASK_COMPLETED", "WORKFLOW_EXECUTION_SIGNALED", "WORKFLOW_TASK_SCHEDULED"];
    assert_eq!(run.kinds().split_off(6), expected);
    run.check();
}

#[test]
fn an_activity_that_ends_while_an_update_waits_for_its_task_names_its_start() {
    let mut run = Run::after(vec![Order::Activity { attempts: 1, heartbeat: false }]);
    run.take(&Input::StartActivity(0));
    run.update("u1").unwrap();
    run.take(&Input::Complete(0));
    let expected = ["WORKFLOW_TASK_SCHEDULED", "ACTIVITY_TASK_STARTED", "ACTIVITY_TASK_COMPLETED"];
    assert_eq!(run.kinds().split_off(5), expected);
    run.check();
}

#[test]
fn an_update_that_comes_while_a_task_runs_gets_a_task_of_its_own() {
    let mut run = idle();
    run.take(&Input::Signal(200));
    run.take(&Input::StartTask);
    run.update("u1").unwrap();
    run.complete_task(&[]);
    assert!(run.state.has_ready_workflow_task() && !run.state.has_durable_workflow_task());
    assert_eq!(run.turn(vec![Order::Accept]), Some(CompletionOutcome::Completed));
    assert_eq!(run.state.find_update("u1"), Ok(Stage::Accepted));
}

#[test]
fn a_failed_task_brings_its_updates_again() {
    let mut run = idle();
    run.update("u1").unwrap();
    run.take(&Input::StartTask);
    run.fail_task();
    let expected = ["WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_FAILED"];
    assert_eq!(run.kinds().split_off(4), expected);
    run.take(&Input::Wait(1_000));
    run.take(&Input::StartTask);
    assert_eq!(run.brought.len(), 1);
    run.complete_task(&[Order::Accept]);
    run.check();
    assert_eq!(run.state.find_update("u1"), Ok(Stage::Accepted));
}

#[test]
fn a_task_that_nobody_takes_becomes_part_of_the_history() {
    let mut run = idle();
    run.update("u1").unwrap();
    run.take(&Input::Wait(4_999));
    assert_eq!(run.history.len(), 4);
    run.take(&Input::Wait(1));
    let expected = ["WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_TIMED_OUT", "WORKFLOW_TASK_SCHEDULED"];
    assert_eq!(run.kinds().split_off(4), expected);
    run.turn(vec![Order::Accept]);
    assert_eq!(run.state.find_update("u1"), Ok(Stage::Accepted));
    run.check();
}

#[test]
fn ten_updates_may_be_in_flight() {
    let mut run = idle();
    for number in 0..10 {
        run.update(&format!("u{number}")).unwrap();
    }
    let refused = Rejection::LimitExceeded {
        message: "limit on number of concurrent in-flight updates has been reached (10)".into(),
        cause: ResourceExhaustedCause::ConcurrentLimit,
    };
    assert_eq!(run.update("one more"), Err(refused));
    assert_eq!(run.update("u3"), Ok(Stage::Admitted), "one that is known needs no room");
}

#[test]
fn a_run_takes_two_thousand_updates() {
    let mut run = idle();
    for number in 0..2_000 {
        run.update(&format!("u{number}")).unwrap();
        run.turn(vec![Order::Accept, Order::Answer]);
    }
    let refused = "limit on number of total updates has been reached (2000)";
    assert_eq!(run.update("one more"), Err(Rejection::FailedPrecondition(refused.into())));
}

#[test]
fn a_workflow_that_closes_leaves_its_updates_unanswered() {
    let mut run = idle();
    run.update("accepted").unwrap();
    run.turn(vec![Order::Accept]);
    run.update("admitted").unwrap();
    run.turn(vec![Order::End(0)]);
    assert!(!run.state.is_running());
    let told = |id: &str| run.news.iter().rfind(|news| news.update_id == id).map(|news| news.progress.clone());
    let aborted = Rejection::not_found("workflow update was aborted by closing workflow");
    assert_eq!(told("admitted"), Some(Progress::Aborted(aborted)));
    let Some(Progress::Completed(outcome)) = told("accepted") else { panic!("{:?}", run.news) };
    assert!(matches!(outcome.value, Some(Value::Failure(failure)) if failure.message
        == "Workflow Update failed because the Workflow completed before the Update completed."));
    assert!(matches!(run.state.find_update("accepted"), Ok(Stage::Failed(_))));
    assert!(matches!(run.update("accepted"), Ok(Stage::Failed(_))));
    assert_eq!(run.update("another"), Err(Rejection::closed()));
}

#[test]
fn a_workflow_cannot_close_over_an_update_that_it_has_not_seen() {
    let mut run = idle();
    run.take(&Input::Signal(200));
    run.take(&Input::StartTask);
    run.update("u1").unwrap();
    assert!(matches!(run.complete_task(&[Order::End(0)]), Some(CompletionOutcome::Failed(_))));
    // It will try again, and is not to be kept from it for ever.
    run.take(&Input::Wait(1_000));
    run.take(&Input::StartTask);
    assert_eq!(run.update("u2"), Err(Rejection::closing()));
    run.complete_task(&[Order::Accept]);
    assert_eq!(run.update("u2"), Ok(Stage::Admitted));
}

#[test]
fn an_update_whose_answer_cannot_be_carried_out_is_aborted() {
    let mut run = idle();
    run.update("u1").unwrap();
    run.take(&Input::StartTask);
    run.take(&Input::Signal(200));
    assert!(matches!(run.complete_task(&[Order::Accept, Order::End(0)]), Some(CompletionOutcome::Failed(_))));
    let aborted = "Unable to perform workflow execution update due to unexpected workflow task failure.";
    let aborted = Progress::Aborted(Rejection::WorkflowNotReady(aborted.into()));
    assert!(matches!(run.news.as_slice(), [news] if news.progress == aborted));
    assert!(run.state.find_update("u1").is_err());
    run.check();
}

#[test]
fn a_run_that_waits_for_its_start_begins_for_an_update() {
    let mut run = Run::start(StartWorkflow { start_delay: Some(seconds(60)), ..start() });
    assert_eq!(run.kinds(), ["WORKFLOW_EXECUTION_STARTED"]);
    run.update("u1").unwrap();
    assert_eq!(run.kinds(), ["WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED"]);
    run.take(&Input::StartTask);
    assert_eq!(run.brought.len(), 1);
    run.check();
}

#[test]
fn a_run_that_waits_for_its_start_begins_to_be_cancelled_but_not_for_a_signal() {
    let mut run = Run::start(StartWorkflow { start_delay: Some(seconds(60)), ..start() });
    run.take(&Input::Signal(200));
    assert!(run.state.workflow_task.is_none());
    run.take(&Input::Cancel);
    assert!(run.kinds().ends_with(&["WORKFLOW_EXECUTION_CANCEL_REQUESTED", "WORKFLOW_TASK_SCHEDULED"]));
    run.check();
}

#[test]
fn an_update_of_a_run_that_continues_as_new_may_be_tried_again() {
    let mut run = idle();
    run.update("u1").unwrap();
    run.turn(vec![Order::Continue]);
    assert!(matches!(run.news.as_slice(), [news] if news.progress == Progress::Aborted(Rejection::closing())));
}

#[test]
fn a_workflow_whose_tasks_fail_takes_no_updates() {
    let mut run = idle();
    run.take(&Input::Signal(200));
    for _ in 0..2 {
        run.take(&Input::StartTask);
        run.fail_task();
        run.take(&Input::Wait(1_000));
    }
    let refused = "Unable to perform workflow execution update due to Workflow Task in failed state.";
    assert_eq!(run.update("u1"), Err(Rejection::WorkflowNotReady(refused.into())));
}

#[test]
fn what_a_crash_has_lost_a_worker_can_bring_back() {
    let mut run = idle();
    run.take(&Input::Signal(200));
    run.update("u1").unwrap();
    run.take(&Input::StartTask);
    let messages = accepting(&run, "u1");
    run.take(&Input::Crash);
    assert!(matches!(run.state.find_update("u1"), Err(Rejection::NotFound(_))));
    assert_eq!(run.respond(Vec::new(), messages), Some(CompletionOutcome::Completed));
    assert!(matches!(run.state.updates.get("u1"), Some(Update::Accepted { .. })));
    assert!(kinds(&run.history).contains(&"WORKFLOW_EXECUTION_UPDATE_ACCEPTED"));
    run.check();
}

/// An acceptance that no command points to, with the request as the worker got it.
fn accepting(run: &Run, update_id: &str) -> Vec<mainspring_api::protocol::Message> {
    use mainspring_api::update::{Acceptance, Request};
    use prost::Message as _;
    let brought = run.brought.first().and_then(|message| message.body.clone()).expect("it was brought");
    let request = Request::decode(&*brought.value).expect("it is a request");
    let body = Acceptance { accepted_request: Some(request), ..Acceptance::default() };
    let type_url = "type.googleapis.com/temporal.api.update.v1.Acceptance".into();
    vec![mainspring_api::protocol::Message {
        id: format!("{update_id}/accept"),
        protocol_instance_id: update_id.into(),
        sequencing_id: None,
        body: Some(prost_types::Any { type_url, value: body.encode_to_vec() }),
    }]
}
