//! What the SDK asks of the host. The one in a guest is [`WitHost`]; tests bring their own.

use std::time::{Duration, SystemTime};

use crate::{
    activity::ActivityOptions,
    bindings::mainspring::workflow as wit,
    info::{HistoryInfo, WorkflowInfo},
    log::Level,
    payload::Payload,
    time::{datetime_from_wit, duration_to_wit},
};

/// The number by which host and guest know an activity or a timer.
pub type Operation = u32;

pub(crate) trait Host {
    fn now(&self) -> SystemTime;
    fn random_bytes(&self, len: u32) -> Vec<u8>;
    fn start_timer(&self, after: Duration, summary: Option<&str>) -> Operation;
    fn cancel_timer(&self, timer: Operation);
    fn schedule_activity(&self, activity_type: &str, input: &[Payload], options: &ActivityOptions) -> Operation;
    fn cancel_activity(&self, activity: Operation);
    fn info(&self) -> WorkflowInfo;
    fn history(&self) -> HistoryInfo;
    fn log(&self, level: Level, message: &str, fields: &[(String, String)]);
}

/// The imports of `wit/`.
#[cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]
pub(crate) struct WitHost;

impl Host for WitHost {
    fn now(&self) -> SystemTime {
        datetime_from_wit(wit::time::now())
    }

    fn random_bytes(&self, len: u32) -> Vec<u8> {
        wit::random::get_bytes(len)
    }

    fn start_timer(&self, after: Duration, summary: Option<&str>) -> Operation {
        wit::timers::start(duration_to_wit(after), summary)
    }

    fn cancel_timer(&self, timer: Operation) {
        wit::timers::cancel(timer);
    }

    fn schedule_activity(&self, activity_type: &str, input: &[Payload], options: &ActivityOptions) -> Operation {
        wit::activities::schedule(activity_type, input, &options.to_wit())
    }

    fn cancel_activity(&self, activity: Operation) {
        wit::activities::cancel(activity);
    }

    fn info(&self) -> WorkflowInfo {
        WorkflowInfo::from_wit(wit::info::get())
    }

    fn history(&self) -> HistoryInfo {
        wit::info::history()
    }

    fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        wit::log::write(level, message, fields);
    }
}
