//! The activities of the order workflow, in a component that the server runs itself: the same as in
//! `../../python/worker.py`, and no worker is needed.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _};

use mainspring_activity::prelude::*;

fn charge_payment(amount: f64, user_id: String) -> ActivityResult<String> {
    let attempt = info().attempt;
    if attempt == 1 {
        // A payment provider with a hiccup. Nobody catches this: the server tries again after a second.
        return Err(ApplicationFailure::new("ConnectionError", "the payment provider does not answer").into());
    }
    let transaction = format!("tx-{:012x}", RandomState::new().hash_one(&user_id) >> 16);
    log!(Level::Info, attempt = attempt, "charged {amount} to {user_id}: {transaction}");
    Ok(transaction)
}

fn send_email(to: String, subject: String) {
    log!(Level::Info, "to {to}: {subject}");
}

mainspring_activity::export!(charge_payment, send_email);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_meets_a_provider_that_does_not_answer() {
        let error = charge_payment(99.99, "u123".into()).unwrap_err();
        assert!(error.to_string().contains("does not answer"));
    }
}
