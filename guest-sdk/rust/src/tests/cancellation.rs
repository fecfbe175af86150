//! A request to cancel, scopes, shields and timeouts.

use super::*;

#[workflow]
async fn one_activity() -> WorkflowResult<String> {
    Ok(work("slow").await?)
}

#[test]
fn a_request_cancels_what_is_awaited_and_ends_the_workflow_as_canceled() {
    let mut run = TestRun::start::<one_activity>(NONE);
    run.request_cancel("enough");
    assert_eq!(asked(&run), ["1:slow", "cancel 1"]);
    assert!(run.is_blocked(), "it is the host that says when an activity is canceled");
    run.cancel_activity(1);
    assert!(run.is_canceled());
}

#[test]
fn an_activity_that_was_faster_than_its_cancellation_gives_its_result() {
    let mut run = TestRun::start::<one_activity>(NONE);
    run.request_cancel("enough");
    run.complete_activity(1, "done");
    assert_eq!(run.result::<String>().unwrap(), "done");
}

#[test]
fn an_activity_canceled_without_a_request_is_a_failure() {
    let mut run = TestRun::start::<one_activity>(NONE);
    run.cancel_activity(1);
    assert!(!run.is_canceled());
    assert!(run.result::<String>().unwrap_err().is_canceled());
}

#[test]
fn timers_signals_and_conditions_are_canceled_at_once() {
    #[workflow]
    async fn waits(how: String) -> WorkflowResult<()> {
        match how.as_str() {
            "timer" => sleep(seconds(9)).await?,
            "signal" => signals("go").next().await?,
            _ => wait_condition(|| false).await?,
        }
        Ok(())
    }
    for how in ["timer", "signal", "condition"] {
        let mut run = TestRun::start::<waits>([how]);
        assert!(run.is_blocked());
        run.request_cancel("enough");
        assert!(run.is_canceled(), "{how}");
    }
}

#[test]
fn details_can_be_left_with_a_cancellation() {
    #[workflow]
    async fn leaves_details() -> WorkflowResult<()> {
        sleep(seconds(9)).await.map_err(|canceled| canceled.details("half done"))?;
        Ok(())
    }
    let mut run = TestRun::start::<leaves_details>(NONE);
    run.request_cancel("enough");
    let failure = run.result::<()>().unwrap_err().into_failure();
    assert!(matches!(failure.kind, FailureKind::Canceled(details) if details[0].data == b"\"half done\""));
}

#[test]
fn cleanup_is_shielded_and_nothing_else_begins_after_the_request() {
    #[workflow]
    async fn cleans_up() -> WorkflowResult<String> {
        let canceled = sleep(seconds(60)).await.unwrap_err();
        assert_eq!(cancel_reason().as_deref(), Some("enough"));
        assert!(work("not scheduled").await.is_err_and(|error| error.is_canceled()));
        assert!(sleep(seconds(1)).await.is_err());
        shielded(async {
            work("undo").await?;
            sleep(seconds(2)).await?;
            WorkflowResult::Ok(())
        })
        .await?;
        Err(canceled.into())
    }
    let mut run = TestRun::start::<cleans_up>(NONE);
    run.request_cancel("enough");
    assert_eq!(asked(&run), ["1:60s", "cancel 1", "2:undo"]);
    run.complete_activity(2, "undone");
    assert!(run.is_blocked());
    run.fire_timer(3);
    assert!(run.is_canceled());
}

#[test]
fn a_request_can_be_observed_instead() {
    #[workflow]
    async fn observes() -> WorkflowResult<String> {
        shielded(async {
            select! {
                reason = canceled() => Ok(format!("asked to stop: {reason}")),
                text = work("long") => Ok(text?),
            }
        })
        .await
    }
    let mut run = TestRun::start::<observes>(NONE);
    run.request_cancel("enough");
    assert_eq!(run.result::<String>().unwrap(), "asked to stop: enough");
    assert_eq!(asked(&run), ["1:long"], "shielded work goes on");
}

