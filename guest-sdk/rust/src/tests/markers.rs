//! Local activities, side effects, patches, memo and search attributes.

use std::cell::Cell;

use serde_json::{Value, json};

use super::*;
use crate::testing::TestConfig;

/// What the markers of a run say: data, result, failure.
fn local_activity_markers(run: &TestRun) -> Vec<(Value, Option<Value>, Option<String>)> {
    let read = |payload: &Payload| serde_json::from_slice(&payload.data).unwrap();
    let marker = |command| match command {
        Command::RecordMarker { name, details, failure } => {
            assert_eq!(name, "core_local_activity");
            let detail = |key: &str| details.iter().find(|(other, _)| other == key).map(|(_, values)| read(&values[0]));
            Some((detail("data").unwrap(), detail("result"), failure.map(|failure| failure.to_string())))
        }
        _ => None,
    };
    run.commands().into_iter().filter_map(marker).collect()
}

#[test]
fn a_local_activity_is_a_marker_with_its_result() {
    #[workflow]
    async fn parses(text: String) -> WorkflowResult<u32> {
        let number: u32 = local_activity("parse", || text.trim().parse::<u32>()).await?;
        let doubled = local_activity("double", async || number * 2).await?;
        Ok(doubled)
    }
    let run = TestRun::start::<parses>([" 21 "]);
    assert_eq!(run.result::<u32>().unwrap(), 42);
    let time = json!({ "seconds": 1_767_225_600, "nanos": 0 });
    let data = |seq: u32, name: &str| {
        json!({
            "seq": seq, "attempt": 1, "activity_id": seq.to_string(), "activity_type": name,
            "complete_time": time, "backoff": null, "original_schedule_time": time,
        })
    };
    assert_eq!(
        local_activity_markers(&run),
        [(data(1, "parse"), Some(json!(21)), None), (data(2, "double"), Some(json!(42)), None)]
    );
}

/// Fails so many times.
#[workflow]
async fn flaky(failures: u32, error_type: String) -> WorkflowResult<String> {
    let attempts = Cell::new(0);
    let attempt = || {
        attempts.set(attempts.get() + 1);
        if attempts.get() <= failures {
            return Err(ApplicationFailure::new(&error_type, format!("attempt {}", attempts.get())));
        }
        Ok(format!("after {}", attempts.get()))
    };
    let policy = RetryPolicy::default().initial_interval(seconds(10)).maximum_attempts(5).non_retryable("Hopeless");
    Ok(local_activity("flaky", attempt).retry_policy(policy).await?)
}

#[test]
fn short_waits_between_attempts_are_skipped_and_long_ones_are_timers() {
    let run = TestRun::start::<flaky>([json!(2), json!("Flaky")]);
    assert_eq!(run.result::<String>().unwrap(), "after 3");
    assert_eq!(asked(&run), ["marker core_local_activity"], "10 and 20 seconds are below the threshold");
    assert_eq!(local_activity_markers(&run)[0].0["attempt"], 3);

    let mut run = TestRun::start::<flaky>([json!(3), json!("Flaky")]);
    assert_eq!(asked(&run), ["marker core_local_activity", "1:40s"]);
    let (data, result, failure) = local_activity_markers(&run).remove(0);
    assert_eq!((&data["backoff"]["seconds"], result), (&json!(40), None));
    assert_eq!(failure.as_deref(), Some("attempt 3 (Flaky)"));
    run.fire_timer(1);
    assert_eq!(run.result::<String>().unwrap(), "after 4");
    let (data, result, failure) = local_activity_markers(&run).remove(1);
    assert_eq!((&data["attempt"], result, failure), (&json!(4), Some(json!("after 4")), None));
    assert_eq!(data["complete_time"]["seconds"], 1_767_225_640);
}

#[test]
fn a_local_activity_fails_when_its_attempts_are_over_or_useless() {
    let mut run = TestRun::start::<flaky>([json!(9), json!("Flaky")]);
    run.fire_timer(1);
    run.fire_timer(2);
    let failure = run.result::<()>().unwrap_err().into_failure();
    assert!(matches!(&failure.kind, FailureKind::Activity(info)
            if info.retry_state == crate::RetryState::MaximumAttemptsReached && info.activity_type == "flaky"));
    assert_eq!(failure.to_string(), "Activity task failed: attempt 5 (Flaky)");

    let run = TestRun::start::<flaky>([json!(9), json!("Hopeless")]);
    let failure = run.result::<()>().unwrap_err().into_failure();
    assert_eq!(failure.to_string(), "Activity task failed: attempt 1 (Hopeless)");
    assert_eq!(local_activity_markers(&run)[0].2.as_deref(), Some("attempt 1 (Hopeless)"));
}

#[test]
fn a_local_activity_has_a_deadline_and_a_delay_of_its_own() {
    #[workflow]
    async fn late() -> WorkflowResult<()> {
        let attempt = || Err::<(), _>(ApplicationFailure::new("Busy", "busy").next_retry_delay(seconds(70)));
        Ok(local_activity("late", attempt).schedule_to_close_timeout(seconds(100)).await?)
    }
    let mut run = TestRun::start::<late>(NONE);
    assert_eq!(asked(&run), ["marker core_local_activity", "1:70s"]);
    run.fire_timer(1);
    let failure = run.result::<()>().unwrap_err().into_failure();
    assert!(matches!(failure.kind, FailureKind::Activity(info) if info.retry_state == crate::RetryState::Timeout));
}

