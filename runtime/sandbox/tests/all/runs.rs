//! Whole runs: what a workflow does is what its journal gets, and what the journal has is what the workflow sees.

use mainspring_api::{
    command::command::Attributes as Asked,
    enums::{CommandType, EventType},
    history::{
        WorkflowTaskFailedEventAttributes, WorkflowTaskTimedOutEventAttributes, history_event::Attributes as Written,
    },
};
use mainspring_sandbox::{Digest, TaskFailureKind};
use serde_json::json;

use crate::support::{EPOCH, Run, puppet, shared};

#[test]
fn an_activity_s_result_flows_into_the_next_and_into_the_run_s_result() {
    let mut run = Run::start(
        shared(),
        json!([
            {"activity": {"name": "charge", "kind": "charge_payment", "input": 99.99, "attempts": 3}},
            {"await": "charge"},
            {"pass": {"name": "email", "kind": "send_email"}},
            {"await": "email"},
        ]),
    );
    let first = run.task();
    assert_eq!(first.commands.len(), 1);
    let Some(Asked::ScheduleActivityTaskCommandAttributes(asked)) = &first.commands[0].attributes else { panic!() };
    assert_eq!(asked.activity_id, "1");
    assert_eq!(asked.task_queue.as_ref().unwrap().name, "orders");
    assert_eq!(asked.retry_policy.as_ref().unwrap().maximum_attempts, 3);
    assert!(!asked.request_eager_execution);
    let summary = first.commands[0].user_metadata.as_ref().unwrap().summary.as_ref().unwrap();
    assert_eq!(summary.data, br#""a \"summary\"""#);
    assert!(first.fuel_used > 0);

    run.complete("1", json!("tx-1"));
    let second = run.task();
    assert!(second.cached && second.replayed_events == 0);
    run.complete("2", json!(null));
    let last = run.task();
    assert_eq!(last.commands.last().unwrap().command_type(), CommandType::CompleteWorkflowExecution);
    assert_eq!(run.result(), json!([{"ok": ["tx-1"]}, {"ok": [null]}]));

    let report = run.replay().unwrap();
    assert_eq!((report.activations, report.commands, report.events), (3, 3, run.events.len() as u64));
    assert!(report.same_module());
    assert_eq!(report.fuel_used, first.fuel_used + second.fuel_used + last.fuel_used);
}

#[test]
fn signals_are_delivered_in_order_also_those_that_came_before_the_first_task() {
    let mut run = Run::start(shared(), json!(["await_signal", "await_signal", "await_signal"]));
    run.signal("first", json!(1));
    run.task();
    run.signal("second", json!(2));
    run.signal("third", json!({"three": 3}));
    run.task();
    assert_eq!(
        run.result(),
        json!([
            {"signal": "first", "input": [1]}, {"signal": "second", "input": [2]},
            {"signal": "third", "input": [{"three": 3}]},
        ])
    );
    run.replay().unwrap();
}

#[test]
fn a_request_to_cancel_reaches_the_workflow_with_its_reason() {
    let mut run = Run::start(shared(), json!(["await_cancel", "canceled"]));
    run.task();
    run.request_cancel("no longer wanted");
    let last = run.task();
    assert_eq!(last.commands[0].command_type(), CommandType::CancelWorkflowExecution);
    assert_eq!(run.result(), json!([{"cancel": "no longer wanted"}]));
    run.replay().unwrap();
}

#[test]
fn a_failed_workflow_carries_its_failure() {
    let mut run = Run::start(shared(), json!([{"fail": {"kind": "Hopeless", "links": 2}}]));
    let last = run.task();
    let Some(Asked::FailWorkflowExecutionCommandAttributes(asked)) = &last.commands[0].attributes else { panic!() };
    let failure = asked.failure.as_ref().unwrap();
    assert_eq!(failure.message, "told to fail");
    assert!(failure.cause.is_some());
    run.replay().unwrap();
}

#[test]
fn a_workflow_sees_what_the_journal_says_of_its_run() {
    let mut run = Run::start(
        shared(),
        json!([{"observe": "now"}, {"observe": "info"}, {"observe": "history"}, "await_signal", {"observe": "history"}]),
    );
    run.task();
    run.signal("go", json!(null));
    run.task();
    let seen = run.result();
    assert_eq!(seen[0], json!([EPOCH + 3, 5]));
    assert_eq!(seen[1]["workflow_id"], run.key.workflow_id);
    assert_eq!(seen[1]["type"], "Puppet");
    assert_eq!(seen[1]["task_queue"], "orders");
    assert_eq!(seen[1]["attempt"], 1);
    assert_eq!(seen[1]["task_timeout"], 10);
    assert_eq!(seen[2], json!([3, 200, false]));
    assert_eq!(seen[4], json!([7, 600, false]));
}

#[test]
fn a_task_that_failed_or_timed_out_is_skipped_and_its_events_wait() {
    let mut run = Run::start(shared(), json!(["await_signal", "await_signal"]));
    run.signal("first", json!(1));
    let started_event_id = run.begin_task();
    run.write(
        EventType::WorkflowTaskFailed,
        Written::WorkflowTaskFailedEventAttributes(WorkflowTaskFailedEventAttributes {
            scheduled_event_id: started_event_id - 1,
            started_event_id,
            ..Default::default()
        }),
    );
    run.signal("second", json!(2));
    let started_event_id = run.begin_task();
    run.write(
        EventType::WorkflowTaskTimedOut,
        Written::WorkflowTaskTimedOutEventAttributes(WorkflowTaskTimedOutEventAttributes {
            scheduled_event_id: started_event_id - 1,
            started_event_id,
            ..Default::default()
        }),
    );
    let activated = run.task();
    assert_eq!(activated.commands.len(), 1);
    let report = run.replay().unwrap();
    assert_eq!((report.activations, report.commands), (1, 1));
}

#[test]
fn a_task_without_news_calls_nothing_and_commands_nothing() {
    let mut run = Run::start(shared(), json!([{"timer": {"name": "t", "ms": 1_500}}, {"await": "t"}]));
    run.task();
    assert!(run.task().commands.is_empty());
    run.fire("1");
    run.task();
    assert_eq!(run.result(), json!(["fired"]));
    assert_eq!(run.replay().unwrap().activations, 3);
}

#[test]
fn an_unknown_workflow_type_is_named_with_those_that_the_module_has() {
    let mut run = Run::start_as(shared(), "run-x", "Nobody", json!([]));
    let failure = run.failing_task();
    assert_eq!(failure.kind, TaskFailureKind::UnknownWorkflowType);
    let message = failure.to_string();
    assert!(message.contains("\"Nobody\"") && message.contains("Puppet, Stranger"), "{message}");
    assert_eq!(failure.failure.source, "mainspring");
}

#[test]
fn a_module_that_nobody_has_is_named() {
    let mut run = Run::start(shared(), json!([]));
    run.module = Digest::of(b"never uploaded");
    let failure = run.failing_task();
    assert_eq!(failure.kind, TaskFailureKind::ModuleMissing);
    assert!(failure.retryable && failure.to_string().contains(&run.module.to_string()));
}

#[test]
fn a_history_that_another_module_made_is_replayed_and_told_apart() {
    let mut run = Run::start(shared(), json!([{"activity": {"name": "a", "kind": "a"}}, {"await": "a"}]));
    run.stamped = Some(Digest::of(b"another build"));
    run.task();
    let report = run.replay().unwrap();
    assert!(!report.same_module());
    assert_eq!(report.recorded_digest, run.stamped.map(|digest| digest.to_string()));
    assert_eq!(report.module_digest, Digest::of(puppet()));

    run.events.truncate(run.events.len() - 1);
    let failure = run.replay().unwrap_err();
    assert!(failure.to_string().contains("the history was made by module"), "{failure}");
}

#[test]
fn a_task_under_way_at_the_end_of_a_history_is_left_alone() {
    let mut run = Run::start(shared(), json!(["await_signal"]));
    run.task();
    run.signal("go", json!(1));
    run.begin_task();
    assert_eq!(run.replay().unwrap().activations, 1);
}
