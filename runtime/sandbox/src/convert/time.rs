//! Points in time and spans of time.

use mainspring_api::{Duration, Timestamp};

use crate::{bindings::types as wit, host::Fault};

/// The longest duration that protobuf's JSON form can say: 10,000 years.
const DURATION_SECONDS_MAX: u64 = 315_576_000_000;
const NANOSECONDS_PER_SECOND: u32 = 1_000_000_000;

pub fn duration_to_proto(duration: wit::Duration) -> Result<Duration, Fault> {
    let wit::Duration { seconds, nanoseconds } = duration;
    if seconds > DURATION_SECONDS_MAX || nanoseconds >= NANOSECONDS_PER_SECOND {
        return Err(Fault::bad_call(format!(
            "a duration of {seconds} s and {nanoseconds} ns: seconds may be {DURATION_SECONDS_MAX} at most, and nanoseconds \
             less than {NANOSECONDS_PER_SECOND}"
        )));
    }
    // Both were just bounded far below what the fields hold.
    Ok(Duration { seconds: seconds as i64, nanos: nanoseconds as i32 })
}

/// Negative durations, which no valid journal has, are zero.
pub fn duration_to_guest(duration: &Duration) -> wit::Duration {
    match (u64::try_from(duration.seconds), u32::try_from(duration.nanos)) {
        (Ok(seconds), Ok(nanoseconds)) if nanoseconds < NANOSECONDS_PER_SECOND => {
            wit::Duration { seconds, nanoseconds }
        }
        _ => wit::Duration { seconds: 0, nanoseconds: 0 },
    }
}

/// Times before 1970, which no valid journal has, are 1970.
pub fn datetime_to_guest(time: &Timestamp) -> wit::Datetime {
    match (u64::try_from(time.seconds), u32::try_from(time.nanos)) {
        (Ok(seconds), Ok(nanoseconds)) if nanoseconds < NANOSECONDS_PER_SECOND => {
            wit::Datetime { seconds, nanoseconds }
        }
        _ => wit::Datetime { seconds: 0, nanoseconds: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_survives_the_way_there_and_back() {
        for (seconds, nanoseconds) in [(0, 0), (30, 1), (DURATION_SECONDS_MAX, 999_999_999)] {
            let guest = wit::Duration { seconds, nanoseconds };
            assert_eq!(duration_to_guest(&duration_to_proto(guest).unwrap()), guest);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for (seconds, nanoseconds) in [(DURATION_SECONDS_MAX + 1, 0), (u64::MAX, 0), (0, 1_000_000_000)] {
            assert!(duration_to_proto(wit::Duration { seconds, nanoseconds }).is_err());
        }
    }

    #[test]
    fn nonsense_in_the_journal_is_zero_and_no_panic() {
        assert_eq!(duration_to_guest(&Duration { seconds: -1, nanos: 0 }).seconds, 0);
        assert_eq!(datetime_to_guest(&Timestamp { seconds: 5, nanos: -1 }).seconds, 0);
    }
}
