//! Child workflows.
//!
//! | cancellation type | cancelled later than started | journal |
//! | --- | --- | --- |
//! | abandon | resolved at once | its end is ignored |
//! | try-cancel | `RequestCancelExternalWorkflowExecution`, resolved at once | its end is ignored |
//! | wait-cancellation-completed | the same command | its end resolves it |
//! | wait-cancellation-requested | the same command | the answer to the request resolves it |
//!
//! A child that has not begun yet is told as one that could not begin.

use mainspring_api::{
    command::{Command, RequestCancelExternalWorkflowExecutionCommandAttributes, command::Attributes},
    enums::CommandType,
};

use super::{Issued, Operation, Operations, command, external::External, wrong_kind};
use crate::{
    GuestLimits,
    bindings::{activation::Event, children::CancellationType, types as wit},
    convert::failure::canceled_child,
    host::Fault,
};

#[derive(Debug)]
pub(super) struct Child {
    command: usize,
    pub(super) initiated_event_id: Option<i64>,
    name: ChildName,
    cancellation: CancellationType,
    /// The run id, once it has begun.
    run_id: Option<String>,
    started_event_id: i64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    CancelRequested,
    /// The guest was told that it was canceled.
    ResolvedLocally,
}

/// What a child's failure says about the child.
#[derive(Debug, Clone)]
pub struct ChildName {
    pub namespace: String,
    pub workflow_id: String,
    pub workflow_type: String,
}

/// A child whose end, or whose failure to begin, the journal has just told.
#[derive(Debug)]
pub struct EndedChild {
    pub operation: u32,
    pub name: ChildName,
    pub run_id: String,
    pub started_event_id: i64,
    /// False where the guest has been told another end already.
    pub for_guest: bool,
}

impl Operations {
    pub fn start_child(
        &mut self,
        command: Command,
        name: ChildName,
        cancellation: CancellationType,
        limits: &GuestLimits,
    ) -> Result<u32, Fault> {
        self.start(command, limits, |command| {
            Operation::Child(Child {
                command,
                initiated_event_id: None,
                name,
                cancellation,
                run_id: None,
                started_event_id: 0,
                state: State::Open,
            })
        })
    }

    pub fn cancel_child(&mut self, number: u32, limits: &GuestLimits) -> Result<(), Fault> {
        let (command, cancellation) = match self.open.get(&number) {
            Some(Operation::Child(child)) if child.state == State::Open => (child.command, child.cancellation),
            // Asking again changes nothing.
            Some(Operation::Child(_)) => return Ok(()),
            Some(other) => return wrong_kind(number, other, "a child workflow"),
            None => return self.check_was_started(number),
        };
        if self.is_new(number) {
            let resolution = self.cancellation_of_child(number);
            self.resolved_locally.extend(resolution);
            self.withdraw(number, command);
            return Ok(());
        }
        if cancellation != CancellationType::Abandon {
            self.request_cancel_of_child(number, limits)?;
        }
        let waits = matches!(
            cancellation,
            CancellationType::WaitCancellationCompleted | CancellationType::WaitCancellationRequested
        );
        if !waits {
            let resolution = self.cancellation_of_child(number);
            self.resolved_locally.extend(resolution);
        }
        if let Some(Operation::Child(child)) = self.open.get_mut(&number) {
            child.state = if waits { State::CancelRequested } else { State::ResolvedLocally };
        }
        Ok(())
    }

    fn request_cancel_of_child(&mut self, child: u32, limits: &GuestLimits) -> Result<(), Fault> {
        let workflow_id = self.child_workflow_id(child)?;
        let run_id = match self.open.get(&child) {
            Some(Operation::Child(child)) => child.run_id.clone().unwrap_or_default(),
            _ => String::new(),
        };
        // The request is an operation of its own, which the guest does not know.
        let number = self.next_number()?;
        let attributes = RequestCancelExternalWorkflowExecutionCommandAttributes {
            workflow_id,
            run_id,
            child_workflow_only: true,
            ..Default::default()
        };
        let command = command(
            CommandType::RequestCancelExternalWorkflowExecution,
            Attributes::RequestCancelExternalWorkflowExecutionCommandAttributes(attributes),
            None,
        );
        self.issue(Issued { command, starts: Some(number), message: None }, limits)?;
        self.open.insert(number, Operation::External(External::CancelOfChild(child)));
        self.started = number;
        Ok(())
    }

