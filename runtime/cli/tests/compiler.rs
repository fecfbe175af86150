//! The process that a server starts for each upload: it compiles what the server would, and is limited.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
    time::Duration,
};

use mainspring_sandbox::{Compiler, ModuleError, Sandbox, SandboxConfig};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const MIB: u64 = 1024 * 1024;

/// A component of our world, with these functions beside the world's own.
fn component(functions: &str) -> Vec<u8> {
    let mut module = wat::parse_str(format!(
        r#"(module
            (memory (export "memory") 1)
            (data (i32.const 16) "\20\00\00\00\01\00\00\00")
            (data (i32.const 32) "\30\00\00\00\04\00\00\00")
            (data (i32.const 48) "Tiny")
            (func (export "describe") (result i32) i32.const 16)
            (func (export "start") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "resume") (param i32 i32) (result i32) unreachable)
            (func (export "answer-query") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            {functions})"#
    ))
    .unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
    let world = resolve.select_world(&[package], Some("workflow")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// One that takes long, and much memory, to compile: a thousand variables that are alive in thousands of blocks.
fn heavy() -> Vec<u8> {
    let blocks: String = (0..20_000)
        .map(|n| {
            let (a, b) = (1 + n % 1_000, 1 + (7 * n + 3) % 1_000);
            format!("(block (br_if 0 (local.get {a})) (local.set {b} (i32.add (local.get {a}) (local.get {b}))))")
        })
        .collect();
    let locals = "i32 ".repeat(1_000);
    component(&format!("(func (param i32) (result i32) (local {locals}) {blocks} local.get 0)"))
}

fn sandbox(memory_bytes: u64, compile_time: Duration) -> Sandbox {
    let command = [env!("CARGO_BIN_EXE_mainspring"), "compile-module"].map(Into::into).to_vec();
    let compiler = Compiler::Process { command, memory_bytes };
    Sandbox::new(SandboxConfig { compiler, compile_time, ..SandboxConfig::default() }).unwrap()
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_it_compiles_runs() {
    let description = sandbox(4096 * MIB, MINUTE).load(&component("")).unwrap();
    assert_eq!(description.workflow_types, ["Tiny"]);
    assert_eq!(description, Sandbox::new(SandboxConfig::default()).unwrap().load(&component("")).unwrap());
}

#[test]
fn what_is_wrong_with_a_module_is_said_as_without_it() {
    let bad = component("");
    // Past the scan, in a function's body.
    let at = bad.windows(4).rposition(|bytes| bytes == b"\x41\x10\x0b\x03").unwrap();
    let bad = [&bad[..at], b"\x42\x10\x0b\x03", &bad[at + 4..]].concat();
    let error = sandbox(4096 * MIB, MINUTE).load(&bad).unwrap_err();
    assert!(matches!(&error, ModuleError::Invalid(message) if message.contains("type mismatch")), "{error}");
    assert_eq!(error, Sandbox::new(SandboxConfig::default()).unwrap().load(&bad).unwrap_err());
}

#[test]
fn one_that_needs_too_much_is_refused_and_the_next_is_taken() {
    // What the program itself takes, and little more: its text and its threads' stacks are address space too.
    let small = sandbox(program_bytes() + 96 * MIB, MINUTE);
    let error = small.load(&heavy()).unwrap_err();
    assert!(matches!(error, ModuleError::CompileMemory(_)), "{error}");
    small.load(&component("")).unwrap();

    let hasty = sandbox(4096 * MIB, Duration::from_millis(1));
    assert_eq!(hasty.load(&heavy()).unwrap_err(), ModuleError::CompileTimeout(Duration::from_millis(1)));
    assert_eq!(hasty.stats().compiling, 0);
}

fn program_bytes() -> u64 {
    fs::metadata(env!("CARGO_BIN_EXE_mainspring")).unwrap().len()
}

/// A compiler that waits for its module; killed at the latest when it is dropped.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Waiting {
    fn start() -> Waiting {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainspring"));
        command.args(["compile-module", "--memory-bytes", "4294967296", "--processor-seconds", "9"]);
        command.args(["--stack-bytes", "524288"]).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let waiting = Waiting(command.spawn().unwrap());
        while waiting.status("Seccomp") != "2" {
            assert!(!waiting.status("State").starts_with('Z'), "it ended");
            std::thread::yield_now();
        }
        waiting
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.0.id())).unwrap()
    }

    /// A line of `/proc/PID/status`.
    fn status(&self, name: &str) -> String {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    }
}

#[test]
fn it_is_limited_before_it_reads_the_first_byte() {
    let mut waiting = Waiting::start();
    let limits = waiting.read("limits");
    for (name, most) in [
        ("Max address space", "4294967296"),
        ("Max cpu time", "9"),
        ("Max core file size", "0"),
        ("Max file size", "0"),
        ("Max open files", "0"),
        ("Max processes", "0"),
    ] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        assert_eq!(line.split_whitespace().take(2).collect::<Vec<_>>(), [most, most], "{name}");
    }
    assert_eq!(waiting.read("environ"), "");
    assert_eq!(waiting.status("NoNewPrivs"), "1");
    assert_eq!(waiting.read("oom_score_adj").trim(), "1000");
    let stat = waiting.read("stat");
    let niceness = stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap();
    assert_eq!(niceness, "5");
    // All its threads are filtered.
    for thread in fs::read_dir(format!("/proc/{}/task", waiting.0.id())).unwrap() {
        let thread = thread.unwrap().path();
        assert!(fs::read_to_string(thread.join("status")).unwrap().contains("Seccomp:\t2"));
    }

    // And it does its work still.
    waiting.0.stdin.take().unwrap().write_all(&component("")).unwrap();
    let mut answer = Vec::new();
    waiting.0.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
    let mut complaint = String::new();
    waiting.0.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!(complaint, "");
    assert_eq!(answer[0], b'C');
    assert_eq!(u64::from_le_bytes(answer[1..9].try_into().unwrap()), answer.len() as u64 - 9);
    assert!(waiting.0.wait().unwrap().success());
}

#[test]
fn it_ends_with_its_server() {
    // A shell stands for the server. It says who the compiler is, and is killed.
    let program = env!("CARGO_BIN_EXE_mainspring");
    let limits = "--memory-bytes 4294967296 --processor-seconds 60 --stack-bytes 524288";
    let script = format!("sleep 1000 | {program} compile-module {limits} & echo $!; wait");
    let mut server = Command::new("/bin/sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = server.stdout.take().unwrap();
    let mut text = String::new();
    while !text.ends_with('\n') {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap();
        text.push(byte[0].into());
    }
    let compiler = text.trim().to_owned();
    let stat = |name: &str| {
        let status = fs::read_to_string(format!("/proc/{compiler}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t").map(str::to_owned));
        line.unwrap_or_default()
    };
    while stat("Seccomp") != "2" {
        assert!(!stat("State").starts_with('Z'), "it ended");
        std::thread::yield_now();
    }
    let sleeper = fs::read_to_string(format!("/proc/{}/task/{0}/children", server.id())).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    while !matches!(stat("State").as_str(), "" | "Z (zombie)") {
        std::thread::yield_now();
    }
    for process in sleeper.split_whitespace().filter(|process| *process != compiler) {
        let _ = Command::new("kill").arg(process).status();
    }
}
