//! What the workflow has started and can await: from its start until its result has been taken.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    panic::Location,
    task::{Context, Poll, Waker},
};

use crate::{
    cancellation::CancellationScope,
    executor::TaskId,
    failure::Failure,
    host::{Host, Operation},
    payload::Payload,
    runtime::Runtime,
};

/// The operations that are open, and those whose results nobody has taken yet.
#[derive(Default)]
pub(crate) struct Operations {
    pending: RefCell<BTreeMap<Operation, Pending>>,
}

struct Pending {
    kind: Kind,
    scope: CancellationScope,
    cancel_sent: bool,
    /// Nobody will ask for the result.
    abandoned: bool,
    /// The routine that awaits it, and how to wake it.
    waiter: Option<(TaskId, Waker)>,
    /// The run id of a child that has begun, or why it could not begin.
    begun: Option<Result<String, Box<Failure>>>,
    resolution: Option<Resolution>,
    description: Description,
}

/// What it is, for `__stack_trace`.
pub(crate) struct Description {
    pub(crate) what: String,
    pub(crate) at: &'static Location<'static>,
}

impl Description {
    pub(crate) fn new(what: String, at: &'static Location<'static>) -> Self {
        Self { what, at }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Activity,
    Timer,
    Child,
    Signal,
    /// A request to cancel another workflow, which cannot be taken back.
    CancelRequest,
}

pub(crate) enum Resolution {
    /// An activity's or a child's.
    Outcome(Result<Vec<Payload>, Box<Failure>>),
    /// A message to another workflow was delivered, or could not be.
    Delivered(Result<(), Box<Failure>>),
    Fired,
    Canceled,
}

impl Runtime {
    /// Starts an operation. Where the run has ended the host is not asked, and the operation never resolves.
    pub(crate) fn start_operation(
        &self,
        kind: Kind,
        description: Description,
        start: impl FnOnce(&dyn Host) -> Operation,
    ) -> Operation {
        let action = match kind {
            Kind::Activity => "schedule an activity",
            Kind::Timer => "start a timer",
            Kind::Child => "start a child workflow",
            Kind::Signal => "signal a workflow",
            Kind::CancelRequest => "cancel a workflow",
        };
        let mut operation = None;
        self.command(action, |host| operation = Some(start(host)));
        let mut pending = self.operations.pending.borrow_mut();
        // From the other end: the host counts up.
        let operation = operation.or_else(|| (1..=Operation::MAX).rev().find(|number| !pending.contains_key(number)));
        let operation = operation.expect("so many operations have no place in memory");
        pending.insert(
            operation,
            Pending {
                kind,
                scope: self.scope(),
                cancel_sent: false,
                abandoned: false,
                waiter: None,
                begun: None,
                resolution: None,
                description,
            },
        );
        operation
    }

    /// Takes the result of an operation, or registers who is to be woken by it.
    pub(crate) fn poll_operation(&self, operation: Operation, cx: &mut Context<'_>) -> Poll<Resolution> {
        let mut operations = self.operations.pending.borrow_mut();
        let pending = operations.get_mut(&operation).expect("a future is not polled again after it is done");
        match pending.resolution.take() {
            Some(resolution) => {
                operations.remove(&operation);
                Poll::Ready(resolution)
            }
            None => {
                self.await_operation(pending, cx);
                Poll::Pending
            }
        }
    }

    /// The run id of a child once it has begun, or why it could not begin.
    pub(crate) fn poll_child_start(
        &self,
        child: Operation,
        cx: &mut Context<'_>,
    ) -> Poll<Result<String, Box<Failure>>> {
        let mut operations = self.operations.pending.borrow_mut();
        let pending = operations.get_mut(&child).expect("a future is not polled again after it is done");
        match &pending.begun {
            Some(Ok(run_id)) => Poll::Ready(Ok(run_id.clone())),
            Some(Err(failure)) => {
                let failure = failure.clone();
                operations.remove(&child);
                Poll::Ready(Err(failure))
            }
            None => {
                self.await_operation(pending, cx);
                Poll::Pending
            }
        }
    }

