//! What the SDK asks of the host. The one in a guest is [`WitHost`]; tests bring their own.

use std::time::{Duration, SystemTime};

use crate::{
    activity::ActivityOptions,
    bindings::mainspring::workflow as wit,
    child::ChildWorkflowOptions,
    external::Target,
    failure::Failure,
    info::{HistoryInfo, WorkflowInfo},
    log::Level,
    payload::Payload,
    time::{datetime_from_wit, duration_to_wit},
};

/// The number by which host and guest know what the workflow has started: an activity, a timer, a child, a message.
pub type Operation = u32;

pub(crate) trait Host {
    fn now(&self) -> SystemTime;
    fn random_bytes(&self, len: u32) -> Vec<u8>;
    fn start_timer(&self, after: Duration, summary: Option<&str>) -> Operation;
    fn cancel_timer(&self, timer: Operation);
    fn schedule_activity(&self, activity_type: &str, input: &[Payload], options: &ActivityOptions) -> Operation;
    fn cancel_activity(&self, activity: Operation);
    fn start_child(&self, workflow_type: &str, input: &[Payload], options: &ChildWorkflowOptions) -> Operation;
    fn cancel_child(&self, child: Operation);
    fn signal_workflow(
        &self,
        target: &Target,
        name: &str,
        input: &[Payload],
        header: &[(String, Payload)],
    ) -> Operation;
    fn cancel_signal(&self, signal: Operation);
    fn request_cancel(&self, workflow_id: &str, run_id: &str, reason: &str) -> Operation;
    fn accept_update(&self, update: u32);
    fn reject_update(&self, update: u32, reason: Failure);
    fn complete_update(&self, update: u32, outcome: Result<Vec<Payload>, Failure>);
    fn upsert_memo(&self, fields: &[(String, Option<Payload>)]);
    fn upsert_search_attributes(&self, fields: &[(String, Option<Payload>)]);
    fn patched(&self, id: &str) -> bool;
    fn deprecate_patch(&self, id: &str);
    fn record_marker(&self, name: &str, details: &[(String, Vec<Payload>)], failure: Option<&Failure>);
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

    fn start_child(&self, workflow_type: &str, input: &[Payload], options: &ChildWorkflowOptions) -> Operation {
        wit::children::start(workflow_type, input, &options.to_wit())
    }

    fn cancel_child(&self, child: Operation) {
        wit::children::cancel(child);
    }

    fn signal_workflow(
        &self,
        target: &Target,
        name: &str,
        input: &[Payload],
        header: &[(String, Payload)],
    ) -> Operation {
        wit::external::signal(target, name, input, header)
    }

    fn cancel_signal(&self, signal: Operation) {
        wit::external::cancel_signal(signal);
    }

    fn request_cancel(&self, workflow_id: &str, run_id: &str, reason: &str) -> Operation {
        wit::external::request_cancel(workflow_id, run_id, reason)
    }

    fn accept_update(&self, update: u32) {
        wit::updates::accept(update);
    }

    fn reject_update(&self, update: u32, reason: Failure) {
        wit::updates::reject(update, &reason.into_wit());
    }

    fn complete_update(&self, update: u32, outcome: Result<Vec<Payload>, Failure>) {
        let outcome = outcome.map_err(Failure::into_wit);
        wit::updates::complete(update, outcome.as_deref().map_err(Vec::as_slice));
    }

    fn upsert_memo(&self, fields: &[(String, Option<Payload>)]) {
        wit::attributes::upsert_memo(fields);
    }

    fn upsert_search_attributes(&self, fields: &[(String, Option<Payload>)]) {
        wit::attributes::upsert_search_attributes(fields);
    }

    fn patched(&self, id: &str) -> bool {
        wit::versioning::patched(id)
    }

    fn deprecate_patch(&self, id: &str) {
        wit::versioning::deprecate_patch(id);
    }

    fn record_marker(&self, name: &str, details: &[(String, Vec<Payload>)], failure: Option<&Failure>) {
        let failure = failure.map(|failure| failure.clone().into_wit());
        wit::markers::record_marker(name, details, failure.as_deref());
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