#[test]
fn a_canceled_workflow_stops_trying() {
    #[workflow]
    async fn tries() -> WorkflowResult<()> {
        let attempt = || Err::<(), _>(ApplicationFailure::new("Busy", "busy"));
        let error = local_activity("tries", attempt).local_retry_threshold(Duration::ZERO).await.unwrap_err();
        assert!(error.is_canceled());
        let never = local_activity("never", || panic!("a canceled scope begins nothing") as ()).await;
        assert!(never.unwrap_err().is_canceled());
        Err(error.into())
    }
    let mut run = TestRun::start::<tries>(NONE);
    run.request_cancel("enough");
    assert!(run.is_canceled());
    assert_eq!(asked(&run), ["marker core_local_activity", "1:1s", "cancel 1"]);
}

#[test]
fn trying_without_waiting_comes_to_an_end() {
    #[workflow]
    async fn tries() -> WorkflowResult<()> {
        let policy = RetryPolicy::default().initial_interval(Duration::ZERO).backoff_coefficient(1.0);
        let attempt = || Err::<(), _>(ApplicationFailure::new("Busy", "busy"));
        Ok(local_activity("tries", attempt).retry_policy(policy).await?)
    }
    let run = TestRun::start::<tries>(NONE);
    assert_eq!(asked(&run), ["marker core_local_activity", "1:1ms"]);
}

#[test]
fn a_side_effect_is_a_marker_and_may_start_nothing() {
    #[workflow]
    async fn rolls() -> WorkflowResult<u64> {
        Ok(side_effect(|| random().range(1..=6)))
    }
    let run = TestRun::start::<rolls>(NONE);
    let value: u64 = run.result().unwrap();
    let details = vec![("data".to_owned(), vec![crate::ToPayload::to_payload(&value).unwrap()])];
    assert_eq!(run.commands(), [Command::RecordMarker { name: "SideEffect".into(), details, failure: None }]);

    #[workflow]
    async fn naughty() -> WorkflowResult<()> {
        side_effect(|| drop(sleep(seconds(1)).start()));
        Ok(())
    }
    let panic = std::panic::catch_unwind(|| TestRun::start::<naughty>(NONE));
    let message = *panic.err().unwrap().downcast::<String>().unwrap();
    assert_eq!(message, "a side effect tried to start a timer: it may only read, and change nothing");
}

#[workflow]
async fn refunds() -> WorkflowResult<String> {
    deprecate_patch("long ago");
    if patched("by card") && patched("by card") {
        return Ok("by card".into());
    }
    Ok("by bank".into())
}

#[test]
fn a_patch_is_taken_by_new_runs_and_not_by_old_ones() {
    let run = TestRun::start::<refunds>(NONE);
    assert_eq!(run.result::<String>().unwrap(), "by card");
    assert_eq!(asked(&run), ["patch long ago deprecated", "patch by card"]);
    let run = TestConfig::new().without_patch("by card").start::<refunds>(NONE);
    assert_eq!(run.result::<String>().unwrap(), "by bank");
    assert_eq!(asked(&run), ["patch long ago deprecated"]);
}

#[test]
fn memo_and_search_attributes_change_and_the_run_sees_them_changed() {
    #[workflow]
    async fn changes() -> WorkflowResult<()> {
        upsert_memo(Memo::new().set("stage", "paid").set("twice", 1).unset("old").set("twice", 2))?;
        let run = info();
        assert_eq!(run.memo::<String>("stage")?.as_deref(), Some("paid"));
        assert_eq!(
            (run.memo::<u32>("twice")?, run.memo::<u32>("old")?, run.memo::<u32>("kept")?),
            (Some(2), None, Some(3))
        );
        upsert_search_attributes(
            SearchAttributes::new()
                .text("Text", "a b")
                .keyword("Keyword", "k")
                .keyword_list("KeywordList", ["a", "b"])
                .int("Int", -1)
                .double("Double", 1.5)
                .bool("Bool", true)
                .datetime("Datetime", now())
                .unset("Gone"),
        )?;
        assert_eq!(info().search_attribute::<i64>("Int")?, Some(-1));
        Ok(())
    }
    let memo = |n: u32| crate::ToPayload::to_payload(&n).unwrap();
    let config = TestConfig::new().info(|info| info.memo = vec![("old".into(), memo(1)), ("kept".into(), memo(3))]);
    let run = config.start::<changes>(NONE);
    run.result::<()>().unwrap();
    assert_eq!(
        asked(&run),
        ["memo stage old twice", "search attributes Text Keyword KeywordList Int Double Bool Datetime Gone"]
    );
    let commands = run.commands();
    let Command::UpsertSearchAttributes(fields) = &commands[1] else { panic!() };
    let shown: Vec<_> = fields.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_ref()?))).collect();
    for (name, payload) in &shown {
        assert_eq!(payload.metadata[0], ("encoding".to_owned(), b"json/plain".to_vec()));
        assert_eq!(payload.metadata[1], ("type".to_owned(), name.as_bytes().to_vec()));
    }
    let data: Vec<_> = shown.iter().map(|(_, payload)| String::from_utf8_lossy(&payload.data)).collect();
    assert_eq!(data, ["\"a b\"", "\"k\"", "[\"a\",\"b\"]", "-1", "1.5", "true", "\"2026-01-01T00:00:00Z\""]);
}
