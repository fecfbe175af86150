//! A token bucket that is told the time and its rate: both a quota that changes and a test that has no time need that.
//! (The crate `governor` fixes the rate when a limiter is made, and knows no debt.)

use std::time::Duration;

/// Begins full.
#[derive(Debug, Default)]
pub struct Bucket {
    /// What is missing to a full one. More than the burst where the bucket is in debt.
    missing: f64,
    /// When `missing` was true.
    at: Duration,
}

/// So many units each second, and at most so many seconds' worth at once.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub per_second: u64,
    pub burst_seconds: u64,
}

impl Rate {
    fn burst(self) -> f64 {
        self.per_second as f64 * self.burst_seconds.max(1) as f64
    }
}

impl Bucket {
    fn refill(&mut self, now: Duration, rate: Rate) {
        let gained = now.saturating_sub(self.at).as_secs_f64() * rate.per_second as f64;
        self.missing = (self.missing - gained).max(0.0);
        self.at = self.at.max(now);
    }

    /// Takes so many units, or none where there are not so many.
    pub fn take(&mut self, now: Duration, rate: Rate, units: u64) -> bool {
        self.refill(now, rate);
        let fits = self.missing + units as f64 <= rate.burst();
        if fits {
            self.missing += units as f64;
        }
        fits
    }

    /// Takes what has been used already, into debt if need be.
    pub fn pay(&mut self, now: Duration, rate: Rate, units: u64) {
        self.refill(now, rate);
        self.missing += units as f64;
    }

    /// How long until a debt is paid back; zero where there is none.
    pub fn debt(&mut self, now: Duration, rate: Rate) -> Duration {
        self.refill(now, rate);
        let owed = self.missing - rate.burst();
        if owed <= 0.0 {
            return Duration::ZERO;
        }
        // One that is never paid back is looked at again some time: the rate may change.
        Duration::try_from_secs_f64(owed / rate.per_second.max(1) as f64).unwrap_or(Duration::MAX).min(FOREVER)
    }
}

/// Long enough for nobody to notice that it ends.
const FOREVER: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEN: Rate = Rate { per_second: 10, burst_seconds: 2 };

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let mut bucket = Bucket::default();
        let burst = (0..100).filter(|_| bucket.take(at(0), TEN, 1)).count();
        assert_eq!(burst, 20);
        assert!(!bucket.take(at(99), TEN, 1));
        assert!(bucket.take(at(100), TEN, 1));
        assert!(!bucket.take(at(100), TEN, 1));
        assert_eq!((0..100).filter(|_| bucket.take(at(60_000), TEN, 1)).count(), 20);
    }

    #[test]
    fn a_rate_of_nothing_lets_nothing_through_and_a_higher_one_counts_at_once() {
        let mut bucket = Bucket::default();
        assert!(!bucket.take(at(0), Rate { per_second: 0, burst_seconds: 2 }, 1));
        assert!(bucket.take(at(0), TEN, 1));
    }

    #[test]
    fn a_debt_takes_its_time() {
        let mut bucket = Bucket::default();
        bucket.pay(at(0), TEN, 20);
        assert_eq!(bucket.debt(at(0), TEN), Duration::ZERO);
        bucket.pay(at(0), TEN, 30);
        assert_eq!(bucket.debt(at(0), TEN), Duration::from_secs(3));
        assert_eq!(bucket.debt(at(1_000), TEN), Duration::from_secs(2));
        assert!(!bucket.take(at(2_000), TEN, 1));
        assert_eq!(bucket.debt(at(3_000), TEN), Duration::ZERO);
        assert!(bucket.take(at(3_100), TEN, 1));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::default();
        assert!(bucket.take(at(5_000), TEN, 20));
        assert!(!bucket.take(at(1_000), TEN, 1));
        assert!(!bucket.take(at(5_000), TEN, 1));
        assert!(bucket.take(at(5_100), TEN, 1));
    }

    proptest! {
        /// Over any stretch of time, no more leaves than the burst and what the rate brought.
        #[test]
        fn never_more_than_burst_and_rate(tries in prop::collection::vec((0_u64..400, 1_u64..5), 1..200)) {
            let mut bucket = Bucket::default();
            let (mut now, mut taken) = (0, 0);
            for (pause, units) in tries {
                now += pause;
                if bucket.take(at(now), TEN, units) {
                    taken += units;
                }
                prop_assert!(taken as f64 <= 20.0 + now as f64 / 100.0 + 1e-6);
            }
        }
    }
}
