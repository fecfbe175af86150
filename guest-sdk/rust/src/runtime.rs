//! One run of a workflow: what it started, what it waits for, and how events reach it.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{
    activity::ActivityOptions,
    bindings::{Event, Status, mainspring::workflow::activation::Signal},
    cancellation::CancellationScope,
    error::WorkflowError,
    executor::{Executor, WaiterId, Waiters},
    failure::Failure,
    host::{Host, Operation},
    payload::Payload,
    workflow::WorkflowFuture,
};

thread_local! {
    /// The run of this instance. In tests: the run that is being driven on this thread.
    static CURRENT: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
}

pub(crate) struct Runtime {
    host: Box<dyn Host>,
    executor: Executor,
    operations: RefCell<BTreeMap<Operation, Pending>>,
    signals: RefCell<BTreeMap<String, Rc<SignalChannel>>>,
    pub(crate) conditions: Waiters,
    /// Conditions may have changed since they were last looked at.
    moved: Cell<bool>,
    /// Those who want to know when a scope is canceled.
    pub(crate) scope_waiters: Waiters,
    last_waiter: Cell<WaiterId>,
    root: CancellationScope,
    scope: RefCell<CancellationScope>,
    cancel_reason: RefCell<Option<String>>,
    outcome: RefCell<Option<Result<Payload, WorkflowError>>>,
    /// The run has ended: what is dropped from now on tells the host nothing.
    closed: Cell<bool>,
}

/// An operation from its start until its result has been taken.
struct Pending {
    kind: Kind,
    scope: CancellationScope,
    cancel_sent: bool,
    /// Nobody will ask for the result.
    abandoned: bool,
    waker: Option<Waker>,
    resolution: Option<Resolution>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Activity,
    Timer,
}

pub(crate) enum Resolution {
    Activity(Result<Vec<Payload>, Box<Failure>>),
    Fired,
    Canceled,
}

/// The signals of one name that nobody has taken yet, and those who wait for more.
#[derive(Default)]
pub(crate) struct SignalChannel {
    pub(crate) queue: RefCell<VecDeque<Vec<Payload>>>,
    pub(crate) waiters: Waiters,
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
            operations: RefCell::default(),
            signals: RefCell::default(),
            conditions: Waiters::default(),
            moved: Cell::new(true),
            scope_waiters: Waiters::default(),
            last_waiter: Cell::new(0),
            scope: RefCell::new(root.clone()),
            root,
            cancel_reason: RefCell::new(None),
            outcome: RefCell::new(None),
            closed: Cell::new(false),
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

    pub(crate) fn host(&self) -> &dyn Host {
        &*self.host
    }

    // The activation.

