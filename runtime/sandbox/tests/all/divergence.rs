//! A journal that the module did not make is caught, and the first event that differs is named.

use std::collections::HashMap;

use mainspring_api::{
    Duration,
    common::Header,
    enums::EventType,
    history::{HistoryEvent, history_event::Attributes as Written},
};
use mainspring_core::command::is_command_event;
use mainspring_sandbox::{TaskFailure, TaskFailureKind};
use serde_json::json;

use crate::support::{Run, activity_type, payloads, replay, shared};

/// A run with every kind of event that a module can cause or handle, where the order of everything matters.
fn recorded() -> Run {
    let mut run = Run::start(
        shared(),
        json!([
            {"activity": {"name": "charge", "kind": "charge_payment", "input": 99.99, "attempts": 3}},
            {"timer": {"name": "deadline", "ms": 60_000}},
            {"await": "charge"},
            {"pass": {"name": "email", "kind": "send_email"}},
            {"cancel_timer": "deadline"},
            {"activity": {"name": "slow", "kind": "slow", "cancel": "wait"}},
            "await_signal",
            {"pass": {"name": "confirm", "kind": "confirm"}},
            {"cancel_activity": "slow"},
            {"await": "slow"}, {"await": "email"}, {"await": "confirm"},
            {"timer": {"name": "rest", "ms": 10}}, {"await": "rest"},
        ]),
    );
    run.task();
    run.complete("1", json!("tx-1"));
    run.task();
    run.signal("confirm", json!("yes"));
    run.task();
    run.canceled("4", json!("stopped"));
    run.task();
    run.complete("3", json!("sent"));
    run.task();
    run.fail("5", "NoAnswer");
    run.task();
    run.fire("6");
    run.task();
    run.replay().unwrap();
    run
}

/// Where a failure points to.
fn event_id(failure: &TaskFailure) -> i64 {
    match &failure.kind {
        TaskFailureKind::Nondeterminism { event_id, .. } | TaskFailureKind::HistoryUnreadable { event_id } => *event_id,
        other => panic!("{other:?}: {failure}"),
    }
}

fn replayed(run: &Run, events: &[HistoryEvent]) -> Result<(), TaskFailure> {
    replay(&run.sandbox, &run.key, events).map(drop)
}

fn find(run: &Run, kind: EventType) -> usize {
    run.events.iter().position(|event| event.event_type() == kind).unwrap()
}

/// Changes the first event of this kind; the failure must point to `at` places after it.
fn changed(kind: EventType, change: impl Fn(&mut Written)) -> (TaskFailure, i64) {
    let run = recorded();
    let index = find(&run, kind);
    let mut events = run.events.clone();
    change(events[index].attributes.as_mut().unwrap());
    assert_ne!(events, run.events);
    (replayed(&run, &events).unwrap_err(), run.events[index].event_id)
}

#[test]
fn an_event_that_is_missing_leaves_a_gap() {
    let run = recorded();
    for index in 0..run.events.len() - 1 {
        let mut events = run.events.clone();
        events.remove(index);
        let failure = replayed(&run, &events).unwrap_err();
        assert_eq!(event_id(&failure), index as i64 + 2, "{failure}");
    }
}

#[test]
fn two_events_that_changed_places_are_out_of_order() {
    let run = recorded();
    for index in 0..run.events.len() - 1 {
        let mut events = run.events.clone();
        events.swap(index, index + 1);
        let failure = replayed(&run, &events).unwrap_err();
        assert_eq!(event_id(&failure), index as i64 + 2, "{failure}");
    }
}

#[test]
fn an_event_that_is_there_twice_is_out_of_order() {
    let run = recorded();
    for index in 0..run.events.len() {
        let mut events = run.events.clone();
        events.insert(index, run.events[index].clone());
        let failure = replayed(&run, &events).unwrap_err();
        assert_eq!(event_id(&failure), index as i64 + 1, "{failure}");
    }
}

