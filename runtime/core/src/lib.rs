//! A workflow run's state machine, and nothing else: no I/O, no clock, no randomness, no async.
//!
//! A run is its history: a list of Temporal's `HistoryEvent`s. [`RunState`] is the fold of those events plus the few
//! facts that Temporal does not write as events (attempts, heartbeats, a workflow task under way). A [`Step`] takes
//! one input, the time, and decides events; [`RunState::apply`] folds each of them in. Whoever calls commits the
//! events together with the rows of [`rows`].
//!
//! Start reading at [`step`], then one file for each noun: [`workflow`], [`workflow_task`], [`activity`], [`timer`],
//! [`signal`], [`cancel`], [`update`], [`child`], [`external`], [`continue_as_new`], [`reset`]. [`command`] turns what a
//! workflow asks for into events, and compares the two in replay; [`migration`] moves a run to another module; [`outbox`] holds what a run has to do to other runs;
//! [`retry`] holds the retry rules, [`trace`] a run's place in a trace, [`limits`] every bound.

// The wire format keeps module digests and the older policies in fields that Temporal marks as deprecated.
#![allow(deprecated)]

pub mod activity;
mod attributes;
pub mod cancel;
pub mod child;
pub mod command;
mod compare;
pub mod continue_as_new;
pub mod describe;
mod error;
pub mod external;
pub mod failure;
pub mod limits;
pub mod migration;
pub mod outbox;
pub mod protocol;
pub mod reset;
pub mod retry;
pub mod rows;
pub mod signal;
pub mod state;
pub mod step;
pub mod time;
pub mod timer;
pub mod trace;
pub mod update;
pub mod validate;
pub mod workflow;
pub mod workflow_task;

pub use error::Rejection;
pub use state::RunState;
pub use step::{Setting, Step};
pub use time::Time;
