//! One run of a workflow: how events reach it, and how it runs until nothing can move.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::Waker,
};

use crate::{
    attributes::Upserted,
    bindings::{Event, Status},
    cancellation::CancellationScope,
    error::WorkflowError,
    executor::{Executor, TaskId, WaiterId, Waiters},
    failure::Failure,
    host::Host,
    local_activity::LocalActivities,
    operation::{Operations, Resolution},
    payload::Payload,
    query::Queries,
    signal::Signaled,
    update::Updates,
    workflow::WorkflowFuture,
};

thread_local! {
    /// The run of this instance. In tests: the run that is being driven on this thread.
    static CURRENT: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
}

pub(crate) struct Runtime {
    host: Box<dyn Host>,
    executor: Executor,
    pub(crate) operations: Operations,
    pub(crate) signaled: Signaled,
    pub(crate) queries: Queries,
    pub(crate) updates: Updates,
    pub(crate) local_activities: LocalActivities,
    pub(crate) upserted: Upserted,
    pub(crate) current_details: RefCell<String>,
    pub(crate) conditions: Waiters,
    /// Conditions may have changed since they were last looked at.
    moved: Cell<bool>,
    /// All that waits for something other than an operation, and wants to know when a scope is canceled.
    waits: RefCell<BTreeMap<WaiterId, Wait>>,
    last_waiter: Cell<WaiterId>,
    root: CancellationScope,
    scope: RefCell<CancellationScope>,
    cancel_reason: RefCell<Option<String>>,
    outcome: RefCell<Option<Result<Payload, WorkflowError>>>,
    /// The run has ended: what moves or is dropped from now on tells the host nothing, answers to updates apart.
    closed: Cell<bool>,
    /// Set while code runs that may change nothing.
    read_only: Cell<Option<ReadOnly>>,
}

/// A wait for something other than an operation.
struct Wait {
    task: TaskId,
    what: String,
    waker: Waker,
}

/// While it lives, code runs in another scope.
pub(crate) struct InScope<'a> {
    current: &'a RefCell<CancellationScope>,
    outer: CancellationScope,
}

impl Drop for InScope<'_> {
    fn drop(&mut self) {
        self.current.replace(self.outer.clone());
    }
}

/// Code that may change nothing, as nobody could repeat it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum ReadOnly {
    Query,
    Validator,
    SideEffect,
}

impl ReadOnly {
    fn name(self) -> &'static str {
        match self {
            ReadOnly::Query => "a query handler",
            ReadOnly::Validator => "an update validator",
            ReadOnly::SideEffect => "a side effect",
        }
    }
}

/// Does something with the run if there is one: for destructors, which may outlive it in tests.
pub(crate) fn with_current(body: impl FnOnce(&Runtime)) {
    let current = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
    if let Some(runtime) = current {
        body(&runtime);
    }
}

impl Runtime {
    pub(crate) fn new(host: Box<dyn Host>) -> Rc<Self> {
        let root = CancellationScope::shield();
        Rc::new(Self {
            host,
            executor: Executor::default(),
            operations: Operations::default(),
            signaled: Signaled::default(),
            queries: Queries::default(),
            updates: Updates::default(),
            local_activities: LocalActivities::default(),
            upserted: Upserted::default(),
            current_details: RefCell::default(),
            conditions: Waiters::default(),
            moved: Cell::new(true),
            waits: RefCell::default(),
            last_waiter: Cell::new(0),
            scope: RefCell::new(root.clone()),
            root,
            cancel_reason: RefCell::new(None),
            outcome: RefCell::new(None),
            closed: Cell::new(false),
            read_only: Cell::new(None),
        })
    }

    /// The run that is going on.
    ///
    /// # Panics
    /// Where there is none: a workflow's functions work only inside a workflow.
    pub(crate) fn current() -> Rc<Self> {
        CURRENT
            .with_borrow(Clone::clone)
            .expect("this function works only inside a workflow (in tests: inside `testing::TestRun`)")
    }

    /// Makes this the run of the instance.
    pub(crate) fn install(self: &Rc<Self>) {
        CURRENT.set(Some(self.clone()));
    }

