//! Going on in a new run.

use super::*;

#[workflow]
async fn polls(mut cursor: u64, note: Option<String>) -> WorkflowResult<u64> {
    while !history().continue_as_new_suggested {
        sleep(seconds(60)).await?;
        cursor += 1;
    }
    Err(polls::continue_as_new(cursor, note).into())
}

#[test]
fn a_workflow_goes_on_with_new_arguments_when_its_history_is_long() {
    let mut run = TestRun::start::<polls>([7]);
    run.fire_timer(1);
    assert!(run.is_blocked());
    run.suggest_continue_as_new();
    run.fire_timer(2);
    let continuation = run.continued_as_new().unwrap();
    assert_eq!(continuation.workflow_type.as_deref(), Some("Polls"));
    let input: Vec<_> = continuation.input.iter().map(|payload| payload.data.as_slice()).collect();
    assert_eq!(input, [&b"9"[..], b""]);
    assert_eq!((&continuation.task_queue, &continuation.memo, &continuation.run_timeout), (&None, &None, &None));
}

#[test]
fn all_options_can_change() {
    #[workflow]
    async fn moves() -> WorkflowResult<()> {
        Err(continue_as_new()
            .arg("x")
            .workflow_type("Other")
            .task_queue("elsewhere")
            .run_timeout(seconds(60))
            .task_timeout(seconds(5))
            .retry_policy(RetryPolicy::default().maximum_attempts(2))
            .memo(Memo::new().set("note", 1))
            .search_attributes(SearchAttributes::new().keyword("Stage", "second"))
            .header("trace", Payload { metadata: vec![], data: vec![1] }))?
    }
    let run = TestRun::start::<moves>(NONE);
    let continuation = run.continued_as_new().unwrap();
    assert_eq!(continuation.workflow_type.as_deref(), Some("Other"));
    assert_eq!(continuation.task_queue.as_deref(), Some("elsewhere"));
    assert_eq!(continuation.run_timeout.unwrap().seconds, 60);
    assert_eq!(continuation.task_timeout.unwrap().seconds, 5);
    assert_eq!(continuation.retry_policy.as_ref().unwrap().maximum_attempts, 2);
    assert_eq!(continuation.memo.as_ref().unwrap()[0].0, "note");
    assert_eq!(continuation.search_attributes.as_ref().unwrap()[0].1.data, b"\"second\"");
    assert_eq!(continuation.header[0].0, "trace");
}

#[test]
fn an_argument_that_cannot_be_sent_fails_the_workflow() {
    #[workflow]
    async fn bad() -> WorkflowResult<()> {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        Err(continue_as_new().arg(1).arg(map).into())
    }
    let failure = TestRun::start::<bad>(NONE).result::<()>().unwrap_err().into_failure();
    assert!(failure.message.starts_with("argument 2 of the new run: key must be a string"), "{failure}");
}

#[test]
fn a_signal_handler_may_do_it_and_an_update_handler_may_not() {
    #[workflow]
    async fn handled() -> WorkflowResult<()> {
        on_signal("again", |n: u32| Err::<(), _>(continue_as_new().arg(n)));
        on_update("again", |n: u32| Err::<(), _>(continue_as_new().arg(n)));
        Ok(sleep(seconds(60)).await?)
    }
    let mut run = TestRun::start::<handled>(NONE);
    let update = run.update("again", [1]);
    let error = run.update_result::<()>(update).unwrap().unwrap_err();
    assert!(error.to_string().contains("only its main routine"), "{error}");
    assert!(run.is_blocked());
    run.signal("again", 2);
    assert_eq!(run.continued_as_new().unwrap().input[0].data, b"2");
}
