//! Updates: messages that a workflow may refuse, that change it, and that it answers.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use serde::Serialize;

use crate::{
    bindings::mainspring::workflow::activation::Update,
    cancellation::CancellationScope,
    error::{WorkflowError, WorkflowResult},
    failure::ApplicationFailure,
    handler::{
        Args, Call, DynamicHandler, DynamicSyncHandler, Handler, HandlerFuture, SyncCall, SyncHandler, UnfinishedPolicy,
    },
    log::Level,
    query::assert_not_reserved,
    runtime::{ReadOnly, Runtime},
};

/// Handles the updates of this name: the client waits until the workflow has accepted the update, or has answered it.
///
/// The handler is a closure of up to six arguments, whose types are written out. It gives a value, or a `Result` of
/// one (in an async block, `WorkflowResult::Ok(…)` tells the compiler of which), whose error the client is answered
/// with; the workflow goes on either way. If it is async, it runs as a routine
/// beside the others, in a cancellation scope of its own: a request to cancel the workflow leaves it alone (see
/// [`canceled`](crate::canceled)). It ends with the workflow: see [`all_handlers_finished`].
///
/// A [validator](UpdateHandler::validator) may refuse an update before it becomes part of the history. Updates that
/// arrive before there is a handler wait until the workflow has nothing left to do in that activation, and are then
/// refused if there is still none.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # use std::{cell::Cell, rc::Rc};
/// # async fn example() -> WorkflowResult<()> {
/// let limit = Rc::new(Cell::new(100.0));
/// on_update("set_limit", {
///     let limit = limit.clone();
///     async move |new: f64| {
///         activity::<()>("tell_the_bank").arg(new).start_to_close_timeout(Duration::from_secs(10)).await?;
///         WorkflowResult::Ok(limit.replace(new)) // the client is given the old one
///     }
/// })
/// .validator(|new: f64| {
///     if new < 0.0 { Err(ApplicationFailure::new("BadLimit", "a limit is not negative")) } else { Ok(()) }
/// });
/// # Ok(()) }
/// ```
///
/// # Panics
/// Where the name begins with `__temporal`, which is kept for what is built in.
pub fn on_update<M>(name: impl Into<String>, handler: impl Handler<M>) -> UpdateHandler {
    let name = name.into();
    assert_not_reserved(&name);
    let runtime = Runtime::current();
    runtime.changes("register an update handler");
    let definition = Definition::new(handler.into_call());
    runtime.updates.named.borrow_mut().insert(name.clone(), definition.clone());
    runtime.begin_waiting_updates(|update| update.name == name);
    UpdateHandler { definition }
}

/// Handles the updates that have no handler of their own: the closure is given the name and the arguments. Its validator
/// must be a [dynamic one](UpdateHandler::dynamic_validator).
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// on_dynamic_update(async |name: String, args: Args| {
///     sleep(Duration::from_secs(1)).await?;
///     WorkflowResult::Ok(format!("{name} with {} arguments", args.len()))
/// });
/// ```
pub fn on_dynamic_update<M>(handler: impl DynamicHandler<M>) -> UpdateHandler {
    let runtime = Runtime::current();
    runtime.changes("register an update handler");
    let definition = Definition::new(handler.into_call());
    runtime.updates.dynamic.replace(Some(definition.clone()));
    runtime.begin_waiting_updates(|_| true);
    UpdateHandler { definition }
}

/// Whether no handler of a signal or an update is running. To be awaited before a workflow ends, so that every client
/// is answered:
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// wait_condition(all_handlers_finished).await?;
/// # Ok(()) }
/// ```
pub fn all_handlers_finished() -> bool {
    Runtime::current().updates.running.borrow().is_empty()
}

/// The update that the code is handling; none outside of a handler, and in what a handler spawns.
pub fn current_update() -> Option<UpdateInfo> {
    Runtime::current().updates.current.borrow().clone()
}

/// Which update it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateInfo {
    /// Given by the client; unique in the run.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// An update's handler, registered; for adding to it.
pub struct UpdateHandler {
    definition: Rc<Definition>,
}

impl UpdateHandler {
    /// Asks this closure first, which takes the same arguments: with an error it refuses the update, which then leaves
    /// no trace. It may read what it shares with the workflow, and change nothing.
    pub fn validator<M>(self, validator: impl SyncHandler<M>) -> Self {
        self.definition.validator.replace(Some(validator.into_sync_call()));
        self
    }

    /// The validator of a [dynamic handler](on_dynamic_update), which takes name and arguments.
    pub fn dynamic_validator<M>(self, validator: impl DynamicSyncHandler<M>) -> Self {
        self.definition.validator.replace(Some(validator.into_sync_call()));
        self
    }

