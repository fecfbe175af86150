//! A workflow that greets. Its activity runs in `worker.py`.

use mainspring_workflow::prelude::*;

#[activity]
fn compose_greeting(name: String) -> String;

/// Clients start it as `Greet`.
#[workflow]
async fn greet(name: String) -> WorkflowResult<String> {
    let greeting = compose_greeting(name)
        .start_to_close_timeout(Duration::from_secs(10))
        .retry_policy(RetryPolicy::default().maximum_attempts(3))
        .await?;
    info!("composed: {greeting}");
    Ok(greeting)
}

mainspring_workflow::export!(greet);

#[cfg(test)]
mod tests {
    use mainspring_workflow::testing::{Command, TestRun};

    use super::*;

    #[test]
    fn whoever_comes_is_greeted() {
        let mut run = TestRun::start::<greet>([serde_json::json!("World")]);
        run.complete_activity(1, "Hello, World!");
        assert_eq!(run.result::<String>().unwrap(), "Hello, World!");

        let commands = run.commands();
        let Command::ScheduleActivity { activity_type, input, .. } = &commands[0] else { panic!() };
        assert_eq!(activity_type, "compose_greeting");
        assert_eq!(input[0].data, b"\"World\"");
    }

    #[test]
    fn nobody_is_greeted_when_the_activity_fails() {
        let mut run = TestRun::start::<greet>([serde_json::json!("World")]);
        run.fail_activity(1, ApplicationFailure::new("Speechless", "no words"));
        assert!(run.result::<String>().unwrap_err().to_string().contains("Speechless"));
    }
}
