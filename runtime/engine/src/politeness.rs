//! Threads whose work can wait.

use std::thread;

use crate::EngineError;

/// Starts a thread of low priority.
pub(crate) fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<(), EngineError> {
    let thread = thread::Builder::new().name(name).spawn(move || {
        give_way();
        work();
    });
    let no_thread = |error| EngineError::Unavailable(format!("the operating system gives no thread: {error}"));
    thread.map(drop).map_err(no_thread)
}

/// Lowers the calling thread's priority: where processors are short, it gets about a tenth of what an activation gets, and
/// where they are idle all that there is.
fn give_way() {
    // On Linux, and only there, no process id means the calling thread and not its whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "a thread whose work can wait runs with the priority of all others");
    }
}