/// A forger who numbers the events anew, and lets them refer to each other as they should.
fn renumber(events: &mut [HistoryEvent]) {
    let ids: HashMap<i64, i64> =
        events.iter().enumerate().map(|(index, event)| (event.event_id, index as i64 + 1)).collect();
    let new = |id: &mut i64| *id = ids.get(id).copied().unwrap_or(*id);
    for event in events {
        new(&mut event.event_id);
        match event.attributes.as_mut().unwrap() {
            Written::WorkflowTaskStartedEventAttributes(event) => new(&mut event.scheduled_event_id),
            Written::WorkflowTaskCompletedEventAttributes(event) => {
                new(&mut event.scheduled_event_id);
                new(&mut event.started_event_id);
            }
            Written::ActivityTaskScheduledEventAttributes(event) => new(&mut event.workflow_task_completed_event_id),
            Written::ActivityTaskStartedEventAttributes(event) => new(&mut event.scheduled_event_id),
            Written::ActivityTaskCompletedEventAttributes(event) => {
                new(&mut event.scheduled_event_id);
                new(&mut event.started_event_id);
            }
            Written::ActivityTaskFailedEventAttributes(event) => {
                new(&mut event.scheduled_event_id);
                new(&mut event.started_event_id);
            }
            Written::ActivityTaskCanceledEventAttributes(event) => {
                new(&mut event.scheduled_event_id);
                new(&mut event.started_event_id);
            }
            Written::ActivityTaskCancelRequestedEventAttributes(event) => {
                new(&mut event.scheduled_event_id);
                new(&mut event.workflow_task_completed_event_id);
            }
            Written::TimerStartedEventAttributes(event) => new(&mut event.workflow_task_completed_event_id),
            Written::TimerFiredEventAttributes(event) => new(&mut event.started_event_id),
            Written::TimerCanceledEventAttributes(event) => {
                new(&mut event.started_event_id);
                new(&mut event.workflow_task_completed_event_id);
            }
            Written::WorkflowExecutionCompletedEventAttributes(event) => {
                new(&mut event.workflow_task_completed_event_id);
            }
            _ => {}
        }
    }
}

#[test]
fn an_event_that_was_cut_out_with_care_is_missed() {
    let run = recorded();
    for index in 0..run.events.len() {
        let mut events = run.events.clone();
        let cut = events.remove(index);
        renumber(&mut events);
        let failure = replayed(&run, &events).expect_err(cut.event_type().as_str_name());
        assert!(event_id(&failure) > 0, "{failure}");
    }
}

#[test]
fn events_that_changed_places_with_care_are_noticed() {
    let run = recorded();
    for index in 0..run.events.len() - 1 {
        let mut events = run.events.clone();
        events.swap(index, index + 1);
        renumber(&mut events);
        let kinds = [index, index + 1].map(|index| run.events[index].event_type());
        // What came just before a workflow task was scheduled may as well have come just after.
        let same = index > 0 && kinds[1] == EventType::WorkflowTaskScheduled && !is_command_event(&run.events[index]);
        match replayed(&run, &events) {
            Ok(()) => assert!(same, "{kinds:?}"),
            Err(failure) => assert!(event_id(&failure) > 0 && !same, "{kinds:?}: {failure}"),
        }
    }
}

#[test]
fn an_event_that_was_put_in_with_care_is_noticed() {
    let run = recorded();
    for index in 0..run.events.len() {
        let mut events = run.events.clone();
        events.insert(index + 1, run.events[index].clone());
        // The copy comes after the original, so everything refers to the copy or to the original alike.
        renumber(&mut events);
        events.iter_mut().enumerate().for_each(|(index, event)| event.event_id = index as i64 + 1);
        let name = run.events[index].event_type().as_str_name();
        // A signal more is a history like any other, if nobody waits for it.
        if run.events[index].event_type() != EventType::WorkflowExecutionSignaled {
            let failure = replayed(&run, &events).expect_err(name);
            assert!(event_id(&failure) > 0, "{failure}");
        }
    }
}

#[test]
fn a_changed_result_shows_in_the_next_activity_s_input() {
    let (failure, _) = changed(EventType::ActivityTaskCompleted, |attributes| {
        let Written::ActivityTaskCompletedEventAttributes(event) = attributes else { panic!() };
        event.result = Some(payloads(&json!("tx-2")));
    });
    let run = recorded();
    let email = run.scheduled("3");
    assert_eq!(event_id(&failure), email, "{failure}");
    assert!(failure.to_string().contains("send_email"), "{failure}");
    assert!(matches!(failure.kind, TaskFailureKind::Nondeterminism { .. }));
}

