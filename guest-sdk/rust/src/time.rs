//! The workflow's clock.

use std::time::{Duration, SystemTime};

use crate::{bindings::mainspring::workflow::types as wit, runtime::Runtime};

/// When this workflow task started, as the journal has it: the same in every replay, and standing still while the
/// workflow runs. `SystemTime::now()` reads the same clock.
pub fn now() -> SystemTime {
    Runtime::current().host().now()
}

pub(crate) fn duration_to_wit(duration: Duration) -> wit::Duration {
    wit::Duration { seconds: duration.as_secs(), nanoseconds: duration.subsec_nanos() }
}

/// A duration of the contract.
pub fn duration_from_wit(duration: wit::Duration) -> Duration {
    Duration::new(duration.seconds, duration.nanoseconds)
}

/// A time of the contract.
pub fn datetime_from_wit(datetime: wit::Datetime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(datetime.seconds, datetime.nanoseconds)
}

/// As search attributes have it: `2026-01-31T09:05:00.25Z`. The workflow's clock knows no time before 1970.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since_epoch.as_secs() / 86_400, since_epoch.as_secs() % 86_400);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut fraction = match since_epoch.subsec_nanos() {
        0 => String::new(),
        nanoseconds => format!(".{nanoseconds:09}"),
    };
    fraction.truncate(fraction.trim_end_matches('0').len());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The date so many days after 1970-01-01, by Howard Hinnant's algorithm: years are counted from March, so that the
/// leap day comes last.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_the_calendar_has_it() {
        let check = |seconds, nanoseconds, text: &str| {
            assert_eq!(rfc3339(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)), text);
        };
        check(0, 0, "1970-01-01T00:00:00Z");
        check(951_825_599, 0, "2000-02-29T11:59:59Z");
        check(1_767_225_600, 250_000_000, "2026-01-01T00:00:00.25Z");
        check(4_107_542_399, 1, "2100-02-28T23:59:59.000000001Z");
        check(4_107_542_400, 0, "2100-03-01T00:00:00Z");
    }
}
