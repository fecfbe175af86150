//! What a workflow asks the server for.

use std::time::Duration;

use crate::{
    activity::ActivityOptions, child::ChildWorkflowOptions, failure::Failure, host::Operation, payload::Payload,
};

pub use crate::external::Target;

/// What the workflow asked the server for, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// It wants an activity run.
    ScheduleActivity {
        /// The number to complete it by.
        operation: Operation,
        /// Its name.
        activity_type: String,
        /// Its arguments.
        input: Vec<Payload>,
        /// All its options.
        options: Box<ActivityOptions>,
    },
    /// It wants an activity canceled.
    CancelActivity(Operation),
    /// It wants to be woken.
    StartTimer {
        /// The number to fire it by.
        operation: Operation,
        /// How far from then.
        after: Duration,
        /// The line for people.
        summary: Option<String>,
    },
    /// It no longer wants to be woken.
    CancelTimer(Operation),
    /// It wants a child workflow run.
    StartChild {
        /// The number to begin and to complete it by.
        operation: Operation,
        /// Its type.
        workflow_type: String,
        /// Its arguments.
        input: Vec<Payload>,
        /// All its options; the workflow id is always set.
        options: Box<ChildWorkflowOptions>,
    },
    /// It wants a child canceled.
    CancelChild(Operation),
    /// It wants another workflow to have a signal.
    SignalWorkflow {
        /// The number to deliver it by.
        operation: Operation,
        /// Whom.
        target: Target,
        /// The signal's name.
        name: String,
        /// Its arguments.
        input: Vec<Payload>,
        /// For the receiver's interceptors.
        header: Vec<(String, Payload)>,
    },
    /// It wants a signal back that has not been delivered.
    CancelSignal(Operation),
    /// It wants another workflow to cancel.
    RequestCancel {
        /// The number to deliver it by.
        operation: Operation,
        /// Whom.
        workflow_id: String,
        /// Empty for the latest run.
        run_id: String,
        /// What the other one is told.
        reason: String,
    },
    /// It takes an update.
    AcceptUpdate(u32),
    /// It refuses an update.
    RejectUpdate(u32, Box<Failure>),
    /// It answers an update.
    CompleteUpdate(u32, Result<Vec<Payload>, Box<Failure>>),
    /// It changes its memo.
    UpsertMemo(Vec<(String, Option<Payload>)>),
    /// It changes its search attributes.
    UpsertSearchAttributes(Vec<(String, Option<Payload>)>),
    /// It takes the new path of a change for the first time, or has only that.
    Patch {
        /// The change.
        id: String,
        /// The old path is gone.
        deprecated: bool,
    },
    /// It leaves a fact in the history.
    RecordMarker {
        /// The marker's name.
        name: String,
        /// What it says.
        details: Vec<(String, Vec<Payload>)>,
        /// What went wrong.
        failure: Option<Box<Failure>>,
    },
}
