//! Closures that answer messages: which of them fit, and how arguments and results pass.

use std::{cell::RefCell, future::Future, pin::Pin, rc::Rc};

use crate::{
    error::{WorkflowError, WorkflowResult},
    payload::{FromPayload, Payload, PayloadError, ToPayload, from_first},
};

/// The arguments of a message as they came, for handlers of messages whose names are not known beforehand, and for
/// streams of signals with several arguments.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// let mut transfers = signals::<Args>("transfer");
/// let transfer = transfers.next().await?;
/// let (account, amount): (String, f64) = (transfer.get(0)?, transfer.get(1)?);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args {
    payloads: Vec<Payload>,
}

impl Args {
    pub(crate) fn new(payloads: Vec<Payload>) -> Self {
        Self { payloads }
    }

    /// The argument at this place, counted from 0. One that was not sent reads as `null`: `None` for an `Option`.
    pub fn get<T: FromPayload>(&self, index: usize) -> Result<T, PayloadError> {
        let value = self.payloads.get(index).map_or_else(T::from_missing, T::from_payload);
        value.map_err(|error| error.of(format_args!("argument {}", index + 1)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.payloads.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }

    /// As they came.
    pub fn payloads(&self) -> &[Payload] {
        &self.payloads
    }
}

/// What a message can be read as: its first argument, or all of them as [`Args`].
#[diagnostic::on_unimplemented(
    message = "a message cannot be read as `{Self}`",
    note = "derive `serde::Deserialize` for it, or take all arguments as `Args`"
)]
pub trait FromArgs: Sized {
    /// Reads it.
    fn from_args(args: &Args) -> Result<Self, PayloadError>;
}

impl<T: FromPayload> FromArgs for T {
    fn from_args(args: &Args) -> Result<Self, PayloadError> {
        from_first(&args.payloads)
    }
}

impl FromArgs for Args {
    fn from_args(args: &Args) -> Result<Self, PayloadError> {
        Ok(args.clone())
    }
}

/// What a handler may give: a value that can be sent, or a `Result` of one with any error that a workflow may fail
/// with. (The parameter tells the two apart; it is inferred.)
#[diagnostic::on_unimplemented(
    message = "a handler cannot give `{Self}`",
    note = "give a `T: serde::Serialize`, or a `Result<T, E>` with an error that `?` can convert"
)]
pub trait HandlerOutput<Marker> {
    /// The value.
    type Value: ToPayload;
    /// The value, or why there is none.
    fn into_result(self) -> WorkflowResult<Self::Value>;
}

/// Marks what cannot fail.
pub struct Infallible;
/// Marks a `Result`.
pub struct Fallible;

impl<T: ToPayload> HandlerOutput<Infallible> for T {
    type Value = T;

    fn into_result(self) -> WorkflowResult<T> {
        // `serde` can serialise a `Result` as well, so the compiler lets one pass whose error cannot fail a workflow.
        let name = std::any::type_name::<T>();
        assert!(
            !name.starts_with("core::result::Result<"),
            "a handler gives `{name}`, whose error is none that `?` converts: see `OrFail::or_fail`"
        );
        Ok(self)
    }
}

impl<T: ToPayload, E: Into<WorkflowError>> HandlerOutput<Fallible> for Result<T, E> {
    type Value = T;

    fn into_result(self) -> WorkflowResult<T> {
        self.map_err(Into::into)
    }
}

fn encode<Marker>(output: impl HandlerOutput<Marker>) -> WorkflowResult<Payload> {
    Ok(output.into_result()?.to_payload().map_err(|error| error.of("the result of the handler"))?)
}

pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = WorkflowResult<Payload>>>>;

/// A handler that answers at once, with its types erased: given a message's name and arguments. The outer error says
/// that the arguments cannot be read.
pub type SyncCall = Rc<dyn Fn(&str, &Args) -> Result<WorkflowResult<Payload>, PayloadError>>;

/// A handler with its types erased. Nothing of it runs before the future is polled.
pub type Call = Rc<dyn Fn(&str, &Args) -> Result<HandlerFuture, PayloadError>>;

/// A closure that answers at once, of up to six arguments, each of a type that can be received.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler that answers at once",
    label = "expected a closure such as `move |name: String| …`, with the types of its arguments written out",
    note = "its arguments implement `serde::Deserialize` and own what they hold; it is not async, and gives a value \
            that can be sent or a `Result` of one"
)]
pub trait SyncHandler<Marker> {
    /// Erases the types.
    fn into_sync_call(self) -> SyncCall;
}

/// A closure, async or not, of up to six arguments, each of a type that can be received.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no message handler",
    label = "expected a closure such as `async move |name: String| …`, with the types of its arguments written out",
    note = "its arguments implement `serde::Deserialize` and own what they hold; it gives a value that can be sent or \
            a `Result` of one, at once or as a future"
)]
pub trait Handler<Marker> {
    /// Erases the types.
    fn into_call(self) -> Call;
}

/// A closure that answers messages of any name at once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no dynamic handler that answers at once",
    label = "expected a closure such as `move |name: String, args: Args| …`"
)]
pub trait DynamicSyncHandler<Marker> {
    /// Erases the types.
    fn into_sync_call(self) -> SyncCall;
}

/// A closure, async or not, that answers messages of any name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no dynamic handler",
    label = "expected a closure such as `move |name: String, args: Args| …`"
)]
pub trait DynamicHandler<Marker> {
    /// Erases the types.
    fn into_call(self) -> Call;
}

