//! Answers that a test gives beforehand, and time that it skips.

use std::{cell::Cell, rc::Rc};

use serde_json::json;

use super::*;
use crate::testing::TestConfig;

#[test]
fn a_stub_answers_every_call_of_its_type_and_no_other() {
    #[workflow]
    async fn calls() -> WorkflowResult<(u32, u32)> {
        let double = |n: u32| activity::<u32>("double").arg(n).start_to_close_timeout(seconds(1));
        let (a, b) = try_join!(double(2), double(3))?;
        let c: u32 = activity("by_hand").start_to_close_timeout(seconds(1)).await?;
        Ok((a + b, c))
    }
    let mut run = TestConfig::new().activity("double", |n: u32| n * 2).start::<calls>(NONE);
    assert_eq!(asked(&run), ["1:double", "2:double", "3:by_hand"]);
    run.complete_activity(3, 7);
    assert_eq!(run.result::<(u32, u32)>().unwrap(), (10, 7));
    assert_eq!(run.activity_types(), ["double", "double", "by_hand"]);
    let arguments: Vec<u32> = run.activity_calls("double").iter().map(|args| args.get(0).unwrap()).collect();
    assert_eq!(arguments, [2, 3]);
}

#[test]
fn a_stub_that_fails_is_the_last_attempt() {
    #[workflow]
    async fn fails() -> WorkflowResult<()> {
        let error = activity::<()>("charge").start_to_close_timeout(seconds(1)).await.unwrap_err();
        assert!(error.is_application("CardDeclined"));
        assert_eq!(error.retry_state(), Some(crate::RetryState::NonRetryableFailure));
        Err(error.into())
    }
    let declined = || Err::<(), _>(ApplicationFailure::new("CardDeclined", "no funds").non_retryable());
    let run = TestConfig::new().activity("charge", declined).start::<fails>(NONE);
    assert!(run.result::<()>().unwrap_err().to_string().contains("no funds"));
}

#[test]
fn a_stub_does_not_answer_what_was_canceled_before() {
    #[workflow]
    async fn cancels() -> WorkflowResult<bool> {
        let call = work("slow").start();
        call.cancel();
        Ok(call.await.unwrap_err().is_canceled())
    }
    let run = TestConfig::new().activity("slow", || "too late").start::<cancels>(NONE);
    assert!(run.result::<bool>().unwrap());
}

#[test]
fn a_stub_that_reads_other_arguments_is_a_mistake_of_the_test() {
    #[workflow]
    async fn calls() -> WorkflowResult<String> {
        Ok(work("greet").arg("ann").await?)
    }
    let panic = std::panic::catch_unwind(|| {
        TestConfig::new().activity("greet", |age: u32| age.to_string()).start::<calls>(NONE)
    });
    let message = *panic.err().unwrap().downcast::<String>().unwrap();
    assert!(message.starts_with("the stub of greet: argument 1"), "{message}");
}

#[test]
fn children_have_stubs_as_well() {
    #[workflow]
    async fn parent() -> WorkflowResult<(String, String)> {
        let child = child_workflow::<String>("Ship").arg(1).start().await?;
        let run_id = child.run_id().to_owned();
        let shipped = child.await?;
        let lost = child_workflow::<String>("Ship").arg(2).await.unwrap_err();
        assert!(lost.is_application("Lost"));
        Ok((run_id, shipped))
    }
    let ship = |order: u32| {
        if order == 2 { Err(ApplicationFailure::new("Lost", "at sea")) } else { Ok(format!("order {order}")) }
    };
    let run = TestConfig::new().child("Ship", ship).start::<parent>(NONE);
    assert_eq!(run.result::<(String, String)>().unwrap(), ("child-run-1".into(), "order 1".into()));
}

#[test]
fn each_timer_fires_at_its_moment_while_time_is_skipped() {
    #[workflow]
    async fn sleeps() -> WorkflowResult<Vec<u64>> {
        let start = now();
        let after = async |time: u64| {
            sleep(seconds(time)).await?;
            WorkflowResult::Ok(now().duration_since(start)?.as_secs())
        };
        let (late, early) = join!(after(50), after(20));
        let never = sleep(seconds(5)).start();
        drop(never);
        let third = after(30).await?;
        Ok(vec![early?, late?, third])
    }
    let mut run = TestRun::start::<sleeps>(NONE);
    run.skip_time(seconds(49));
    assert!(run.is_blocked());
    assert_eq!(run.elapsed(), seconds(49));
    run.skip_time(seconds(1));
    assert_eq!(run.elapsed(), seconds(50));
    run.skip_time(seconds(1000));
    assert_eq!(run.result::<Vec<u64>>().unwrap(), [20, 50, 80]);
    assert_eq!(run.elapsed(), seconds(80), "the clock of a run that has ended stands still");
}

#[test]
fn a_stub_knows_the_time_of_the_workflow() {
    #[workflow]
    async fn daily() -> WorkflowResult<()> {
        loop {
            sleep(seconds(24 * 3600)).await?;
            if work("stop").await? == "yes" {
                return Ok(());
            }
        }
    }
    let days = Rc::new(Cell::new(0));
    let stop = {
        let (days, start) = (days.clone(), TestRun::start::<daily>(NONE).now());
        move || {
            days.set(now().duration_since(start).unwrap().as_secs() / (24 * 3600));
            if days.get() < 365 { "no" } else { "yes" }
        }
    };
    let mut run = TestConfig::new().activity("stop", stop).start::<daily>(NONE);
    run.skip_to_end();
    run.result::<()>().unwrap();
    assert_eq!((days.get(), run.elapsed()), (365, seconds(365 * 24 * 3600)));
}

#[test]
fn what_no_time_can_end_is_named() {
    #[workflow]
    async fn waits() -> WorkflowResult<()> {
        sleep(seconds(1)).await?;
        Ok(signals::<()>("go").next().await?)
    }
    let mut run = TestRun::start::<waits>(NONE);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.skip_to_end()));
    let message = *panic.unwrap_err().downcast::<String>().unwrap();
    assert!(
        message.starts_with("no time brings the run to its end:\nmain routine waits for\n    signal go"),
        "{message}"
    );
}

#[workflow]
async fn counts(from: u32, until: u32) -> WorkflowResult<u32> {
    assert_eq!(info().run_id, if from == 0 { "test-run".into() } else { format!("test-run-{}", from + 1) });
    sleep(seconds(60)).await?;
    let next: u32 = activity("add").arg(from).start_to_close_timeout(seconds(1)).await?;
    if next == until {
        return Ok(next);
    }
    Err(counts::continue_as_new(next, until).into())
}

#[test]
fn a_run_is_followed_into_the_next_one() {
    let config = TestConfig::new().activity("add", |n: u32| n + 1);
    let mut run = config.start::<counts>([json!(0), json!(3)]);
    let began = run.now();
    for _ in 0..2 {
        run.skip_to_end();
        run = run.next_run();
    }
    assert_eq!(run.elapsed(), Duration::ZERO, "the clock of a run begins with it");
    run.skip_to_end();
    assert_eq!(run.result::<u32>().unwrap(), 3);
    assert_eq!(run.now().duration_since(began).unwrap(), seconds(180));
}
