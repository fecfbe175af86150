//! A subscription: a workflow that sleeps for months. It costs nothing meanwhile, survives whatever happens to the server,
//! and hears its customer at any time.

use mainspring_workflow::prelude::*;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What the workflow is started with, what it answers, and what one run hands on to the next.
#[derive(Clone, Deserialize, Serialize)]
struct Subscription {
    customer: String,
    price: u32,
    /// How long it is free.
    trial_ms: u64,
    /// How long a payment lasts: 2,592,000,000 for 30 days.
    period_ms: u64,
    #[serde(default)]
    payments: u32,
    #[serde(default)]
    canceled: bool,
}

#[activity]
fn send_email(customer: &str, text: &str);

#[activity]
fn charge(customer: &str, price: u32, number: u32) -> String;

#[handlers]
impl Subscription {
    /// What is paid, and what comes next.
    #[query]
    fn status(&self) -> Subscription {
        self.clone()
    }

    /// Ends it at once.
    #[signal]
    fn cancel(&mut self) {
        self.canceled = true;
    }

    /// From the next payment on; answers the price until now.
    #[update(validator = check_price)]
    fn set_price(&mut self, price: u32) -> u32 {
        std::mem::replace(&mut self.price, price)
    }

    fn check_price(&self, price: u32) -> Result<(), ApplicationFailure> {
        if price == 0 { Err(ApplicationFailure::new("BadPrice", "nothing is free for ever")) } else { Ok(()) }
    }
}

#[workflow]
async fn subscribe(subscription: Subscription) -> WorkflowResult<Subscription> {
    let customer = subscription.customer.clone();
    let trial = Duration::from_millis(subscription.trial_ms);
    let period = Duration::from_millis(subscription.period_ms);
    let state = subscription.register();
    let email = async |text: &str| send_email(&customer, text).start_to_close_timeout(TIMEOUT).await;

    let is_new = state.borrow().payments == 0;
    if is_new {
        email("welcome: the trial has begun").await?;
    }
    let mut wait = if is_new { trial } else { period };
    loop {
        // The long sleep, which ends early if the customer cancels.
        match wait_condition(|| state.borrow().canceled).timeout(wait).await {
            Ok(canceled) => {
                canceled?;
                email("goodbye").await?;
                return Ok(state.borrow().clone());
            }
            Err(_elapsed) => wait = period,
        }
        let (price, number) = (state.borrow().price, state.borrow().payments + 1);
        let receipt = charge(&customer, price, number).start_to_close_timeout(TIMEOUT).await?;
        state.borrow_mut().payments = number;
        email(&format!("thank you: {receipt}")).await?;

        // Even a history of a few events each month grows: after some decades it is time for a new one.
        if history().continue_as_new_suggested {
            // What the customer has said by now this run still has to hear.
            wait_condition(all_handlers_finished).await?;
            if !state.borrow().canceled {
                return Err(subscribe::continue_as_new(state.borrow().clone()).into());
            }
        }
    }
}

mainspring_workflow::export!(subscribe);

#[cfg(test)]
mod tests {
    use mainspring_workflow::{
        ToPayload,
        testing::{Event, TestConfig, TestRun, signal},
    };
    use serde_json::{Value, json};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn start() -> TestRun {
        let days = |count: u32| (count * DAY).as_millis() as u64;
        let subscription = json!({ "customer": "ann", "price": 10, "trial_ms": days(14), "period_ms": days(30) });
        TestConfig::new()
            .activity("send_email", |_customer: String, _text: String| {})
            .activity("charge", |_customer: String, price: u32, number: u32| format!("payment {number} of {price}"))
            .start::<subscribe>([subscription])
    }

    fn prices(run: &TestRun) -> Vec<u32> {
        run.activity_calls("charge").iter().map(|args| args.get(1).unwrap()).collect()
    }

    #[test]
    fn the_trial_is_free_and_every_month_is_paid() {
        let mut run = start();
        run.skip_time(14 * DAY - Duration::from_millis(1));
        assert!(prices(&run).is_empty());
        run.skip_time(Duration::from_millis(1));
        assert_eq!(prices(&run), [10]);
        run.skip_time(11 * 30 * DAY);
        assert_eq!(prices(&run), [10; 12]);
        run.assert_replays();
    }

    #[test]
    fn a_customer_who_cancels_does_not_wait_for_the_end_of_the_month() {
        let mut run = start();
        run.skip_time(50 * DAY);
        run.signal("cancel", ());
        assert_eq!(run.result::<Subscription>().unwrap().payments, 2);
        assert_eq!(run.elapsed(), 50 * DAY);
    }

    #[test]
    fn the_price_changes_in_the_middle_of_a_sleep() {
        let mut run = start();
        run.skip_time(20 * DAY);
        let update = run.update("set_price", [12]);
        assert_eq!(run.update_result::<u32>(update).unwrap().unwrap(), 10);
        let refused = run.update("set_price", [0]);
        assert!(run.update_result::<u32>(refused).unwrap().is_err());
        run.skip_time(30 * DAY);
        assert_eq!(prices(&run), [10, 12]);
        assert_eq!(run.query::<Value>("status", [(); 0]).unwrap()["price"], 12);
    }

    #[test]
    fn after_decades_it_goes_on_in_a_new_run() {
        let mut run = start();
        run.skip_time(30 * 365 * DAY);
        let paid = prices(&run).len() as u32;
        run.suggest_continue_as_new();
        run.skip_time(30 * DAY);
        let mut run = run.next_run();
        run.skip_time(29 * DAY);
        assert!(prices(&run).is_empty(), "this month is paid");
        run.skip_time(DAY);
        assert_eq!(run.query::<Value>("status", [(); 0]).unwrap()["payments"], paid + 2);
        assert_eq!(run.activity_types(), ["charge", "send_email"], "nobody is welcomed twice");
    }

    #[test]
    fn a_customer_who_cancels_at_the_very_moment_of_going_on_is_heard() {
        let mut run = TestConfig::new()
            .activity("charge", |_customer: String, _price: u32, _number: u32| "receipt")
            .start::<subscribe>([json!({ "customer": "ann", "price": 10, "trial_ms": 1, "period_ms": 1 })]);
        run.complete_activity(1, ());
        run.skip_time(Duration::from_millis(1));
        run.suggest_continue_as_new();
        // The email of thanks is sent, and the customer cancels, in one activation.
        let sent = Event::ActivityResolved((4, Ok(vec![().to_payload().unwrap()])));
        run.resume([sent, signal("cancel", ())]);
        assert_eq!(run.activity_calls("send_email")[2].get::<String>(1).unwrap(), "goodbye");
    }
}
