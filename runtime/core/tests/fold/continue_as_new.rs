//! Chains of runs, step by step.

use mainspring_api::{
    common::RetryPolicy,
    enums::{ContinueAsNewInitiator, RetryState, WorkflowExecutionStatus},
    history::history_event::Attributes,
};
use mainspring_core::{time, workflow::StartWorkflow};

use crate::{
    orders::Order,
    run::{Input, Run, boom, parent, seconds, start},
};

fn retried(maximum_attempts: i32) -> StartWorkflow {
    StartWorkflow { retry_policy: Some(RetryPolicy { maximum_attempts, ..RetryPolicy::default() }), ..start() }
}

fn last(run: &Run) -> Attributes {
    run.history.last().and_then(|event| event.attributes.clone()).expect("the run has closed")
}

#[test]
fn a_run_that_continues_as_new_is_followed_by_another_of_its_chain() {
    let chain = StartWorkflow { execution_timeout: Some(seconds(500)), parent: Some(parent()), ..retried(5) };
    let mut run = Run::start(chain);
    run.turn(vec![Order::Memo(1), Order::Continue]);
    let Attributes::WorkflowExecutionContinuedAsNewEventAttributes(closed) = last(&run) else {
        panic!("{:?}", run.kinds())
    };
    assert_eq!(closed.new_execution_run_id, "run+");
    assert_eq!(closed.workflow_type.map(|it| it.name), Some("W".into()));
    let first = run.state.clone();
    assert_eq!(first.status, WorkflowExecutionStatus::ContinuedAsNew);
    run.go_on();
    let (started, before) = (&run.state.started, &first.started);
    assert_eq!(started.continued_execution_run_id, "run");
    assert_eq!((&*started.first_execution_run_id, &*started.original_execution_run_id), ("run", "run+"));
    assert_eq!(started.attempt, 1);
    assert_eq!(started.initiator(), ContinueAsNewInitiator::Workflow);
    assert_eq!(started.workflow_execution_expiration_time, before.workflow_execution_expiration_time);
    assert_eq!(started.parent_workflow_execution, before.parent_workflow_execution);
    assert_eq!(started.retry_policy, before.retry_policy);
    assert_eq!(started.memo, first.memo);
    // It has lived for no time at all, so the next one waits for the rest of a second.
    assert_eq!(started.first_workflow_task_backoff, Some(seconds(1)));
    assert!(run.state.workflow_task.is_none());
    run.take(&Input::Wait(1_000));
    assert!(run.state.workflow_task.is_some());
    run.check();
}

#[test]
fn a_failed_run_is_tried_again_until_its_attempts_are_used_up() {
    let mut run = Run::start(retried(3));
    for attempt in 1..3 {
        run.turn(vec![Order::End(2)]);
        let Attributes::WorkflowExecutionFailedEventAttributes(failed) = last(&run) else {
            panic!("{:?}", run.kinds())
        };
        assert_eq!(failed.retry_state(), RetryState::InProgress);
        run.go_on();
        assert_eq!(failed.new_execution_run_id, run.state.run_id);
        let started = &run.state.started;
        assert_eq!(started.attempt, attempt + 1);
        assert_eq!(started.initiator(), ContinueAsNewInitiator::Retry);
        assert_eq!(started.continued_failure, Some(boom()));
        assert_eq!(started.first_execution_run_id, "run");
        let backoff = time::duration(started.first_workflow_task_backoff.as_ref());
        assert_eq!(backoff.as_secs(), 1 << (attempt - 1));
        run.take(&Input::Wait(10_000));
    }
    run.turn(vec![Order::End(2)]);
    let Attributes::WorkflowExecutionFailedEventAttributes(failed) = last(&run) else { panic!("{:?}", run.kinds()) };
    assert_eq!(failed.retry_state(), RetryState::MaximumAttemptsReached);
    assert_eq!((failed.new_execution_run_id.as_str(), run.successor.as_ref()), ("", None));
}

#[test]
fn a_failure_that_is_not_to_be_retried_ends_the_chain() {
    let policy = RetryPolicy { non_retryable_error_types: vec!["Boom".into()], ..RetryPolicy::default() };
    let mut run = Run::start(StartWorkflow { retry_policy: Some(policy), ..start() });
    run.turn(vec![Order::End(2)]);
    let Attributes::WorkflowExecutionFailedEventAttributes(failed) = last(&run) else { panic!("{:?}", run.kinds()) };
    assert_eq!(failed.retry_state(), RetryState::NonRetryableFailure);
}

#[test]
fn a_run_without_a_policy_is_not_tried_again() {
    let mut run = Run::after(vec![Order::End(2)]);
    let Attributes::WorkflowExecutionFailedEventAttributes(failed) = last(&run) else { panic!("{:?}", run.kinds()) };
    assert_eq!(failed.retry_state(), RetryState::RetryPolicyNotSet);
    run.go_on();
    assert!(!run.state.is_running());
}

#[test]
fn a_run_that_times_out_is_tried_again_while_the_chain_has_time() {
    let chain = StartWorkflow { run_timeout: Some(seconds(10)), execution_timeout: Some(seconds(15)), ..retried(0) };
    let mut run = Run::start(chain);
    run.take(&Input::Wait(10_000));
    let Attributes::WorkflowExecutionTimedOutEventAttributes(closed) = last(&run) else { panic!("{:?}", run.kinds()) };
    assert_eq!(closed.retry_state(), RetryState::InProgress);
    run.go_on();
    assert_eq!(run.state.started.attempt, 2);
    run.take(&Input::Wait(5_000));
    let Attributes::WorkflowExecutionTimedOutEventAttributes(closed) = last(&run) else { panic!("{:?}", run.kinds()) };
    assert_eq!(closed.retry_state(), RetryState::Timeout);
    assert_eq!(run.successor, None);
    run.check();
}

#[test]
fn an_attempt_that_would_begin_after_the_chains_time_is_not_made() {
    let chain = StartWorkflow { execution_timeout: Some(seconds(10)), ..retried(0) };
    let mut run = Run::start(chain);
    run.take(&Input::Wait(9_500));
    run.turn(vec![Order::End(2)]);
    let Attributes::WorkflowExecutionFailedEventAttributes(failed) = last(&run) else { panic!("{:?}", run.kinds()) };
    assert_eq!(failed.retry_state(), RetryState::Timeout);
}
