//! Saga: a trip is booked in three steps, each at another company. When one of them fails, or somebody cancels the trip,
//! what was booked so far is taken back, the last step first.

use mainspring_workflow::{Activity, prelude::*};

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Deserialize, Serialize)]
struct Trip {
    /// What the companies know the trip by: to book, or to take back, the same one twice is to do it once.
    id: String,
    destination: String,
}

#[activity]
fn book_car(trip: &Trip) -> String;
#[activity]
fn book_hotel(trip: &Trip) -> String;
#[activity]
fn book_flight(trip: &Trip) -> String;
#[activity]
fn cancel_car(trip_id: &str);
#[activity]
fn cancel_hotel(trip_id: &str);
#[activity]
fn cancel_flight(trip_id: &str);

#[derive(Serialize)]
struct Bookings {
    car: String,
    hotel: String,
    flight: String,
}

#[workflow]
async fn book_trip(trip: Trip) -> WorkflowResult<Bookings> {
    let mut saga = Saga::default();
    let booked = book(&trip, &mut saga).await;
    if booked.is_err() {
        saga.compensate().await;
    }
    booked
}

async fn book(trip: &Trip, saga: &mut Saga) -> WorkflowResult<Bookings> {
    // The way back is noted before the step: where an answer was lost, the booking may be there all the same.
    saga.on_failure(cancel_car(&trip.id));
    let car = step(book_car(trip)).await?;
    saga.on_failure(cancel_hotel(&trip.id));
    let hotel = step(book_hotel(trip)).await?;
    saga.on_failure(cancel_flight(&trip.id));
    let flight = step(book_flight(trip)).await?;
    Ok(Bookings { car, hotel, flight })
}

fn step(activity: Activity<String>) -> Activity<String> {
    activity.start_to_close_timeout(TIMEOUT).retry_policy(RetryPolicy::default().maximum_attempts(3))
}

/// The activities that take back what was done. They do not begin before they are awaited.
#[derive(Default)]
struct Saga {
    compensations: Vec<Activity<()>>,
}

impl Saga {
    fn on_failure(&mut self, compensation: Activity<()>) {
        // Tried until it succeeds: nothing else would put things right.
        self.compensations.push(compensation.start_to_close_timeout(TIMEOUT));
    }

    /// Shielded, so that it also works in a workflow that has been canceled.
    async fn compensate(self) {
        for compensation in self.compensations.into_iter().rev() {
            if let Err(error) = shielded(compensation).await {
                error!("somebody has to look after this: {error}");
            }
        }
    }
}

mainspring_workflow::export!(book_trip);

#[cfg(test)]
mod tests {
    use mainspring_workflow::testing::TestConfig;
    use serde_json::{Value, json};

    use super::*;

    fn config() -> TestConfig {
        TestConfig::new()
            .activity("book_car", |_trip: Value| "car-1")
            .activity("book_hotel", |_trip: Value| "hotel-1")
            .activity("cancel_car", |_trip_id: String| {})
            .activity("cancel_hotel", |_trip_id: String| {})
            .activity("cancel_flight", |_trip_id: String| {})
    }

    fn trip() -> [Value; 1] {
        [json!({ "id": "trip-1", "destination": "Lisbon" })]
    }

    const ALL_TAKEN_BACK: [&str; 6] =
        ["book_car", "book_hotel", "book_flight", "cancel_flight", "cancel_hotel", "cancel_car"];

    #[test]
    fn a_trip_is_booked() {
        let run = config().activity("book_flight", |_trip: Value| "flight-1").start::<book_trip>(trip());
        let bookings = json!({ "car": "car-1", "hotel": "hotel-1", "flight": "flight-1" });
        assert_eq!(run.result::<Value>().unwrap(), bookings);
        assert_eq!(run.activity_types(), ["book_car", "book_hotel", "book_flight"]);
    }

    #[test]
    fn a_step_that_fails_takes_back_what_was_booked_last_first() {
        let sold_out = |_trip: Value| Err::<String, _>(ApplicationFailure::new("SoldOut", "no seat is left"));
        let run = config().activity("book_flight", sold_out).start::<book_trip>(trip());
        assert!(run.result::<Value>().unwrap_err().to_string().contains("SoldOut"));
        assert_eq!(run.activity_types(), ALL_TAKEN_BACK);
        assert_eq!(run.activity_calls("cancel_car")[0].get::<String>(0).unwrap(), "trip-1");
        run.assert_replays();
    }

    #[test]
    fn a_trip_that_is_canceled_is_taken_back_as_well() {
        let mut run = config().start::<book_trip>(trip());
        run.request_cancel("changed my mind");
        run.cancel_activity(3);
        assert!(run.is_canceled());
        assert_eq!(run.activity_types(), ALL_TAKEN_BACK);
        run.assert_replays();
    }

    #[test]
    fn what_cannot_be_taken_back_does_not_stop_the_rest() {
        let sold_out = |_trip: Value| Err::<String, _>(ApplicationFailure::new("SoldOut", "no seat is left"));
        let closed =
            |_trip_id: String| Err::<(), _>(ApplicationFailure::new("Closed", "nobody is there").non_retryable());
        let run =
            config().activity("book_flight", sold_out).activity("cancel_hotel", closed).start::<book_trip>(trip());
        assert_eq!(run.activity_types(), ALL_TAKEN_BACK);
        assert!(run.log_lines()[0].1.contains("nobody is there"));
    }
}
