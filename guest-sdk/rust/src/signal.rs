//! Signals: messages to a running workflow, as a stream that it reads or for handlers that it registers.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::Future,
    marker::PhantomData,
    panic::Location,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use crate::{
    cancellation::CancellationScope,
    error::Canceled,
    executor::{WaiterId, Waiters},
    handler::{Args, Call, DynamicHandler, FromArgs, Handler, UnfinishedPolicy},
    log::{Level, write},
    payload::{Payload, PayloadError},
    query::assert_not_reserved,
    runtime::{Runtime, with_current},
};

/// The signals of this name, as a stream in the order of their arrival. Those that arrived before anybody asked are
/// kept. Where several streams have the same name, each signal goes to one of them; where there is a
/// [handler](on_signal) of that name, it takes them all.
///
/// `T` is the type of a signal's first argument, or [`Args`] for all of them. One that cannot be read as `T` is
/// logged as a warning and left out, as in Temporal's SDKs: whoever sends rubbish must not be able to stop the workflow.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// let mut approvals = signals::<String>("approve");
/// for _ in 0..2 {
///     info!("approved by {}", approvals.next().await?);
/// }
/// # Ok(()) }
/// ```
pub fn signals<T: FromArgs>(name: impl Into<String>) -> Signals<T> {
    let (runtime, name) = (Runtime::current(), name.into());
    runtime.changes("listen to signals");
    let channel = runtime.signaled.channel(&name);
    channel.listened.set(true);
    Signals { channel, name, id: runtime.new_waiter(), item: PhantomData }
}

/// A stream of signals: see [`signals`].
pub struct Signals<T> {
    name: String,
    channel: Rc<Channel>,
    id: WaiterId,
    item: PhantomData<fn() -> T>,
}

impl<T: FromArgs> Signals<T> {
    /// The next signal; [`Canceled`] once the scope is canceled and no signal is left. Dropping the future loses
    /// nothing.
    #[expect(clippy::should_implement_trait, reason = "the name that every async stream has")]
    #[track_caller]
    pub fn next(&mut self) -> Next<'_, T> {
        Next { signals: self, at: Location::caller() }
    }

    /// A signal that is there already.
    pub fn try_next(&mut self) -> Option<T> {
        Runtime::current().changes("take a signal");
        loop {
            let received = self.channel.queue.borrow_mut().pop_front()?;
            match T::from_args(&received.args) {
                Ok(value) => return Some(value),
                Err(error) => left_out(&self.name, &error),
            }
        }
    }

    fn forget(&self) {
        self.channel.waiters.forget(self.id);
        with_current(|runtime| runtime.forget_wait(self.id));
    }
}

fn left_out(name: &str, error: &PayloadError) {
    let fields = [("signal".to_owned(), name.to_owned())];
    write(Level::Warn, &format!("left out a signal that cannot be read: {error}"), &fields);
}

/// The future of [`Signals::next`].
#[must_use = "futures do nothing unless awaited"]
pub struct Next<'a, T: FromArgs> {
    signals: &'a mut Signals<T>,
    at: &'static Location<'static>,
}

impl<T: FromArgs> Future for Next<'_, T> {
    type Output = Result<T, Canceled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(value) = self.signals.try_next() {
            return Poll::Ready(Ok(value));
        }
        let runtime = Runtime::current();
        if let Err(canceled) = runtime.scope().check() {
            return Poll::Ready(Err(canceled));
        }
        self.signals.channel.waiters.register(self.signals.id, cx.waker());
        runtime.wait(self.signals.id, cx.waker(), || format!("signal {} at {}", self.signals.name, self.at));
        Poll::Pending
    }
}

impl<T: FromArgs> Drop for Next<'_, T> {
    fn drop(&mut self) {
        self.signals.forget();
    }
}

/// Handles the signals of this name: also those that have arrived before, in their order.
///
/// The handler is a closure of up to six arguments, whose types are written out. If it is async, each signal is handled
/// by a routine of its own, in a cancellation scope of its own: a request to cancel the workflow leaves it alone (see
/// [`canceled`](crate::canceled)). It ends with the workflow: see
/// [`all_handlers_finished`](crate::all_handlers_finished). What it gives is dropped; but an error fails the workflow.
/// A signal that cannot be read is logged as a warning and left out.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # use std::{cell::RefCell, rc::Rc};
/// # async fn example() -> WorkflowResult<()> {
/// let approvers = Rc::new(RefCell::new(Vec::new()));
/// on_signal("approve", {
///     let approvers = approvers.clone();
///     move |name: String, comment: Option<String>| approvers.borrow_mut().push((name, comment))
/// });
/// wait_condition(|| approvers.borrow().len() >= 2).await?;
/// # Ok(()) }
/// ```
///
/// # Panics
/// Where the name begins with `__temporal`, which is kept for what is built in.
pub fn on_signal<M>(name: impl Into<String>, handler: impl Handler<M>) -> SignalHandler {
    let name = name.into();
    assert_not_reserved(&name);
    let runtime = Runtime::current();
    runtime.changes("register a signal handler");
    let definition = Definition::new(handler.into_call());
    runtime.signaled.named.borrow_mut().insert(name.clone(), definition.clone());
    let waiting = runtime.signaled.channel(&name).queue.take();
    waiting.into_iter().for_each(|received| runtime.begin_signal(&definition, name.clone(), received.args));
    SignalHandler { definition }
}

