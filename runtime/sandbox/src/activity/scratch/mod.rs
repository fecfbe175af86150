//! A scratch directory: the files of one attempt, in memory, behind `wasi:filesystem`.
//!
//! Nothing of it ever is on the machine's disk, so there is no path to escape from, nothing to clean up after a crash, and
//! no call that blocks. It lives in the attempt's store and ends with it, however that ends. Without a grant the same code
//! answers, and there is no directory to begin with.
//!
//! What it holds is bounded by a [`Budget`], which the attempt's grant fills, out of a [`Pool`] that all attempts share.
//! A guest that wants more is told that there is no space left.
//!
//! `tree.rs` is names and directories, `file.rs` what a file holds, `stream.rs` its streams for `wasi:io`, and `host.rs`
//! the interfaces of WASI. There are no links of either kind.

mod budget;
mod file;
mod host;
mod stream;
mod tree;

use std::time::{SystemTime, UNIX_EPOCH};

use wasmtime_wasi::p2::bindings::{clocks::wall_clock::Datetime, filesystem::types::ErrorCode};

pub use self::{
    budget::{Budget, Pool},
    host::{Files, add_to_linker},
    tree::Tree,
};

/// Where guests find it.
const PATH: &str = "/scratch";

/// When something was accessed and modified, as far as that is kept: both when it was made, the latter when it changes,
/// and either when the guest says so. Reading notes nothing.
#[derive(Clone, Copy)]
pub struct Times {
    accessed: Datetime,
    modified: Datetime,
}

impl Times {
    fn new() -> Times {
        Times { accessed: now(), modified: now() }
    }

    fn set(&mut self, accessed: Option<Datetime>, modified: Option<Datetime>) {
        self.accessed = accessed.unwrap_or(self.accessed);
        self.modified = modified.unwrap_or(self.modified);
    }
}

/// The machine's clock, which activities see anyway.
fn now() -> Datetime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
}

pub type FileResult<T> = Result<T, ErrorCode>;