    /// The workflow id of the child that this operation is, or was.
    pub fn child_workflow_id(&self, number: u32) -> Result<String, Fault> {
        match self.open.get(&number) {
            Some(Operation::Child(child)) => Ok(child.name.workflow_id.clone()),
            Some(other) => wrong_kind(number, other, "a child workflow"),
            None => match self.ended_children.get(&number) {
                Some(workflow_id) => Ok(workflow_id.clone()),
                None => Err(Fault::bad_call(format!("operation {number} is no child workflow that has begun"))),
            },
        }
    }

    /// The journal tells that a child began. None where no such child was started; then whether the guest is to know.
    pub fn child_started(&mut self, initiated_event_id: i64, run_id: &str, event_id: i64) -> Option<(u32, bool)> {
        let number = *self.by_event.get(&initiated_event_id)?;
        match self.open.get_mut(&number) {
            Some(Operation::Child(child)) if child.run_id.is_none() => {
                child.run_id = Some(run_id.to_owned());
                child.started_event_id = event_id;
                Some((number, child.state != State::ResolvedLocally))
            }
            _ => None,
        }
    }

    /// The journal tells that a child ended, or (`begun` is false) could not begin. None where no such child is open.
    pub fn child_ended(&mut self, initiated_event_id: i64, begun: bool) -> Option<EndedChild> {
        let number = *self.by_event.get(&initiated_event_id)?;
        match self.open.get(&number) {
            Some(Operation::Child(child)) if child.run_id.is_some() == begun => {}
            _ => return None,
        }
        let (operation, Operation::Child(child)) = self.remove_by_event(initiated_event_id)? else { return None };
        if begun {
            self.ended_children.insert(operation, child.name.workflow_id.clone());
        }
        Some(EndedChild {
            operation,
            name: child.name,
            run_id: child.run_id.unwrap_or_default(),
            started_event_id: child.started_event_id,
            for_guest: child.state != State::ResolvedLocally,
        })
    }

    /// The request to cancel this child has been answered: what the guest is to be told, if it waits for that.
    pub(super) fn child_was_asked(&mut self, number: u32) -> Option<Event> {
        let waits = match self.open.get(&number) {
            Some(Operation::Child(child)) => {
                child.state == State::CancelRequested
                    && child.cancellation == CancellationType::WaitCancellationRequested
            }
            _ => false,
        };
        let resolution = waits.then(|| self.cancellation_of_child(number)).flatten();
        if let (true, Some(Operation::Child(child))) = (waits, self.open.get_mut(&number)) {
            child.state = State::ResolvedLocally;
        }
        resolution
    }

    fn cancellation_of_child(&self, number: u32) -> Option<Event> {
        let Some(Operation::Child(child)) = self.open.get(&number) else { return None };
        let id = |id: i64| u64::try_from(id).unwrap_or(0);
        let failure = canceled_child(wit::ChildWorkflowFailure {
            namespace: child.name.namespace.clone(),
            workflow_id: child.name.workflow_id.clone(),
            run_id: child.run_id.clone().unwrap_or_default(),
            workflow_type: child.name.workflow_type.clone(),
            initiated_event_id: id(child.initiated_event_id.unwrap_or(0)),
            started_event_id: id(child.started_event_id),
            retry_state: wit::RetryState::CancelRequested,
        });
        Some(match child.run_id {
            Some(_) => Event::ChildResolved((number, Err(failure))),
            None => Event::ChildStarted((number, Err(failure))),
        })
    }
}
