//! How an activity's end reaches the workflow.

use serde_json::json;

use crate::support::{Run, shared};

fn run_one() -> Run {
    let mut run =
        Run::start(shared(), json!([{"activity": {"name": "a", "kind": "charge", "id": "pay"}}, {"await": "a"}]));
    run.task();
    run
}

#[test]
fn a_failure_is_wrapped_in_an_activity_failure() {
    let mut run = run_one();
    run.fail("pay", "CardDeclined");
    run.task();
    assert_eq!(
        run.result(),
        json!([{"failed": [
            {"message": "Activity task failed", "scheduled": 5, "started": 6, "type": "charge", "id": "pay",
             "identity": "worker", "retry_state": "RetryState::MaximumAttemptsReached"},
            {"message": "declined", "application": "CardDeclined"},
        ]}])
    );
    run.replay().unwrap();
}

#[test]
fn a_timeout_is_wrapped_in_an_activity_failure() {
    let mut run = run_one();
    run.time_out("pay");
    run.task();
    assert_eq!(
        run.result(),
        json!([{"failed": [
            {"message": "Activity task timed out", "scheduled": 5, "started": 0, "type": "charge", "id": "pay",
             "identity": "", "retry_state": "RetryState::Timeout"},
            {"message": "activity timeout", "timeout": "TimeoutType::ScheduleToStart"},
        ]}])
    );
    run.replay().unwrap();
}

#[test]
fn a_cancellation_is_wrapped_in_an_activity_failure_and_keeps_its_details() {
    let mut run = run_one();
    run.canceled("pay", json!("half done"));
    run.task();
    assert_eq!(
        run.result(),
        json!([{"failed": [
            {"message": "Activity cancelled", "scheduled": 5, "started": 6, "type": "charge", "id": "pay",
             "identity": "worker", "retry_state": "RetryState::CancelRequested"},
            {"message": "Activity canceled", "canceled": ["half done"]},
        ]}])
    );
    run.replay().unwrap();
}
