//! Activities: what is asked of the host, and what comes back.

use super::*;

#[activity]
fn charge_payment(amount: f64, user_id: &str) -> String;

/// With a name that is no Rust name, and no result.
#[activity(name = "mail.send")]
async fn send_email(to: String, subject: String);

#[workflow]
async fn order() -> WorkflowResult<String> {
    let transaction = charge_payment(99.99, "u123")
        .start_to_close_timeout(seconds(30))
        .retry_policy(RetryPolicy::default().maximum_attempts(3).non_retryable("CardDeclined"))
        .await?;
    send_email("user@example.com".into(), format!("주문 완료: {transaction}"))
        .schedule_to_close_timeout(seconds(10))
        .cancellation_type(CancellationType::Abandon)
        .task_queue("mail")
        .summary("tell them")
        .await?;
    Ok(transaction)
}

#[test]
fn typed_stubs_send_one_payload_for_each_argument() {
    let mut run = TestRun::start::<order>(NONE);
    run.complete_activity(1, "tx-1");
    run.complete_activity(2, ());
    assert_eq!(run.result::<String>().unwrap(), "tx-1");

    let commands = run.commands();
    let Command::ScheduleActivity { activity_type, input, options, .. } = &commands[0] else { panic!() };
    let data: Vec<_> = input.iter().map(|payload| String::from_utf8_lossy(&payload.data)).collect();
    assert_eq!((activity_type.as_str(), data), ("charge_payment", vec!["99.99".into(), "\"u123\"".into()]));
    let retry_policy = Some(RetryPolicy::default().maximum_attempts(3).non_retryable("CardDeclined"));
    let expected =
        ActivityOptions { start_to_close_timeout: Some(seconds(30)), retry_policy, ..ActivityOptions::default() };
    assert_eq!(**options, expected);

    let Command::ScheduleActivity { activity_type, options, .. } = &commands[1] else { panic!() };
    assert_eq!(activity_type, "mail.send");
    let expected = ActivityOptions {
        schedule_to_close_timeout: Some(seconds(10)),
        cancellation_type: CancellationType::Abandon,
        task_queue: Some("mail".into()),
        summary: Some("tell them".into()),
        ..ActivityOptions::default()
    };
    assert_eq!(**options, expected);
}

#[test]
fn a_failed_activity_fails_the_workflow_with_its_cause() {
    let mut run = TestRun::start::<order>(NONE);
    run.fail_activity(1, ApplicationFailure::new("CardDeclined", "no funds"));
    let failure = run.result::<String>().unwrap_err().into_failure();
    assert!(matches!(&failure.kind, FailureKind::Activity(info) if info.activity_type == "charge_payment"));
    assert_eq!(failure.to_string(), "activity error: no funds (CardDeclined)");
}

#[test]
fn a_failure_can_be_told_apart_and_handled() {
    #[workflow]
    async fn handles() -> WorkflowResult<String> {
        match work("charge").await {
            Err(error) if error.is_application("CardDeclined") => {
                Ok(error.application().map(|info| info.detail::<String>()).transpose()?.unwrap_or_default())
            }
            other => Ok(other?),
        }
    }
    let mut run = TestRun::start::<handles>(NONE);
    run.fail_activity(1, ApplicationFailure::new("CardDeclined", "no funds").details("try another card"));
    assert_eq!(run.result::<String>().unwrap(), "try another card");
}

#[test]
fn a_result_of_another_type_is_an_error_that_names_the_activity() {
    let mut run = TestRun::start::<order>(NONE);
    run.complete_activity(1, 7);
    let failure = run.result::<String>().unwrap_err().into_failure();
    assert!(
        failure.message.starts_with("the result of activity charge_payment: invalid type: integer `7`"),
        "{failure}"
    );
    assert!(matches!(failure.kind, FailureKind::Application(info) if info.error_type == "PayloadConversionError"));
}

#[test]
fn an_argument_that_json_cannot_hold_is_an_error_and_schedules_nothing() {
    #[workflow]
    async fn bad_argument() -> WorkflowResult<String> {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        Ok(activity::<String>("store").arg(1).arg(map).start_to_close_timeout(seconds(1)).await?)
    }
    let run = TestRun::start::<bad_argument>(NONE);
    assert_eq!(run.commands(), []);
    let failure = run.result::<String>().unwrap_err();
    assert!(failure.to_string().starts_with("argument 2 of activity store: key must be a string"), "{failure}");
}

#[test]
#[should_panic(expected = "activity `store` has no timeout")]
fn an_activity_without_a_timeout_is_a_bug() {
    #[workflow]
    async fn forgets() -> WorkflowResult<()> {
        Ok(activity("store").await?)
    }
    TestRun::start::<forgets>(NONE);
}

#[test]
fn a_handle_cancels_once_and_still_gives_the_answer() {
    #[workflow]
    async fn cancels() -> WorkflowResult<bool> {
        let handle = work("slow").start();
        sleep(seconds(1)).await?;
        handle.cancel();
        handle.cancel();
        Ok(handle.await.is_err_and(|error| error.is_canceled()))
    }
    let mut run = TestRun::start::<cancels>(NONE);
    run.fire_timer(2);
    assert_eq!(asked(&run), ["1:slow", "2:1s", "cancel 1"]);
    run.cancel_activity(1);
    assert!(run.result::<bool>().unwrap());
}

#[test]
fn a_dropped_handle_leaves_the_activity_running() {
    #[workflow]
    async fn forgets() -> WorkflowResult<String> {
        drop(work("background").start());
        Ok(work("main").await?)
    }
    let mut run = TestRun::start::<forgets>(NONE);
    run.complete_activity(1, "nobody asks");
    run.complete_activity(2, "done");
    assert_eq!(run.result::<String>().unwrap(), "done");
    assert_eq!(asked(&run), ["1:background", "2:main"]);
}