/// Handles the signals that have neither a handler nor a stream of their own, also those that have arrived before: the
/// closure is given the name and the arguments.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// on_dynamic_signal(|name: String, args: Args| info!("{name} with {} arguments", args.len()));
/// ```
pub fn on_dynamic_signal<M>(handler: impl DynamicHandler<M>) -> SignalHandler {
    let runtime = Runtime::current();
    runtime.changes("register a signal handler");
    let definition = Definition::new(handler.into_call());
    runtime.signaled.dynamic.replace(Some(definition.clone()));
    let mut waiting = Vec::new();
    for (name, channel) in &*runtime.signaled.channels.borrow() {
        if !channel.listened.get() {
            waiting.extend(channel.queue.take().into_iter().map(|received| (received.number, name.clone(), received)));
        }
    }
    waiting.sort_by_key(|(number, ..)| *number);
    waiting.into_iter().for_each(|(_, name, received)| runtime.begin_signal(&definition, name, received.args));
    SignalHandler { definition }
}

/// A signal's handler, registered; for adding to it.
pub struct SignalHandler {
    definition: Rc<Definition>,
}

impl SignalHandler {
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
    description: RefCell<String>,
    unfinished_policy: Rc<Cell<UnfinishedPolicy>>,
}

impl Definition {
    fn new(call: Call) -> Rc<Self> {
        Rc::new(Self { call, description: RefCell::default(), unfinished_policy: Rc::default() })
    }
}

/// The signals that a run has received, and those who want them.
#[derive(Default)]
pub(crate) struct Signaled {
    channels: RefCell<BTreeMap<String, Rc<Channel>>>,
    named: RefCell<BTreeMap<String, Rc<Definition>>>,
    dynamic: RefCell<Option<Rc<Definition>>>,
    last_number: Cell<u64>,
}

/// The signals of one name that nobody has taken yet, and those who wait for more.
#[derive(Default)]
struct Channel {
    queue: RefCell<VecDeque<Received>>,
    waiters: Waiters,
    /// Somebody has asked for its stream.
    listened: Cell<bool>,
}

struct Received {
    /// In the order of arrival, among the signals of all names.
    number: u64,
    args: Args,
}

impl Signaled {
    fn channel(&self, name: &str) -> Rc<Channel> {
        let mut channels = self.channels.borrow_mut();
        if let Some(channel) = channels.get(name) {
            return channel.clone();
        }
        channels.entry(name.to_owned()).or_default().clone()
    }

    /// Names and descriptions, sorted by name; that of the dynamic handler is empty.
    pub(crate) fn described(&self) -> Vec<(String, String)> {
        let description = |it: &Rc<Definition>| it.description.borrow().clone();
        let mut all = BTreeMap::new();
        let channels = self.channels.borrow();
        all.extend(
            (channels.iter()).filter(|(_, it)| it.listened.get()).map(|(name, _)| (name.clone(), String::new())),
        );
        all.extend(self.named.borrow().iter().map(|(name, it)| (name.clone(), description(it))));
        all.extend(self.dynamic.borrow().iter().map(|it| (String::new(), description(it))));
        all.into_iter().collect()
    }
}

impl Runtime {
    pub(crate) fn signal_received(&self, name: String, input: Vec<Payload>) {
        let args = Args::new(input);
        let handler = self.signaled.named.borrow().get(&name).cloned();
        if let Some(definition) = handler {
            return self.begin_signal(&definition, name, args);
        }
        let dynamic = self.signaled.dynamic.borrow().clone();
        let channel = self.signaled.channel(&name);
        match dynamic {
            Some(definition) if !channel.listened.get() => self.begin_signal(&definition, name, args),
            _ => {
                let number = self.signaled.last_number.get() + 1;
                self.signaled.last_number.set(number);
                channel.queue.borrow_mut().push_back(Received { number, args });
                channel.waiters.wake_all();
            }
        }
    }

    fn begin_signal(&self, definition: &Definition, name: String, args: Args) {
        let handler = match (definition.call)(&name, &args) {
            Ok(handler) => CancellationScope::shield().run(handler),
            Err(error) => return left_out(&name, &error),
        };
        let running = self.handler_begins(name.clone(), None, definition.unfinished_policy.clone());
        self.spawn(
            format!("handler of signal {name}"),
            Box::pin(async move {
                let outcome = handler.await;
                let runtime = Runtime::current();
                runtime.handler_finished(running);
                if let Err(error) = outcome {
                    runtime.finish(Err(error));
                }
            }),
        );
    }
}