    /// For people, shown by the UI.
    pub fn description(self, description: impl Into<String>) -> Self {
        self.definition.description.replace(description.into());
        self
    }

    /// Whether a warning is logged where the workflow ends while the handler is running.
    pub fn unfinished_policy(self, policy: UnfinishedPolicy) -> Self {
        self.definition.unfinished_policy.set(policy);
        self
    }
}

struct Definition {
    call: Call,
    validator: RefCell<Option<SyncCall>>,
    description: RefCell<String>,
    unfinished_policy: Rc<Cell<UnfinishedPolicy>>,
}

impl Definition {
    fn new(call: Call) -> Rc<Self> {
        Rc::new(Self {
            call,
            validator: RefCell::default(),
            description: RefCell::default(),
            unfinished_policy: Rc::default(),
        })
    }

    /// The handler, ready to run; or why the update is refused.
    fn check(&self, update: &Update) -> WorkflowResult<HandlerFuture> {
        let args = Args::new(update.input.clone());
        let unreadable = |error: crate::PayloadError| error.of(format_args!("update {}", update.name));
        let handler = (self.call)(&update.name, &args).map_err(unreadable)?;
        // Out of the cell first: nobody knows what a validator does.
        let validator = self.validator.borrow().clone();
        if let Some(validator) = validator.filter(|_| update.run_validator) {
            let runtime = Runtime::current();
            runtime.read_only(ReadOnly::Validator, || validator(&update.name, &args)).map_err(unreadable)??;
        }
        Ok(handler)
    }
}

/// The updates that a run handles.
#[derive(Default)]
pub(crate) struct Updates {
    named: RefCell<BTreeMap<String, Rc<Definition>>>,
    dynamic: RefCell<Option<Rc<Definition>>>,
    /// Those of this activation that have no handler yet.
    waiting: RefCell<Vec<Update>>,
    current: RefCell<Option<UpdateInfo>>,
    /// The handlers that have not finished, of signals too, by the order in which they began.
    running: RefCell<BTreeMap<u64, Running>>,
    last_running: Cell<u64>,
}

/// A handler that has not finished.
struct Running {
    name: String,
    /// None for a signal.
    update_id: Option<String>,
    unfinished_policy: Rc<Cell<UnfinishedPolicy>>,
}

impl Updates {
    /// Names and descriptions, sorted by name; that of the dynamic handler is empty.
    pub(crate) fn described(&self) -> Vec<(String, String)> {
        let named = self.named.borrow();
        let dynamic = self.dynamic.borrow();
        let dynamic = dynamic.iter().map(|it| (String::new(), it.description.borrow().clone()));
        dynamic.chain(named.iter().map(|(name, it)| (name.clone(), it.description.borrow().clone()))).collect()
    }

    fn definition(&self, name: &str) -> Option<Rc<Definition>> {
        let named = self.named.borrow().get(name).cloned();
        named.or_else(|| self.dynamic.borrow().clone())
    }
}

impl Runtime {
    pub(crate) fn update_requested(&self, update: Update) {
        match self.updates.definition(&update.name) {
            Some(definition) => self.begin_update(definition, update),
            None => self.updates.waiting.borrow_mut().push(update),
        }
    }

    /// A handler was registered. The updates begin when the routine that registers it waits, so that it can still be
    /// added to.
    fn begin_waiting_updates(&self, fits: impl Fn(&Update) -> bool) {
        let waiting = self.updates.waiting.take();
        for update in waiting {
            if fits(&update) {
                self.update_requested(update);
            } else {
                self.updates.waiting.borrow_mut().push(update);
            }
        }
    }

    fn begin_update(&self, definition: Rc<Definition>, update: Update) {
        let name = format!("handler of update {} (id {})", update.name, update.id);
        let running =
            self.handler_begins(update.name.clone(), Some(update.id.clone()), definition.unfinished_policy.clone());
        self.spawn(
            name,
            Box::pin(async move {
                handle(definition, update).await;
                Runtime::current().handler_finished(running);
            }),
        );
    }

    pub(crate) fn handler_begins(
        &self,
        name: String,
        update_id: Option<String>,
        unfinished_policy: Rc<Cell<UnfinishedPolicy>>,
    ) -> u64 {
        let id = self.updates.last_running.get() + 1;
        self.updates.last_running.set(id);
        self.updates.running.borrow_mut().insert(id, Running { name, update_id, unfinished_policy });
        id
    }

    pub(crate) fn handler_finished(&self, id: u64) {
        self.updates.running.borrow_mut().remove(&id);
    }