    /// For what the host only tells. What changes something goes through [`command`](Self::command).
    pub(crate) fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// Tells the host to do something, unless the run has ended: then there is nobody to do it for.
    ///
    /// # Panics
    /// In a query handler, a validator or a side effect, which may change nothing.
    pub(crate) fn command(&self, action: &str, command: impl FnOnce(&dyn Host)) {
        self.changes(action);
        if !self.closed.get() {
            command(&*self.host);
        }
    }

    /// Checks that something may change now.
    ///
    /// # Panics
    /// In a query handler, a validator or a side effect.
    pub(crate) fn changes(&self, action: &str) {
        if let Some(read_only) = self.read_only.get() {
            panic!("{} tried to {action}: it may only read, and change nothing", read_only.name());
        }
    }

    /// Runs code that may change nothing.
    pub(crate) fn read_only<R>(&self, what: ReadOnly, body: impl FnOnce() -> R) -> R {
        struct Restore<'a>(&'a Cell<Option<ReadOnly>>, Option<ReadOnly>);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        let _restore = Restore(&self.read_only, self.read_only.replace(Some(what)));
        body()
    }

    /// Checks that random numbers may be drawn, which moves the journal's stream.
    ///
    /// # Panics
    /// In a query handler or a validator, which a replay does not repeat. A side effect is repeated.
    pub(crate) fn draws(&self) {
        if self.read_only.get() != Some(ReadOnly::SideEffect) {
            self.changes("draw a random number");
        }
    }

    // The activation.

    /// Begins the run.
    pub(crate) fn start(self: &Rc<Self>, workflow: WorkflowFuture) -> Status {
        self.install();
        let runtime = Rc::downgrade(self);
        let main = async move {
            let outcome = workflow.await;
            if let Some(runtime) = runtime.upgrade() {
                runtime.finish(outcome);
            }
        };
        self.executor.spawn("main routine".into(), Box::pin(main));
        self.run()
    }

    /// Applies events in their order, then goes on.
    pub(crate) fn resume(self: &Rc<Self>, events: Vec<Event>) -> Status {
        self.install();
        for event in events {
            self.apply(event);
        }
        self.moved.set(true);
        self.run()
    }

    fn apply(self: &Rc<Self>, event: Event) {
        match event {
            Event::ActivityResolved((operation, result)) | Event::ChildResolved((operation, result)) => {
                self.resolve(operation, Resolution::Outcome(result.map_err(boxed_failure)));
            }
            Event::TimerFired(operation) => self.resolve(operation, Resolution::Fired),
            Event::ChildStarted((operation, begun)) => self.child_begun(operation, begun.map_err(boxed_failure)),
            Event::ExternalResolved((operation, failure)) => {
                let delivered = failure.map_or(Ok(()), |links| Err(boxed_failure(links)));
                self.resolve(operation, Resolution::Delivered(delivered));
            }
            Event::SignalReceived(signal) => self.signal_received(signal.name, signal.input),
            Event::UpdateRequested(update) => self.update_requested(update),
            Event::CancelRequested(reason) => {
                self.cancel_reason.replace(Some(reason));
                self.root.cancel();
                // Also those that are shielded want to know of the request.
                self.wake_waits();
            }
        }
    }

    /// Runs until nothing can move. Also after the main routine has ended: what was woken by the same events may still
    /// answer an update; whatever else it asks for then is left unsaid.
    fn run(&self) -> Status {
        loop {
            while self.executor.run_one() {}
            // Everybody is asleep; but what has run may have made conditions true, which wake nobody by themselves. Where
            // none was true the last time, nothing has run since, and to look again is useless.
            if !self.moved.take() || self.conditions.is_empty() {
                break;
            }
            self.conditions.wake_all();
        }
        self.reject_updates_without_handler();
        match self.outcome.take() {
            Some(outcome) => self.close(outcome),
            None => Status::Blocked,
        }
    }

    /// The run ends with this, unless it has ended already.
    pub(crate) fn finish(&self, outcome: Result<Payload, WorkflowError>) {
        if !self.closed.replace(true) {
            self.outcome.replace(Some(outcome));
        }
    }

    fn close(&self, outcome: Result<Payload, WorkflowError>) -> Status {
        self.warn_of_unfinished_handlers();
        let error = match outcome {
            Ok(result) => return Status::Completed(vec![result]),
            Err(error) => error,
        };
        match error.into_continuation() {
            Ok(continuation) => Status::ContinuedAsNew(continuation),
            // As in Temporal: a cancellation ends the workflow as canceled only where somebody asked it to cancel.
            Err(error) if error.is_canceled() && self.cancel_reason.borrow().is_some() => {
                Status::Canceled(error.into_canceled_details())
            }
            Err(error) => Status::Failed(error.into_failure().into_wit()),
        }
    }

    // What futures do.

    /// Runs the future as a routine of its own, with a name for people.
    pub(crate) fn spawn(&self, name: String, future: Pin<Box<dyn Future<Output = ()>>>) {
        self.executor.spawn(name, future);
    }

    /// A condition was true: what its routine does now may make others true.
    pub(crate) fn condition_met(&self) {
        self.moved.set(true);
    }

    pub(crate) fn new_waiter(&self) -> WaiterId {
        let id = self.last_waiter.get() + 1;
        self.last_waiter.set(id);
        id
    }

    pub(crate) fn current_task(&self) -> TaskId {
        self.executor.current()
    }

    /// The routine that runs now waits: wakes it when a scope is canceled, until [`forget_wait`](Self::forget_wait).
    pub(crate) fn wait(&self, id: WaiterId, waker: &Waker, what: impl FnOnce() -> String) {
        let task = self.current_task();
        let mut waits = self.waits.borrow_mut();
        match waits.get_mut(&id) {
            Some(wait) => {
                wait.task = task;
                wait.waker.clone_from(waker);
            }
            None => {
                waits.insert(id, Wait { task, what: what(), waker: waker.clone() });
            }
        }
    }

    pub(crate) fn forget_wait(&self, id: WaiterId) {
        self.waits.borrow_mut().remove(&id);
    }

    fn wake_waits(&self) {
        // Cloned, because what is woken may come back here to register again.
        let wakers: Vec<_> = self.waits.borrow().values().map(|wait| wait.waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// What each routine waits for, for people.
    pub(crate) fn stack_trace(&self) -> String {
        let mut text = String::new();
        for (task, name) in self.executor.tasks() {
            let mut awaited = self.operations_awaited_by(task);
            let waits = self.waits.borrow();
            awaited.extend(waits.values().filter(|wait| wait.task == task).map(|wait| wait.what.clone()));
            if awaited.is_empty() {
                awaited.push("another routine".into());
            }
            text.push_str(&format!("{name} waits for\n"));
            awaited.iter().for_each(|what| text.push_str(&format!("    {what}\n")));
        }
        text
    }

    // Scopes.

    pub(crate) fn scope(&self) -> CancellationScope {
        self.scope.borrow().clone()
    }

    /// What runs until this is dropped runs in the scope. (No closure: it would hide who called.)
    pub(crate) fn enter_scope(&self, scope: &CancellationScope) -> InScope<'_> {
        InScope { current: &self.scope, outer: self.scope.replace(scope.clone()) }
    }

    /// A scope was canceled: cancels its operations in the order of their start, and wakes whoever waits in one.
    pub(crate) fn scopes_changed(&self) {
        self.cancel_operations_of_canceled_scopes();
        self.wake_waits();
    }

    pub(crate) fn cancel_reason(&self) -> Option<String> {
        self.cancel_reason.borrow().clone()
    }

    /// Ends the run without a word to the host.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn abort(self: &Rc<Self>) {
        self.install();
        self.closed.set(true);
        self.executor.clear();
        CURRENT.set(None);
    }
}

fn boxed_failure(links: Vec<crate::bindings::mainspring::workflow::types::FailureLink>) -> Box<Failure> {
    Box::new(Failure::from_wit(links))
}
