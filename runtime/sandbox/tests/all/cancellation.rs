//! Cancelling what was started, in every way that there is.

use mainspring_api::enums::{CommandType, EventType};
use serde_json::{Value, json};

use crate::support::{Run, shared};

fn commands(activated: &mainspring_sandbox::Activated) -> Vec<CommandType> {
    activated.commands.iter().map(|command| command.command_type()).collect()
}

/// A run that has an activity under way and is told by a signal to cancel it.
fn cancel_later(cancel: &str) -> Run {
    let mut run = Run::start(
        shared(),
        json!([
            {"activity": {"name": "a", "kind": "slow", "cancel": cancel}},
            "await_signal", {"cancel_activity": "a"}, {"await": "a"},
            "await_signal",
        ]),
    );
    run.task();
    run.signal("stop", json!(null));
    run
}

fn canceled(result: &Value) -> bool {
    result[1]["failed"][0]["message"] == "Activity cancelled"
}

#[test]
fn try_cancel_asks_and_resolves_at_once() {
    let mut run = cancel_later("try");
    assert_eq!(commands(&run.task()), [CommandType::RequestCancelActivityTask]);
    // The activity's own answer comes later, and is not for the workflow any more.
    run.complete("1", json!("too late"));
    assert!(run.task().commands.is_empty());
    run.signal("end", json!(null));
    run.task();
    assert!(canceled(&run.result()), "{}", run.result());
    assert_eq!(run.result()[1]["failed"][0]["scheduled"], 5);
    run.replay().unwrap();
}

#[test]
fn wait_cancellation_completed_asks_and_waits_for_the_answer() {
    let mut run = cancel_later("wait");
    assert_eq!(commands(&run.task()), [CommandType::RequestCancelActivityTask]);
    run.signal("end", json!(null));
    assert!(run.task().commands.is_empty(), "the workflow still waits for the activity");
    run.canceled("1", json!("cleaned up"));
    run.task();
    assert_eq!(run.result()[1]["failed"][1]["canceled"], json!(["cleaned up"]));
    run.replay().unwrap();
}

#[test]
fn an_activity_that_completes_although_it_was_asked_to_stop_has_completed() {
    let mut run = cancel_later("wait");
    run.task();
    run.complete("1", json!("done anyway"));
    run.signal("end", json!(null));
    run.task();
    assert_eq!(run.result()[1], json!({"ok": ["done anyway"]}));
    run.replay().unwrap();
}

#[test]
fn abandon_asks_nothing_and_resolves_at_once() {
    let mut run = cancel_later("abandon");
    assert!(run.task().commands.is_empty());
    run.complete("1", json!("nobody cares"));
    run.signal("end", json!(null));
    run.task();
    assert!(canceled(&run.result()));
    run.replay().unwrap();
}

#[test]
fn what_was_started_in_the_same_activation_was_never_started() {
    for cancel in ["try", "wait", "abandon"] {
        let mut run = Run::start(
            shared(),
            json!([
                {"activity": {"name": "gone", "kind": "x", "cancel": cancel}}, {"timer": {"name": "t", "ms": 5}},
                {"cancel_activity": "gone"}, {"cancel_timer": "t"}, {"cancel_timer": "t"}, {"await": "gone"},
                {"activity": {"name": "kept", "kind": "y"}}, {"await": "kept"},
            ]),
        );
        let first = run.task();
        assert_eq!(commands(&first), [CommandType::ScheduleActivityTask], "{cancel}");
        // Numbers are not given twice.
        run.complete("3", json!(1));
        run.task();
        assert_eq!(run.result()[0]["failed"][0]["message"], "Activity cancelled");
        assert_eq!(run.result()[0]["failed"][0]["scheduled"], 0);
        run.replay().unwrap();
    }
}

#[test]
fn a_timer_of_an_earlier_activation_is_canceled_by_command_and_tells_nobody() {
    let mut run = Run::start(
        shared(),
        json!([
            {"timer": {"name": "t", "ms": 1_000}}, "await_signal", {"cancel_timer": "t"}, {"cancel_timer": "t"},
            "await_signal",
        ]),
    );
    run.task();
    run.signal("stop", json!(null));
    assert_eq!(commands(&run.task()), [CommandType::CancelTimer]);
    assert_eq!(run.events.last().unwrap().event_type(), EventType::TimerCanceled);
    run.signal("end", json!(null));
    run.task();
    run.replay().unwrap();
}

#[test]
fn what_has_been_resolved_is_left_alone() {
    let mut run = Run::start(
        shared(),
        json!([
            {"activity": {"name": "a", "kind": "x"}}, {"timer": {"name": "t", "ms": 1}}, {"await": "a"}, {"await": "t"},
            {"cancel_activity": "a"}, {"cancel_timer": "t"},
        ]),
    );
    run.task();
    run.complete("1", json!(1));
    run.fire("2");
    assert_eq!(commands(&run.task()), [CommandType::CompleteWorkflowExecution]);
    run.replay().unwrap();
}
