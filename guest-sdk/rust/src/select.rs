//! Awaiting whichever of several futures is done first.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// Awaits the future that is done first, binds its output, and runs the code of its arm. Where several are done at
/// once, the first in the order in which they stand wins: replay needs that, so there is no random choice.
///
/// The other futures are dropped before the arm runs: timers among them are canceled, activities go on. To keep one for
/// later, select on a `&mut` of it.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// let mut approvals = signals::<String>("approve");
/// select! {
///     approver = approvals.next() => info!("approved by {}", approver?),
///     up = sleep(Duration::from_secs(24 * 3600)) => {
///         up?;
///         return Err(ApplicationFailure::new("NotApproved", "nobody approved in a day").into());
///     }
/// }
/// # Ok(()) }
/// ```
#[macro_export]
macro_rules! select {
    // Collect the arms, whose commas are optional after a block.
    (@arms [$($arms:tt)*] $pattern:pat = $future:expr => $body:block $(,)? $($rest:tt)*) => {
        $crate::select!(@arms [$($arms)* ($pattern, $future, $body)] $($rest)*)
    };
    (@arms [$($arms:tt)*] $pattern:pat = $future:expr => $body:expr, $($rest:tt)*) => {
        $crate::select!(@arms [$($arms)* ($pattern, $future, $body)] $($rest)*)
    };
    (@arms [$($arms:tt)*] $pattern:pat = $future:expr => $body:expr) => {
        $crate::select!(@arms [$($arms)* ($pattern, $future, $body)])
    };
    (@arms [$($arms:tt)*]) => {{
        let winner = $crate::select!(@race $($arms)*).await;
        $crate::select!(@match winner, $($arms)*)
    }};

    (@race ($pattern:pat, $future:expr, $body:expr)) => {
        ::core::future::IntoFuture::into_future($future)
    };
    (@race ($pattern:pat, $future:expr, $body:expr) $($rest:tt)+) => {
        $crate::__private::Race::new(
            ::core::future::IntoFuture::into_future($future),
            $crate::select!(@race $($rest)+),
        )
    };

    (@match $winner:expr, ($pattern:pat, $future:expr, $body:expr)) => {
        match $winner { $pattern => $body }
    };
    (@match $winner:expr, ($pattern:pat, $future:expr, $body:expr) $($rest:tt)+) => {
        match $winner {
            $crate::__private::Winner::First($pattern) => $body,
            $crate::__private::Winner::Second(winner) => $crate::select!(@match winner, $($rest)+),
        }
    };

    ($pattern:pat = $($arms:tt)+) => { $crate::select!(@arms [] $pattern = $($arms)+) };
}

/// The output of the future that was done first.
pub enum Winner<A, B> {
    /// Of the first.
    First(A),
    /// Of the second.
    Second(B),
}

/// Two futures, the first with precedence. More are a chain of these.
pub struct Race<A, B> {
    first: Pin<Box<A>>,
    second: Pin<Box<B>>,
}

impl<A: Future, B: Future> Race<A, B> {
    /// Starts nothing by itself.
    pub fn new(first: A, second: B) -> Self {
        Self { first: Box::pin(first), second: Box::pin(second) }
    }
}

impl<A: Future, B: Future> Future for Race<A, B> {
    type Output = Winner<A::Output, B::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.first.as_mut().poll(cx) {
            return Poll::Ready(Winner::First(output));
        }
        self.second.as_mut().poll(cx).map(Winner::Second)
    }
}
