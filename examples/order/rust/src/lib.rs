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