    fn await_operation(&self, pending: &mut Pending, cx: &mut Context<'_>) {
        pending.waiter = Some((self.current_task(), cx.waker().clone()));
        // It belongs where it is awaited, so that a handle can be given to `shielded` or `timeout`.
        pending.scope = self.scope();
    }

    /// Nobody wants the result any more. A timer is canceled by that; all else goes on.
    pub(crate) fn abandon(&self, operation: Operation) {
        let mut operations = self.operations.pending.borrow_mut();
        let Some(pending) = operations.get_mut(&operation) else {
            return;
        };
        pending.abandoned = true;
        pending.waiter = None;
        let cancel = pending.kind == Kind::Timer && pending.resolution.is_none();
        if cancel || pending.resolution.is_some() {
            operations.remove(&operation);
        }
        drop(operations);
        if cancel {
            self.command("cancel a timer", |host| host.cancel_timer(operation));
        }
    }

    /// Asks the host to cancel an activity, a child or a signal, once. Its resolution follows as an event.
    pub(crate) fn cancel_operation(&self, operation: Operation) {
        let mut operations = self.operations.pending.borrow_mut();
        let Some(pending) = operations.get_mut(&operation) else {
            return;
        };
        if pending.resolution.is_some() || pending.cancel_sent {
            return;
        }
        pending.cancel_sent = true;
        let kind = pending.kind;
        drop(operations);
        match kind {
            Kind::Activity => self.command("cancel an activity", |host| host.cancel_activity(operation)),
            Kind::Child => self.command("cancel a child workflow", |host| host.cancel_child(operation)),
            Kind::Signal => self.command("take back a signal", |host| host.cancel_signal(operation)),
            Kind::Timer => {
                self.command("cancel a timer", |host| host.cancel_timer(operation));
                self.resolve(operation, Resolution::Canceled);
            }
            Kind::CancelRequest => {}
        }
    }

    /// A child has begun, or could not begin; then that is its resolution too.
    pub(crate) fn child_begun(&self, child: Operation, begun: Result<String, Box<Failure>>) {
        if let Some(pending) = self.operations.pending.borrow_mut().get_mut(&child) {
            pending.begun = Some(begun.clone());
            if let Some((_, waker)) = &pending.waiter {
                waker.wake_by_ref();
            }
        }
        if let Err(failure) = begun {
            self.resolve(child, Resolution::Outcome(Err(failure)));
        }
    }

    pub(crate) fn resolve(&self, operation: Operation, resolution: Resolution) {
        let mut operations = self.operations.pending.borrow_mut();
        // A timer may fire in the very batch of events that cancels it: what came first stands.
        let Some(pending) = operations.get_mut(&operation).filter(|pending| pending.resolution.is_none()) else {
            return;
        };
        if pending.abandoned {
            operations.remove(&operation);
            return;
        }
        // Whoever waits for the beginning of a child is answered as well, should the host have skipped it.
        if let (Resolution::Outcome(Err(failure)), None) = (&resolution, &pending.begun) {
            pending.begun = Some(Err(failure.clone()));
        }
        pending.resolution = Some(resolution);
        if let Some((_, waker)) = pending.waiter.take() {
            waker.wake();
        }
    }

    /// A scope was canceled: cancels its operations in the order of their start.
    pub(crate) fn cancel_operations_of_canceled_scopes(&self) {
        let canceled: Vec<_> = (self.operations.pending.borrow().iter())
            .filter(|(_, pending)| pending.resolution.is_none() && pending.scope.is_canceled())
            .map(|(operation, _)| *operation)
            .collect();
        canceled.into_iter().for_each(|operation| self.cancel_operation(operation));
    }

    /// What the task waits for, as far as operations go.
    pub(crate) fn operations_awaited_by(&self, task: TaskId) -> Vec<String> {
        (self.operations.pending.borrow().iter())
            .filter(|(_, pending)| pending.waiter.as_ref().is_some_and(|(waiter, _)| *waiter == task))
            .map(|(operation, pending)| {
                let Description { what, at } = &pending.description;
                format!("{what} (operation {operation}) at {at}")
            })
            .collect()
    }
}
