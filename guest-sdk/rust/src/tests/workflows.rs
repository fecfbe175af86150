//! Arguments, results, failures, and what the run knows.

use serde_json::json;

use super::*;
use crate::{Workflow, failure::ApplicationFailureInfo};

fn failure(run: &TestRun) -> (String, ApplicationFailureInfo) {
    let failure = run.result::<()>().unwrap_err().into_failure();
    let FailureKind::Application(info) = failure.kind else { panic!("not an application failure: {failure:?}") };
    (failure.message, info)
}

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    amount: f64,
    note: Option<String>,
}

#[workflow]
async fn takes_three(order: Order, count: u32, note: Option<String>) -> WorkflowResult<String> {
    Ok(format!("{} {count} {note:?}", order.amount))
}

#[workflow(name = "no.arguments")]
async fn takes_none() -> WorkflowResult<()> {
    Ok(())
}

#[workflow]
async fn sends_raw(bytes: Bytes) -> WorkflowResult<Bytes> {
    Ok(bytes)
}

#[test]
fn arguments_are_one_payload_each_and_a_missing_option_is_none() {
    let run = TestRun::start::<takes_three>([json!({"amount": 1.5}), json!(2)]);
    assert_eq!(run.result::<String>().unwrap(), "1.5 2 None");
    let run = TestRun::start::<takes_three>([json!({"amount": 1}), json!(2), json!("x"), json!("one too many")]);
    assert_eq!(run.result::<String>().unwrap(), "1 2 Some(\"x\")");
}

#[test]
fn names_are_in_pascal_case_unless_given() {
    assert_eq!(takes_three::NAME, "TakesThree");
    assert_eq!(takes_none::NAME, "no.arguments");
}

#[test]
fn raw_bytes_stay_raw() {
    assert_eq!(TestRun::start::<sends_raw>([Bytes(vec![0, 255])]).result::<Bytes>().unwrap(), Bytes(vec![0, 255]));
}

#[test]
fn wrong_input_fails_the_workflow_and_says_which_argument_and_why() {
    let run = TestRun::start::<takes_three>([json!({"amount": "much"}), json!(2)]);
    let (message, info) = failure(&run);
    assert_eq!((info.error_type.as_str(), info.non_retryable), ("PayloadConversionError", true));
    assert!(message.starts_with("argument 1 (order: Order): invalid type: string \"much\", expected f64"), "{message}");

    let (message, _) = failure(&TestRun::start::<takes_three>([json!({"amount": 1})]));
    assert!(message.starts_with("argument 2 (count: u32): it was not given"), "{message}");
}

#[test]
fn a_result_that_json_cannot_hold_fails_the_workflow() {
    #[workflow]
    async fn bad_result() -> WorkflowResult<std::collections::BTreeMap<(u8, u8), u8>> {
        Ok([((1, 2), 3)].into())
    }
    let (message, info) = failure(&TestRun::start::<bad_result>(NONE));
    assert_eq!(info.error_type, "PayloadConversionError");
    assert!(message.starts_with("the result of the workflow: key must be a string"), "{message}");
}

#[test]
fn a_typed_failure_reaches_the_caller_as_it_was_made() {
    #[workflow]
    async fn fails() -> WorkflowResult<()> {
        let failure = ApplicationFailure::new("OutOfStock", "none left").details(json!({"sku": 7}));
        Err(failure.non_retryable().next_retry_delay(seconds(5)).into())
    }
    let (message, info) = failure(&TestRun::start::<fails>(NONE));
    assert_eq!((message.as_str(), info.error_type.as_str(), info.non_retryable), ("none left", "OutOfStock", true));
    assert_eq!(info.next_retry_delay, Some(seconds(5)));
    assert_eq!(info.detail::<serde_json::Value>().unwrap(), json!({"sku": 7}));
}

#[test]
fn the_question_mark_takes_any_error() {
    #[workflow]
    async fn parses(text: String) -> WorkflowResult<u32> {
        Ok(text.parse()?)
    }
    assert_eq!(TestRun::start::<parses>(["7"]).result::<u32>().unwrap(), 7);
    assert_eq!(failure(&TestRun::start::<parses>(["x"])).1.error_type, "ParseIntError");
}

#[test]
fn the_clock_stands_still_until_a_timer_fires() {
    #[workflow]
    async fn clock() -> WorkflowResult<u64> {
        let start = now();
        assert_eq!(start, info().start_time);
        sleep(seconds(3600)).await?;
        Ok(now().duration_since(start)?.as_secs())
    }
    let mut run = TestRun::start::<clock>(NONE);
    run.fire_timer(1);
    assert_eq!(run.result::<u64>().unwrap(), 3600);
}

#[test]
fn no_time_at_all_needs_no_timer() {
    #[workflow]
    async fn naps() -> WorkflowResult<()> {
        Ok(sleep(Duration::ZERO).await?)
    }
    let run = TestRun::start::<naps>(NONE);
    run.result::<()>().unwrap();
    assert_eq!(run.commands(), []);
}

#[test]
fn randomness_is_of_the_right_kind_and_the_same_in_each_run() {
    #[workflow]
    async fn dice() -> WorkflowResult<(Vec<u64>, Vec<f64>, String, usize, bool)> {
        let random = random();
        let rolls = (0..200).map(|_| random.range(1..=6)).collect();
        let fractions = (0..200).map(|_| random.f64()).collect();
        assert_eq!(random.range(5..6), 5);
        let _any: u64 = random.range(..);
        Ok((rolls, fractions, uuid4(), random.bytes(70_000).len(), random.bool()))
    }
    type Result = (Vec<u64>, Vec<f64>, String, usize, bool);
    let first = TestRun::start::<dice>(NONE).result::<Result>().unwrap();
    assert_eq!(first, TestRun::start::<dice>(NONE).result::<Result>().unwrap());
    let (rolls, fractions, uuid, bytes, _) = first;
    assert_eq!(rolls.iter().collect::<std::collections::BTreeSet<_>>().len(), 6);
    assert!(rolls.iter().all(|roll| (1..=6).contains(roll)));
    assert!(fractions.iter().all(|fraction| (0.0..1.0).contains(fraction)));
    assert_eq!((uuid.len(), &uuid[14..15], bytes), (36, "4", 70_000));
    assert!("89ab".contains(&uuid[19..20]));
}

#[test]
fn log_lines_have_levels_and_fields() {
    #[workflow]
    async fn logs() -> WorkflowResult<()> {
        let order = 7;
        info!("plain");
        warn!(order = order, attempt = 1 + 1, "order {order} is {}", "late");
        Ok(())
    }
    let run = TestRun::start::<logs>(NONE);
    let fields = vec![("order".into(), "7".into()), ("attempt".into(), "2".into())];
    assert_eq!(
        run.log_lines(),
        [(Level::Info, "plain".into(), vec![]), (Level::Warn, "order 7 is late".into(), fields)]
    );
}

#[test]
fn the_run_knows_itself() {
    #[workflow]
    async fn knows() -> WorkflowResult<String> {
        let run = info();
        assert_eq!(run.memo::<String>("absent")?, None);
        assert_eq!(run.last_result::<String>()?, None);
        assert_eq!(history().length, 3);
        Ok(format!("{} on {}", run.workflow_type, run.task_queue))
    }
    assert_eq!(TestRun::start::<knows>(NONE).result::<String>().unwrap(), "Knows on test-queue");
}
