//! The sandbox from outside: real modules, whole runs.
//!
//! `support` holds a tiny server that keeps one run's journal; every other file is one promise of the sandbox.

// As in the crate itself: what a failed task carries is not worth a box.
#![allow(clippy::result_large_err)]

mod activities;
mod activity_world;
mod cache;
mod cancellation;
mod compiled;
mod compiler;
mod conversations;
mod determinism;
mod divergence;
mod limits;
mod logs;
mod order;
mod random;
mod runs;
mod scratch;
mod support;
mod uploads;
