//! Patching a running workflow, version 2: an email tells of the refund, and no longer a letter.
//!
//! A history of version 1 has a letter in it. `patched` is true in a run that comes here for the first time, which its
//! history remembers by a marker, and false where a history without the marker is run again: such a run goes the old way.

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
fn send_letter(customer: &str);

#[activity]
fn send_email(customer: &str);

#[workflow]
async fn refund(refund: Refund) -> WorkflowResult<String> {
    let receipt = pay_back(&refund.customer, refund.amount).start_to_close_timeout(TIMEOUT).await?;
    sleep(Duration::from_millis(refund.tell_after_ms)).await?;
    if patched("email instead of a letter") {
        send_email(&refund.customer).start_to_close_timeout(TIMEOUT).await?;
        Ok(format!("{receipt}, told by email"))
    } else {
        send_letter(&refund.customer).start_to_close_timeout(TIMEOUT).await?;
        Ok(format!("{receipt}, told by letter"))
    }
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
            .activity("send_letter", |_customer: String| {})
            .activity("send_email", |_customer: String| {})
    }

    fn input() -> [Value; 1] {
        [json!({ "customer": "ann", "amount": 9.5, "tell_after_ms": 1000 })]
    }

    #[test]
    fn a_new_run_sends_an_email() {
        let mut run = config().start::<refund>(input());
        run.skip_to_end();
        assert_eq!(run.activity_types(), ["pay_back", "send_email"]);
    }

    #[test]
    fn a_run_that_sent_a_letter_sent_a_letter() {
        let mut run = config().without_patch("email instead of a letter").start::<refund>(input());
        run.skip_to_end();
        assert_eq!(run.activity_types(), ["pay_back", "send_letter"]);
    }
}
