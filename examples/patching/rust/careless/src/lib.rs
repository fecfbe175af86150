//! Patching a running workflow, how not to: version 2 without `patched`. Where it meets a history of version 1 it does
//! something else than what happened: `mainspring replay` says so before anybody deploys it.

use mainspring_workflow::prelude::*;

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Refund {
    customer: String,
    amount: f64,
    /// How long after the payment the customer is told.
    tell_after_ms: u64,
}

#[activity]
fn pay_back(customer: &str, amount: f64) -> String;

#[activity]
fn send_email(customer: &str);

#[workflow]
async fn refund(refund: Refund) -> WorkflowResult<String> {
    let receipt = pay_back(&refund.customer, refund.amount).start_to_close_timeout(TIMEOUT).await?;
    sleep(Duration::from_millis(refund.tell_after_ms)).await?;
    send_email(&refund.customer).start_to_close_timeout(TIMEOUT).await?;
    Ok(format!("{receipt}, told by email"))
}

mainspring_workflow::export!(refund);

#[cfg(test)]
mod tests {
    use mainspring_workflow::testing::TestConfig;
    use serde_json::{Value, json};

    use super::*;

    fn config() -> TestConfig {
        TestConfig::new()
            .activity("pay_back", |_customer: String, _amount: f64| "receipt-1")
            .activity("send_email", |_customer: String| {})
    }

    fn input() -> [Value; 1] {
        [json!({ "customer": "ann", "amount": 9.5, "tell_after_ms": 1000 })]
    }

    #[test]
    fn its_own_tests_do_not_tell() {
        let mut run = config().start::<refund>(input());
        run.skip_to_end();
        assert_eq!(run.activity_types(), ["pay_back", "send_email"]);
    }
}
