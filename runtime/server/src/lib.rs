//! Mainspring's front: Temporal's gRPC API, and Mainspring's own services, over the engine.
//!
//! **What it does.** [`serve`] opens the store, the sandbox and the engine, and answers calls until it is told to stop.
//! A call is checked ([`mainspring_core::validate`] and this crate's `validate`), handed to the engine, and answered;
//! what the engine refuses becomes a gRPC status in one place (`error`). [`ServerConfig`] is everything that can be
//! set.
//!
//! ```no_run
//! # async fn run() -> anyhow::Result<()> {
//! use mainspring_server::{Overrides, ServerConfig, serve};
//!
//! let config = ServerConfig::load(None, &Overrides { ephemeral: Some(true), ..Default::default() })?;
//! let stop = async { tokio::signal::ctrl_c().await };
//! serve(config, |address| println!("listening on {address}"), stop).await
//! # }
//! ```
//!
//! **What it never does.** It decides nothing about runs, keeps no state that a restart would miss, writes no payloads
//! to the log, and never answers a client's permanent mistake with a code that SDKs retry for ever. It does not listen
//! beyond the machine, because it does not know yet who is asking.
//!
//! **Where to start.** `lifecycle.rs` is the server's life from start to drain; `rpc/mod.rs` lists the calls, one file
//! for each noun beside it; `error.rs` is the table of codes; `token.rs` is what clients carry for the server;
//! `limits.rs` every bound.

mod config;
mod duration;
mod error;
mod lifecycle;
pub mod limits;
mod observe;
mod quota;
mod rpc;
mod token;
mod validate;

pub use config::{
    ENVIRONMENT_PREFIX, GuestSettings, LogConfig, LogFormat, LogOverrides, Overrides, SandboxSettings, ServerConfig,
    StoreConfig,
};
pub use lifecycle::serve;