    /// Nothing can move any more: whoever wanted to register a handler has had the time for it.
    pub(crate) fn reject_updates_without_handler(&self) {
        for update in self.updates.waiting.take() {
            let known: Vec<_> = self.updates.named.borrow().keys().cloned().collect();
            let message = format!(
                "Update handler for '{}' expected but not found, and there is no dynamic handler. known updates: [{}]",
                update.name,
                known.join(" ")
            );
            let refusal: WorkflowError = ApplicationFailure::new("UpdateHandlerNotFound", message).into();
            refuse(self, &update, refusal);
        }
    }

    /// The run has ended.
    pub(crate) fn warn_of_unfinished_handlers(&self) {
        let running = self.updates.running.take();
        let mut updates = Vec::new();
        let mut signals = BTreeMap::<_, u32>::new();
        for it in running.values().filter(|it| it.unfinished_policy.get() == UnfinishedPolicy::WarnAndAbandon) {
            match &it.update_id {
                Some(id) => updates.push(UnfinishedUpdate { name: &it.name, id }),
                None => *signals.entry(it.name.as_str()).or_default() += 1,
            }
        }
        let signals: Vec<_> = signals.into_iter().map(|(name, count)| UnfinishedSignal { name, count }).collect();
        self.warn_of(UNFINISHED_UPDATES, &updates);
        self.warn_of(UNFINISHED_SIGNALS, &signals);
    }

    fn warn_of(&self, message: &str, unfinished: &[impl Serialize]) {
        if !unfinished.is_empty() {
            let list = serde_json::to_string(unfinished).unwrap_or_else(|error| error.to_string());
            self.host().log(Level::Warn, &format!("{message} {list}"), &[]);
        }
    }
}

#[derive(Serialize)]
struct UnfinishedUpdate<'a> {
    name: &'a str,
    id: &'a str,
}

#[derive(Serialize)]
struct UnfinishedSignal<'a> {
    name: &'a str,
    count: u32,
}

/// Temporal's words, with the names that things have here.
const UNFINISHED_UPDATES: &str = "[TMPRL1102] Workflow finished while update handlers are still running. This may have \
    interrupted work that the update handler was doing, and the client that sent the update will receive a 'workflow \
    execution already completed' RPCError instead of the update result. You can wait for all update and signal handlers \
    to complete by using `wait_condition(all_handlers_finished).await`. Alternatively, if both you and the clients \
    sending the update are okay with interrupting running handlers when the workflow finishes, and causing clients to \
    receive errors, then you can disable this warning where the handler is registered: \
    `.unfinished_policy(UnfinishedPolicy::Abandon)`. The following updates were unfinished (and warnings were not \
    disabled for their handler):";
const UNFINISHED_SIGNALS: &str = "[TMPRL1102] Workflow finished while signal handlers are still running. This may have \
    interrupted work that the signal handler was doing. You can wait for all update and signal handlers to complete by \
    using `wait_condition(all_handlers_finished).await`. Alternatively, if both you and the clients sending the signal \
    are okay with interrupting running handlers when the workflow finishes, then you can disable this warning where the \
    handler is registered: `.unfinished_policy(UnfinishedPolicy::Abandon)`. The following signals were unfinished (and \
    warnings were not disabled for their handler):";

/// The routine of an update: from the validator to the answer.
async fn handle(definition: Rc<Definition>, update: Update) {
    let runtime = Runtime::current();
    match definition.check(&update) {
        Err(refusal) => refuse(&runtime, &update, refusal),
        Ok(handler) => {
            runtime.host().accept_update(update.number);
            let info = UpdateInfo { id: update.id, name: update.name };
            let outcome = CancellationScope::shield().run(InUpdate { info, handler }).await;
            let outcome = outcome.map(|payload| vec![payload]).map_err(WorkflowError::into_failure);
            runtime.host().complete_update(update.number, outcome);
        }
    }
}

/// Refuses an update; but one that the journal has as accepted fails instead.
fn refuse(runtime: &Runtime, update: &Update, refusal: WorkflowError) {
    let failure = refusal.into_failure();
    if update.run_validator {
        runtime.host().reject_update(update.number, failure);
    } else {
        runtime.host().accept_update(update.number);
        runtime.host().complete_update(update.number, Err(failure));
    }
}

/// A handler, which can ask for the update that it handles.
struct InUpdate {
    info: UpdateInfo,
    handler: HandlerFuture,
}

impl Future for InUpdate {
    type Output = WorkflowResult<crate::Payload>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let runtime = Runtime::current();
        let outer = runtime.updates.current.replace(Some(self.info.clone()));
        let polled = self.handler.as_mut().poll(cx);
        runtime.updates.current.replace(outer);
        polled
    }
}
