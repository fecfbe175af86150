//! The other end of `process.rs`: what a compiler's process does, before and after it reads the module.

use std::{
    io::{self, Read as _, Write as _},
    thread,
};

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use wasmtime::Engine;

use super::{
    compile::{COMPILER_STACK_BYTES, precompile},
    process::Answer,
};
use crate::{
    ModuleError, SandboxConfig,
    config::{COMPILER_MESSAGE_BYTES_MAX, engine_config},
};

/// Every neighbour comes first. Still enough for a module to be compiled in its time on a machine that is busy.
const NICENESS: i32 = 5;

/// How a compiler's process is limited.
#[derive(Debug, Clone, Copy)]
pub struct CompilerLimits {
    /// Address space, in bytes.
    pub memory_bytes: u64,
    /// Processor time, in seconds.
    pub processor_seconds: u64,
    /// [`SandboxConfig::stack_bytes`] of the sandbox that asked.
    pub stack_bytes: usize,
}

/// Compiles the module on standard input, and answers on standard output: what a compiler's process does, and all that it
/// does. See [`Compiler::Process`](crate::Compiler::Process).
///
/// The process is limited first, for good: address space, processor time, priority; it can open no file, write to none,
/// and leaves no core file. On Linux it ends with its parent, and a filter lets it make no system call but those that
/// memory and its pipes need; any other is refused.
///
/// # Errors
/// Where the process cannot be limited or cannot do its work. The parent has been told then, if it still listens. A module
/// that does not compile is no error but an answer.
pub fn compile_module(limits: &CompilerLimits) -> Result<(), String> {
    let done = limit(limits).and_then(|()| work(limits));
    if let Err(message) = &done {
        let _ = answer(Answer::Failed, message.as_bytes());
    }
    done
}

fn limit(limits: &CompilerLimits) -> Result<(), String> {
    // Nobody reads of it where this fails, and nothing depends on it.
    let _ = nice(NICENESS);
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        let dies = set_parent_process_death_signal(Some(Signal::KILL));
        dies.map_err(|error| format!("the compiler cannot be tied to its server: {error}"))?;
    }
    for (name, resource, most) in [
        ("memory", Resource::As, limits.memory_bytes),
        ("processor time", Resource::Cpu, limits.processor_seconds),
        ("core files", Resource::Core, 0),
        ("file sizes", Resource::Fsize, 0),
        ("open files", Resource::Nofile, 0),
    ] {
        lower(resource, most).map_err(|error| format!("the compiler's {name} cannot be limited: {error}"))?;
    }
    Ok(())
}

/// Lowers a limit for good. One that is lower already stays.
fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let most = Some(now.maximum.map_or(most, |maximum| maximum.min(most)));
    Ok(setrlimit(resource, Rlimit { current: most, maximum: most })?)
}

fn work(limits: &CompilerLimits) -> Result<(), String> {
    let config = SandboxConfig { stack_bytes: limits.stack_bytes, ..SandboxConfig::default() };
    let engine =
        Engine::new(&engine_config(&config)).map_err(|error| format!("the compiler does not start: {error:#}"))?;
    let thread = thread::Builder::new().stack_size(COMPILER_STACK_BYTES).spawn(move || {
        lock_up()?;
        let mut module = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut module);
        read.map_err(|error| format!("the compiler cannot read the module: {error}"))?;
        let answered = match precompile(&engine, &module) {
            Ok(code) => answer(Answer::Code, &code),
            Err(ModuleError::Invalid(message)) => answer(Answer::Invalid, message.as_bytes()),
            Err(_) => answer(Answer::Panicked, b""),
        };
        answered.map_err(|error| format!("the compiler cannot answer: {error}"))
    });
    let thread = thread.map_err(|error| format!("the compiler has no thread: {error}"))?;
    thread.join().unwrap_or_else(|_| Err("the compiler panicked".into()))
}

/// Gives up what is needed to start, and not to compile. For all threads.
fn lock_up() -> Result<(), String> {
    // Means nothing to root, for whom the filter is there.
    lower(Resource::Nproc, 0).map_err(|error| format!("the compiler's processes cannot be limited: {error}"))?;
    #[cfg(target_os = "linux")]
    if let Err(error) = filter::apply() {
        // A kernel without it: all the other limits hold.
        eprintln!("system calls are not filtered: {error}");
    }
    Ok(())
}

fn answer(kind: Answer, content: &[u8]) -> io::Result<()> {
    let content = match kind {
        Answer::Code => content,
        _ => &content[..content.len().min(COMPILER_MESSAGE_BYTES_MAX)],
    };
    let mut output = io::stdout().lock();
    output.write_all(&kind.header(content.len()))?;
    output.write_all(content)?;
    output.flush()
}

/// The system calls that a compiler may make.
#[cfg(target_os = "linux")]
mod filter {
    use std::{collections::BTreeMap, env::consts::ARCH, process};

    use seccompiler::{
        BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        apply_filter_all_threads,
    };

    /// Memory; threads that wait and end; signals, with which a panic or an abort is reported; and what tells the time, a
    /// seed or the number of processors. None opens, connects, starts or changes anything outside the process.
    const ALLOWED: &[i64] = &[
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        libc::SYS_rseq,
    ];

    pub fn apply() -> Result<(), Error> {
        let only = |argument: u8, operator: SeccompCmpOp, value: u64| -> Result<Vec<SeccompRule>, Error> {
            let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
            Ok(vec![SeccompRule::new(vec![condition])?])
        };
        let mut rules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect::<BTreeMap<_, _>>();
        // The pipes alone, whatever files the server itself was started with.
        rules.insert(libc::SYS_read, only(0, SeccompCmpOp::Eq, 0)?);
        rules.insert(libc::SYS_write, only(0, SeccompCmpOp::Le, 2)?);
        rules.insert(libc::SYS_writev, only(0, SeccompCmpOp::Le, 2)?);
        // An abort is a signal that a process sends to itself; it may send none to another.
        rules.insert(libc::SYS_tgkill, only(0, SeccompCmpOp::Eq, process::id().into())?);
        let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, ARCH.try_into()?)?;
        let program: BpfProgram = filter.try_into()?;
        apply_filter_all_threads(&program)
    }
}