#[test]
fn what_arrived_before_the_request_is_delivered_first() {
    #[workflow]
    async fn drains() -> WorkflowResult<Vec<u32>> {
        let mut numbers = signals::<u32>("number");
        let mut all = Vec::new();
        while let Ok(number) = numbers.next().await {
            all.push(number);
        }
        Ok(all)
    }
    let mut run = TestRun::start::<drains>(NONE);
    let cancel = Event::CancelRequested("enough".into());
    run.resume([signal("number", 1), signal("number", 2), cancel]);
    assert_eq!(run.result::<Vec<u32>>().unwrap(), [1, 2]);
}

#[test]
fn a_scope_cancels_what_was_started_in_it_and_nothing_else() {
    #[workflow]
    async fn scoped() -> WorkflowResult<(bool, String)> {
        let scope = CancellationScope::new();
        let inside = scope.run(work("inside"));
        let outside = work("outside").start();
        signals::<()>("stop").next().await?;
        scope.cancel();
        let (inside, outside) = join!(inside, outside);
        Ok((inside.is_err_and(|error| error.is_canceled()), outside?))
    }
    let mut run = TestRun::start::<scoped>(NONE);
    run.signal("stop", ());
    assert_eq!(asked(&run), ["1:inside", "2:outside", "cancel 1"]);
    run.cancel_activity(1);
    run.complete_activity(2, "done");
    assert_eq!(run.result::<(bool, String)>().unwrap(), (true, "done".into()));
}

#[workflow]
async fn impatient() -> WorkflowResult<String> {
    match work("slow").timeout(seconds(5)).await {
        Ok(result) => Ok(result?),
        Err(elapsed) => Ok(elapsed.to_string()),
    }
}

#[test]
fn a_timeout_cancels_the_activity_when_the_time_is_up() {
    let mut run = TestRun::start::<impatient>(NONE);
    run.fire_timer(2);
    assert_eq!(run.result::<String>().unwrap(), "not done after 5s");
    assert_eq!(asked(&run), ["1:slow", "2:5s", "cancel 1"]);
}

#[test]
fn what_was_started_before_belongs_to_where_it_is_awaited() {
    #[workflow]
    async fn moves() -> WorkflowResult<(bool, String)> {
        let (impatient, shielded_one) = (work("impatient").start(), work("shielded").start());
        let elapsed = impatient.timeout(seconds(5)).await.is_err();
        Ok((elapsed, shielded(shielded_one).await?))
    }
    let mut run = TestRun::start::<moves>(NONE);
    run.fire_timer(3);
    assert_eq!(asked(&run), ["1:impatient", "2:shielded", "3:5s", "cancel 1"]);
    run.request_cancel("enough");
    run.complete_activity(2, "done");
    assert_eq!(run.result::<(bool, String)>().unwrap(), (true, "done".into()));
    assert_eq!(asked(&run).len(), 4);
}

#[test]
fn a_timeout_cancels_its_timer_when_the_activity_is_done() {
    let mut run = TestRun::start::<impatient>(NONE);
    run.complete_activity(1, "quick");
    assert_eq!(run.result::<String>().unwrap(), "quick");
    assert_eq!(asked(&run), ["1:slow", "2:5s", "cancel 2"]);
}

#[test]
fn a_timer_that_fires_in_the_batch_that_cancels_it_is_left_alone() {
    #[workflow]
    async fn sleeps() -> WorkflowResult<()> {
        Ok(sleep(seconds(1)).await?)
    }
    let mut run = TestRun::start::<sleeps>(NONE);
    run.resume([Event::CancelRequested("enough".into()), Event::TimerFired(1)]);
    assert!(run.is_canceled());
    let mut run = TestRun::start::<sleeps>(NONE);
    run.resume([Event::TimerFired(1), Event::CancelRequested("too late".into())]);
    run.result::<()>().unwrap();
}
