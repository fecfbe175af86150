//! A compiler's process that does not do what it should: the upload fails with the reason, and nothing else notices.
//!
//! The compilers here are shell scripts. `runtime/cli/tests/compiler.rs` has the real one.

use std::{
    fs,
    time::{Duration, Instant},
};

use mainspring_sandbox::{Compiler, ModuleError, Sandbox, SandboxConfig};

use crate::support::puppet;

fn sandbox(script: &str, compile_time: Duration) -> Sandbox {
    let command = ["/bin/sh", "-c", script].map(Into::into).to_vec();
    let compiler = Compiler::Process { command, memory_bytes: 1 << 30 };
    Sandbox::new(SandboxConfig { compiler, compile_time, compiles_at_once: 1, ..SandboxConfig::default() }).unwrap()
}

fn refused(script: &str) -> ModuleError {
    sandbox(script, Duration::from_secs(60)).load(puppet()).unwrap_err()
}

#[track_caller]
fn says(error: &ModuleError, words: &str) {
    assert!(error.to_string().contains(words), "{error}");
    assert!(!error.is_transient(), "{error}");
}

#[test]
fn one_that_crashes_is_an_error_of_the_module() {
    says(&refused("cat > /dev/null; kill -SEGV $$"), "the compiler crashed (signal: 11");
    says(&refused("kill -SEGV $$"), "the compiler crashed (signal: 11");
    says(&refused("exit 3"), "the compiler crashed (exit status: 3)");
    says(&refused("exit 0"), "the compiler crashed (exit status: 0)");
    // A part of an answer is none.
    says(&refused("printf 'C\\10\\0\\0\\0\\0\\0\\0\\0half'; kill -ABRT $$"), "the compiler crashed (signal: 6");
}

#[test]
fn one_that_runs_out_of_memory_or_processor_time_is_named_for_it() {
    let memory = refused("echo 'memory allocation of 4096 bytes failed' >&2; kill -ABRT $$");
    assert_eq!(memory, ModuleError::CompileMemory(1 << 30));
    says(&memory, "more than 1024 MiB of memory");
    assert_eq!(refused("kill -XCPU $$"), ModuleError::CompileTimeout(Duration::from_secs(60)));
    // Nobody but the machine's keeper kills it: the module is not to blame.
    assert!(refused("kill -KILL $$").is_transient());
}

#[test]
fn one_that_answers_with_something_else_is_not_believed() {
    for script in [
        "echo running 1 test",
        "yes",
        // Longer than any answer may be.
        "printf 'C\\377\\377\\377\\377\\377\\377\\377\\377'",
        "printf 'I\\0\\0\\0\\1\\0\\0\\0\\0'",
        // More than it said.
        "printf 'C\\1\\0\\0\\0\\0\\0\\0\\0xy'",
    ] {
        says(&refused(script), "something else than compiled code");
    }
    // Code that is none.
    says(&refused("cat > /dev/null; printf 'C\\4\\0\\0\\0\\0\\0\\0\\0code'"), "cannot be loaded");
}

#[test]
fn what_it_says_of_the_module_is_what_the_uploader_hears() {
    let invalid = refused("cat > /dev/null; printf 'I\\3\\0\\0\\0\\0\\0\\0\\0bad'");
    assert_eq!(invalid, ModuleError::Invalid("bad".into()));
    says(&refused("cat > /dev/null; printf 'P\\0\\0\\0\\0\\0\\0\\0\\0'"), "panicked");
    assert_eq!(refused("printf 'F\\2\\0\\0\\0\\0\\0\\0\\0no'"), ModuleError::Host("no".into()));
}

/// Whether a process is there and no zombie.
fn lives(process: &str) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z')))
}

#[test]
fn one_that_takes_too_long_is_killed_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    for script in [
        // Reads nothing; reads and says nothing; talks without end; is deaf to signals; has closed its pipes.
        "sleep 1000 & echo $$ $! > PIDS; sleep 1000",
        "echo $$ > PIDS; cat > /dev/null; sleep 1000",
        "echo $$ > PIDS; yes >&2",
        "trap '' TERM INT HUP; echo $$ > PIDS; while :; do :; done",
        "echo $$ > PIDS; exec <&- >&- 2>&-; sleep 1000",
    ] {
        let limit = Duration::from_millis(500);
        let hasty = sandbox(&script.replace("PIDS", pids.to_str().unwrap()), limit);
        let begun = Instant::now();
        let error = hasty.load(puppet()).unwrap_err();
        assert!(begun.elapsed() >= limit);
        assert_eq!(error, ModuleError::CompileTimeout(limit), "{script}");
        assert_eq!(hasty.stats().compiling, 0, "its place is free again");
        for process in fs::read_to_string(&pids).unwrap().split_whitespace() {
            // Those that it started are init's to wait for.
            while lives(process) {
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn it_has_no_environment_and_none_of_the_server_s_files() {
    let dir = tempfile::tempdir().unwrap();
    let _open = fs::File::create(dir.path().join("journal")).unwrap();
    let path = dir.path().to_str().unwrap();
    let script =
        format!("cat /proc/$$/environ > {path}/environ; ls -l /proc/$$/fd > {path}/files; pwd > {path}/pwd; exit 1");
    says(&refused(&script), "crashed");
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("environ"), "");
    assert!(read("files").contains("0 -> pipe:") && !read("files").contains("journal"), "{}", read("files"));
    assert_eq!(read("pwd"), "/\n");
}

#[test]
fn one_that_does_not_start_is_no_fault_of_the_module() {
    let compiler = Compiler::Process { command: vec!["/nowhere/compiler".into()], memory_bytes: 1 << 30 };
    let sandbox = Sandbox::new(SandboxConfig { compiler, ..SandboxConfig::default() }).unwrap();
    let error = sandbox.load(puppet()).unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("does not start"), "{error}");
}