    /// Begins the run.
    pub(crate) fn start(self: &Rc<Self>, workflow: WorkflowFuture) -> Status {
        self.install();
        let runtime = Rc::downgrade(self);
        self.executor.spawn(Box::pin(async move {
            let outcome = workflow.await;
            if let Some(runtime) = runtime.upgrade() {
                runtime.outcome.replace(Some(outcome));
            }
        }));
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

    fn apply(&self, event: Event) {
        match event {
            Event::ActivityResolved((operation, result)) => {
                self.resolve(
                    operation,
                    Resolution::Activity(result.map_err(|links| Box::new(Failure::from_wit(links)))),
                );
            }
            Event::TimerFired(operation) => self.resolve(operation, Resolution::Fired),
            Event::SignalReceived(Signal { name, input, .. }) => {
                let channel = self.signal_channel(&name);
                channel.queue.borrow_mut().push_back(input);
                channel.waiters.wake_all();
            }
            Event::CancelRequested(reason) => {
                self.cancel_reason.replace(Some(reason));
                self.root.cancel();
                // Also those that are shielded want to know of the request.
                self.scope_waiters.wake_all();
            }
        }
    }

    /// Runs until nothing can move.
    fn run(&self) -> Status {
        loop {
            while self.executor.run_one() {
                if let Some(outcome) = self.outcome.take() {
                    return self.close(outcome);
                }
            }
            // Everybody is asleep; but what has run may have made conditions true, which wake nobody by themselves. Where
            // none was true the last time, nothing has run since, and to look again is useless.
            if !self.moved.take() || self.conditions.is_empty() {
                return Status::Blocked;
            }
            self.conditions.wake_all();
        }
    }

    fn close(&self, outcome: Result<Payload, WorkflowError>) -> Status {
        self.closed.set(true);
        match outcome {
            Ok(result) => Status::Completed(vec![result]),
            // As in Temporal: a cancellation ends the workflow as canceled only where somebody asked it to cancel.
            Err(error) if error.is_canceled() && self.cancel_reason.borrow().is_some() => {
                Status::Canceled(error.into_canceled_details())
            }
            Err(error) => Status::Failed(error.into_failure().into_wit()),
        }
    }

    // What futures do.

    pub(crate) fn spawn(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        self.executor.spawn(future);
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

    pub(crate) fn start_timer(&self, after: Duration, summary: Option<&str>) -> Operation {
        let timer = self.host.start_timer(after, summary);
        self.started(timer, Kind::Timer);
        timer
    }

    pub(crate) fn schedule_activity(&self, name: &str, input: &[Payload], options: &ActivityOptions) -> Operation {
        let activity = self.host.schedule_activity(name, input, options);
        self.started(activity, Kind::Activity);
        activity
    }

    fn started(&self, operation: Operation, kind: Kind) {
        let pending =
            Pending { kind, scope: self.scope(), cancel_sent: false, abandoned: false, waker: None, resolution: None };
        self.operations.borrow_mut().insert(operation, pending);
    }

    /// Takes the result of an operation, or registers who is to be woken by it.
    pub(crate) fn poll_operation(&self, operation: Operation, cx: &mut Context<'_>) -> Poll<Resolution> {
        let mut operations = self.operations.borrow_mut();
        let pending = operations.get_mut(&operation).expect("a future is not polled again after it is done");
        match pending.resolution.take() {
            Some(resolution) => {
                operations.remove(&operation);
                Poll::Ready(resolution)
            }
            None => {
                pending.waker = Some(cx.waker().clone());
                // It belongs where it is awaited, so that a handle can be given to `shielded` or `timeout`.
                pending.scope = self.scope();
                Poll::Pending
            }
        }
    }

    /// Nobody wants the result any more. A timer is canceled by that; an activity goes on.
    pub(crate) fn abandon(&self, operation: Operation) {
        let mut operations = self.operations.borrow_mut();
        let Some(pending) = operations.get_mut(&operation) else {
            return;
        };
        pending.abandoned = true;
        pending.waker = None;
        let cancel = pending.kind == Kind::Timer && pending.resolution.is_none();
        if cancel || pending.resolution.is_some() {
            operations.remove(&operation);
        }
        if cancel && !self.closed.get() {
            self.host.cancel_timer(operation);
        }
    }

    /// Asks the host to cancel an activity, once. Its resolution follows as an event.
    pub(crate) fn cancel_activity(&self, operation: Operation) {
        if let Some(pending) = self.operations.borrow_mut().get_mut(&operation)
            && pending.resolution.is_none()
            && !pending.cancel_sent
        {
            pending.cancel_sent = true;
            self.host.cancel_activity(operation);
        }
    }

    fn resolve(&self, operation: Operation, resolution: Resolution) {
        let mut operations = self.operations.borrow_mut();
        // A timer may fire in the very batch of events that cancels it: what came first stands.
        let Some(pending) = operations.get_mut(&operation).filter(|pending| pending.resolution.is_none()) else {
            return;
        };
        if pending.abandoned {
            operations.remove(&operation);
            return;
        }
        pending.resolution = Some(resolution);
        if let Some(waker) = pending.waker.take() {
            waker.wake();
        }
    }

    // Scopes.

    pub(crate) fn scope(&self) -> CancellationScope {
        self.scope.borrow().clone()
    }

    pub(crate) fn in_scope<R>(&self, scope: &CancellationScope, body: impl FnOnce() -> R) -> R {
        struct Restore<'a>(&'a RefCell<CancellationScope>, CancellationScope);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.replace(self.1.clone());
            }
        }
        let outer = self.scope.replace(scope.clone());
        let _restore = Restore(&self.scope, outer);
        body()
    }

    /// A scope was canceled: cancels its operations in the order of their start, and wakes whoever waits in one.
    pub(crate) fn scopes_changed(&self) {
        let canceled: Vec<_> = (self.operations.borrow().iter())
            .filter(|(_, pending)| pending.resolution.is_none() && pending.scope.is_canceled())
            .map(|(operation, pending)| (*operation, pending.kind))
            .collect();
        for (operation, kind) in canceled {
            match kind {
                Kind::Activity => self.cancel_activity(operation),
                Kind::Timer => {
                    self.host.cancel_timer(operation);
                    self.resolve(operation, Resolution::Canceled);
                }
            }
        }
        self.scope_waiters.wake_all();
    }

    pub(crate) fn cancel_reason(&self) -> Option<String> {
        self.cancel_reason.borrow().clone()
    }

    // Signals.

    pub(crate) fn signal_channel(&self, name: &str) -> Rc<SignalChannel> {
        let mut signals = self.signals.borrow_mut();
        if let Some(channel) = signals.get(name) {
            return channel.clone();
        }
        signals.entry(name.to_owned()).or_default().clone()
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
