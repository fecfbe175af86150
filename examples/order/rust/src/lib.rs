//! The order workflow: charge the customer, then tell them so. The activities run in `../python/worker.py`.

use mainspring_workflow::prelude::*;

#[derive(Deserialize)]
struct Order {
    amount: f64,
    user_id: String,
    email: String,
}

#[activity]
fn charge_payment(amount: f64, user_id: String) -> String;

#[activity]
fn send_email(to: String, subject: String);

/// Returns the id of the payment transaction.
#[workflow]
async fn order_workflow(order: Order) -> WorkflowResult<String> {
    let transaction = charge_payment(order.amount, order.user_id)
        .start_to_close_timeout(Duration::from_secs(30))
        .retry_policy(RetryPolicy::default().maximum_attempts(3))
        .await?;

    send_email(order.email, format!("주문 완료: {transaction}"))
        .start_to_close_timeout(Duration::from_secs(10))
        .await?;

    Ok(transaction)
}

mainspring_workflow::export!(order_workflow);

#[cfg(test)]
mod tests {
    use mainspring_workflow::testing::{Command, TestRun};
    use serde_json::json;

    use super::*;

    fn start() -> TestRun {
        TestRun::start::<order_workflow>([json!({ "amount": 99.99, "user_id": "u123", "email": "user@example.com" })])
    }

    #[test]
    fn an_order_is_charged_and_then_confirmed() {
        let mut run = start();
        run.complete_activity(1, "tx-1");
        run.complete_activity(2, ());
        assert_eq!(run.result::<String>().unwrap(), "tx-1");

        let commands = run.commands();
        let Command::ScheduleActivity { activity_type, input, .. } = &commands[1] else { panic!() };
        assert_eq!(activity_type, "send_email");
        assert_eq!(input[1].data, "\"주문 완료: tx-1\"".as_bytes());
    }

    #[test]
    fn nothing_is_confirmed_that_was_not_charged() {
        let mut run = start();
        run.fail_activity(1, ApplicationFailure::new("CardDeclined", "no funds"));
        assert!(run.result::<String>().unwrap_err().to_string().contains("CardDeclined"));
        assert_eq!(run.commands().len(), 1);
    }
}