/// Marks a handler that is not async.
pub struct Plain;
/// Marks an async one.
pub struct Async;

macro_rules! handlers {
    ($($kind:ident $argument:ident $index:literal),*) => {
        impl<F, R, M, $($kind),*> SyncHandler<(M, fn($($kind),*) -> R)> for F
        where
            F: Fn($($kind),*) -> R + 'static,
            R: HandlerOutput<M>,
            $($kind: FromPayload,)*
        {
            fn into_sync_call(self) -> SyncCall {
                Rc::new(move |_, _args| {
                    $(let $argument = _args.get($index)?;)*
                    Ok(encode(self($($argument),*)))
                })
            }
        }

        impl<F, R, M, $($kind),*> Handler<(Plain, M, fn($($kind),*) -> R)> for F
        where
            F: Fn($($kind),*) -> R + 'static,
            R: HandlerOutput<M>,
            $($kind: FromPayload + 'static,)*
        {
            fn into_call(self) -> Call {
                let handler = Rc::new(self);
                Rc::new(move |_, _args| {
                    $(let $argument = _args.get($index)?;)*
                    let handler = handler.clone();
                    Ok(Box::pin(async move { encode(handler($($argument),*)) }))
                })
            }
        }

        impl<F, R, M, $($kind),*> Handler<(Async, M, fn($($kind),*) -> R)> for F
        where
            F: AsyncFn($($kind),*) -> R + 'static,
            R: HandlerOutput<M>,
            $($kind: FromPayload + 'static,)*
        {
            fn into_call(self) -> Call {
                let handler = Rc::new(self);
                Rc::new(move |_, _args| {
                    $(let $argument = _args.get($index)?;)*
                    let handler = handler.clone();
                    Ok(Box::pin(async move { encode(handler($($argument),*).await) }))
                })
            }
        }
    };
}

handlers!();
handlers!(A a 0);
handlers!(A a 0, B b 1);
handlers!(A a 0, B b 1, C c 2);
handlers!(A a 0, B b 1, C c 2, D d 3);
handlers!(A a 0, B b 1, C c 2, D d 3, E e 4);
handlers!(A a 0, B b 1, C c 2, D d 3, E e 4, G g 5);

impl<F, R, M> DynamicSyncHandler<(M, R)> for F
where
    F: Fn(String, Args) -> R + 'static,
    R: HandlerOutput<M>,
{
    fn into_sync_call(self) -> SyncCall {
        Rc::new(move |name, args| Ok(encode(self(name.to_owned(), args.clone()))))
    }
}

impl<F, R, M> DynamicHandler<(Plain, M, R)> for F
where
    F: Fn(String, Args) -> R + 'static,
    R: HandlerOutput<M>,
{
    fn into_call(self) -> Call {
        let handler = Rc::new(self);
        Rc::new(move |name, args| {
            let (handler, name, args) = (handler.clone(), name.to_owned(), args.clone());
            Ok(Box::pin(async move { encode(handler(name, args)) }))
        })
    }
}

impl<F, R, M> DynamicHandler<(Async, M, R)> for F
where
    F: AsyncFn(String, Args) -> R + 'static,
    R: HandlerOutput<M>,
{
    fn into_call(self) -> Call {
        let handler = Rc::new(self);
        Rc::new(move |name, args| {
            let (handler, name, args) = (handler.clone(), name.to_owned(), args.clone());
            Ok(Box::pin(async move { encode(handler(name, args).await) }))
        })
    }
}

/// The state of a workflow, shared by its routines and its handlers.
pub type Shared<T> = Rc<RefCell<T>>;

/// A workflow's state whose methods handle its messages, as [`#[handlers]`](macro@crate::handlers) makes one.
///
/// ```no_run
/// use mainspring_workflow::prelude::*;
///
/// #[derive(Default)]
/// struct Approval {
///     approvers: Vec<String>,
///     limit: f64,
/// }
///
/// #[handlers]
/// impl Approval {
///     /// Who has approved so far.
///     #[query]
///     fn approvers(&self) -> Vec<String> {
///         self.approvers.clone()
///     }
///
///     #[signal]
///     fn approve(&mut self, name: String) {
///         self.approvers.push(name);
///     }
///
///     #[update(validator = check_limit)]
///     async fn set_limit(state: Shared<Self>, limit: f64) -> WorkflowResult<f64> {
///         activity::<()>("tell_the_bank").arg(limit).start_to_close_timeout(Duration::from_secs(10)).await?;
///         Ok(std::mem::replace(&mut state.borrow_mut().limit, limit))
///     }
///
///     fn check_limit(&self, limit: f64) -> Result<(), ApplicationFailure> {
///         if limit < self.limit { Err(ApplicationFailure::new("BadLimit", "a limit only grows")) } else { Ok(()) }
///     }
/// }
///
/// #[workflow]
/// async fn approval() -> WorkflowResult<Vec<String>> {
///     let state = Approval::default().register();
///     wait_condition(|| state.borrow().approvers.len() >= 2).await?;
///     Ok(state.take().approvers)
/// }
/// ```
pub trait Handlers: Sized {
    /// Registers the handlers, and gives what they share.
    fn register(self) -> Shared<Self>;
}

/// What happens to a handler that is still running when the workflow ends: it ends as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnfinishedPolicy {
    /// And a warning is logged, as this is usually a mistake.
    #[default]
    WarnAndAbandon,
    /// And that is as it should be.
    Abandon,
}
