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
    use mainspring_workflow::testing::TestConfig;
    use serde_json::{Value, json};

    use super::*;

    fn order() -> [Value; 1] {
        [json!({ "amount": 99.99, "user_id": "u123", "email": "user@example.com" })]
    }

    #[test]
    fn an_order_is_charged_and_then_confirmed() {
        let run = TestConfig::new()
            .activity("charge_payment", |_amount: f64, _user_id: String| "tx-1")
            .activity("send_email", |_to: String, _subject: String| {})
            .start::<order_workflow>(order());
        assert_eq!(run.result::<String>().unwrap(), "tx-1");
        assert_eq!(run.activity_types(), ["charge_payment", "send_email"]);
        assert_eq!(run.activity_calls("send_email")[0].get::<String>(1).unwrap(), "주문 완료: tx-1");
        run.assert_replays();
    }

    #[test]
    fn nothing_is_confirmed_that_was_not_charged() {
        let declined =
            |_amount: f64, _user_id: String| Err::<String, _>(ApplicationFailure::new("CardDeclined", "no funds"));
        let run = TestConfig::new().activity("charge_payment", declined).start::<order_workflow>(order());
        assert!(run.result::<String>().unwrap_err().to_string().contains("CardDeclined"));
        assert_eq!(run.activity_types(), ["charge_payment"]);
    }
}