#[test]
fn whatever_is_changed_of_a_scheduled_activity_is_noticed() {
    type Change = fn(&mut mainspring_api::history::ActivityTaskScheduledEventAttributes);
    let changes: [Change; 9] = [
        |event| event.activity_id = "7".into(),
        |event| event.activity_type = activity_type("refund"),
        |event| event.input = Some(payloads(&json!(0.01))),
        |event| event.input = None,
        |event| event.header = Some(Header::default()),
        |event| event.start_to_close_timeout = Some(Duration { seconds: 31, nanos: 0 }),
        |event| event.retry_policy.as_mut().unwrap().maximum_attempts = 4,
        |event| event.task_queue.as_mut().unwrap().name = "elsewhere".into(),
        |event| event.workflow_task_completed_event_id += 1,
    ];
    for change in changes {
        let (failure, at) = changed(EventType::ActivityTaskScheduled, |attributes| {
            let Written::ActivityTaskScheduledEventAttributes(event) = attributes else { panic!() };
            change(event);
        });
        assert_eq!(event_id(&failure), at, "{failure}");
    }
}

#[test]
fn a_changed_timer_is_noticed() {
    let (failure, at) = changed(EventType::TimerStarted, |attributes| {
        let Written::TimerStartedEventAttributes(event) = attributes else { panic!() };
        event.start_to_fire_timeout = Some(Duration { seconds: 61, nanos: 0 });
    });
    assert_eq!(event_id(&failure), at, "{failure}");
    assert!(failure.to_string().contains("timer"), "{failure}");
}

#[test]
fn a_changed_summary_is_noticed() {
    let run = recorded();
    let index = find(&run, EventType::TimerStarted);
    let mut events = run.events.clone();
    events[index].user_metadata = None;
    assert_eq!(event_id(&replayed(&run, &events).unwrap_err()), index as i64 + 1);
}

#[test]
fn a_changed_input_or_outcome_is_noticed() {
    let (failure, at) = changed(EventType::WorkflowExecutionCompleted, |attributes| {
        let Written::WorkflowExecutionCompletedEventAttributes(event) = attributes else { panic!() };
        event.result = Some(payloads(&json!("another")));
    });
    assert_eq!(event_id(&failure), at, "{failure}");

    let (failure, _) = changed(EventType::WorkflowExecutionStarted, |attributes| {
        let Written::WorkflowExecutionStartedEventAttributes(event) = attributes else { panic!() };
        event.input = Some(payloads(&json!([{"timer": {"name": "t", "ms": 1}}, {"await": "t"}])));
    });
    assert_eq!(event_id(&failure), 5, "{failure}");
}

#[test]
fn news_of_what_was_never_started_is_noticed() {
    for (kind, change) in [
        (EventType::ActivityTaskStarted, 1),
        (EventType::ActivityTaskCompleted, 1),
        (EventType::ActivityTaskCanceled, -1),
        (EventType::TimerFired, 1),
    ] {
        let (failure, at) = changed(kind, |attributes| match attributes {
            Written::ActivityTaskStartedEventAttributes(event) => event.scheduled_event_id += change,
            Written::ActivityTaskCompletedEventAttributes(event) => event.scheduled_event_id += change,
            Written::ActivityTaskCanceledEventAttributes(event) => event.scheduled_event_id += change,
            Written::TimerFiredEventAttributes(event) => event.started_event_id += change,
            _ => panic!(),
        });
        assert_eq!(event_id(&failure), at, "{failure}");
    }
}

#[test]
fn a_history_that_is_none_is_told_so() {
    let run = recorded();
    assert_eq!(event_id(&replayed(&run, &[]).unwrap_err()), 0);
    assert_eq!(event_id(&replayed(&run, &run.events[1..]).unwrap_err()), 2);
    assert_eq!(event_id(&replayed(&run, &[HistoryEvent::default()]).unwrap_err()), 0);
    let mut empty = run.events.clone();
    for event in &mut empty[1..] {
        event.attributes = None;
    }
    assert_eq!(event_id(&replayed(&run, &empty).unwrap_err()), 2);
}

#[test]
fn a_live_run_notices_too() {
    let mut run = Run::start_as(shared(), "run-live", "Puppet", json!([{"timers": {"count": 2}}, "await_signal"]));
    run.task();
    // The server has lost an event that the module caused.
    let last = run.events.len() - 1;
    run.events.remove(last);
    run.signal("go", json!(1));
    run.begin_task();
    let failure = run.activate().0.unwrap_err();
    assert!(matches!(&failure.kind, TaskFailureKind::Nondeterminism { event_id: 6, .. }), "{failure}");
    assert!(failure.to_string().contains("also asked for a timer"), "{failure}");
    use mainspring_api::enums::WorkflowTaskFailedCause;
    assert_eq!(failure.cause, WorkflowTaskFailedCause::NonDeterministicError);
}
