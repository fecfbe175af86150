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
//! beyond the machine unless callers must say who they are.
//!
//! **Where to start.** `lifecycle.rs` is the server's life from start to drain; `rpc/mod.rs` lists the calls, one file
//! for each noun beside it; `auth/` is the gate before each of them; `error.rs` is the table of codes; `token.rs` is what clients carry for the server;
//! `limits.rs` every bound.

mod auth;
mod config;
#[cfg(test)]
mod config_page;
mod duration;
mod error;
mod exposition;
#[cfg(test)]
mod golden;
mod lifecycle;
pub mod limits;
mod metrics;
mod observe;
mod process;
mod quota;
mod rpc;
mod secret_key;
mod telemetry;
mod throttle;
mod tls;
mod token;
mod validate;

pub use auth::AdminKey;
pub use config::{
    ActivitySettings, AuthConfig, CertificateConfig, ENVIRONMENT_PREFIX, GuestSettings, JwtConfig, LogConfig,
    LogFormat, LogOverrides, MetricsConfig, Overrides, SandboxSettings, ServerConfig, StoreConfig, TlsConfig,
};
pub use lifecycle::{serve, serve_logged};
pub use rpc::verification::to_run as to_run_verification;
pub use telemetry::{LogTap, SecretText, TelemetryConfig};

/// Doors for `fuzz/`, and for nobody else.
#[cfg(fuzzing)]
pub mod fuzzing {
    use crate::{ServerConfig, token};

    /// Opens a token of every kind, as it came and with its checksum made right.
    pub fn tokens(bytes: &[u8]) {
        token::fuzz(bytes);
    }

    /// Reads and checks a configuration file.
    pub fn config(text: &str) {
        if let Ok(config) = ServerConfig::from_toml(text)
            && config.check().is_ok()
        {
            let printed = config.to_toml().expect("what was read can be printed");
            let read_back = ServerConfig::from_toml(&printed).expect("what is printed can be read back");
            // Secrets are not printed.
            assert!(read_back == config || !config.telemetry.headers.is_empty());
        }
    }
}
