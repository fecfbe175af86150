//! Points in time and durations, between protobuf's form and one that can be computed with.

use std::time::Duration;

use mainspring_api::{Duration as ProtoDuration, Timestamp};

/// Nanoseconds since 1970-01-01T00:00:00Z; good until the year 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

const NANOS_PER_SECOND: i64 = 1_000_000_000;

impl Time {
    pub const MAX: Time = Time(i64::MAX);

    pub fn from_proto(timestamp: &Timestamp) -> Time {
        Time(timestamp.seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(i64::from(timestamp.nanos)))
    }

    pub fn to_proto(self) -> Timestamp {
        Timestamp {
            seconds: self.0.div_euclid(NANOS_PER_SECOND),
            nanos: i32::try_from(self.0.rem_euclid(NANOS_PER_SECOND)).unwrap_or_default(),
        }
    }

    pub fn from_millis(millis: i64) -> Time {
        Time(millis.saturating_mul(1_000_000))
    }

    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The later time, or the end of time where the sum is beyond it.
    #[must_use]
    pub fn after(self, duration: Duration) -> Time {
        let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        Time(self.0.saturating_add(nanos))
    }

    /// How long from `earlier` to here; zero where it is the other way round.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// The duration, or zero where there is none. Negative ones have been refused by [`crate::validate`].
pub fn duration(proto: Option<&ProtoDuration>) -> Duration {
    let Some(proto) = proto else {
        return Duration::ZERO;
    };
    let seconds = u64::try_from(proto.seconds).unwrap_or(0);
    Duration::new(seconds, u32::try_from(proto.nanos).unwrap_or(0).min(999_999_999))
}

/// The duration, where there is one above zero: Temporal reads zero as "not set".
pub fn positive(proto: Option<&ProtoDuration>) -> Option<Duration> {
    Some(duration(proto)).filter(|duration| !duration.is_zero())
}

pub fn to_proto(duration: Duration) -> ProtoDuration {
    ProtoDuration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_survive_the_round_trip_on_both_sides_of_1970() {
        for nanos in [0, 1, -1, 1_700_000_000_123_456_789, -1_500_000_000] {
            assert_eq!(Time::from_proto(&Time(nanos).to_proto()), Time(nanos));
        }
    }

    #[test]
    fn a_sum_beyond_the_end_of_time_stays_there() {
        assert_eq!(Time(i64::MAX - 5).after(Duration::from_secs(1)), Time::MAX);
    }
}
