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

pub(crate) fn duration_from_wit(duration: wit::Duration) -> Duration {
    Duration::new(duration.seconds, duration.nanoseconds)
}

pub(crate) fn datetime_from_wit(datetime: wit::Datetime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(datetime.seconds, datetime.nanoseconds)
}
