//! A compiler in a process of its own: started for one module, fed through a pipe, and killed when its time is up.
//!
//! The process gets the module on its standard input and answers on its standard output with one [`Answer`]; nothing
//! else passes between the two. It has an empty environment, `/` as its directory, no file but those three pipes, and a
//! process group of its own, which is killed as a whole. It limits itself before it reads the first byte (`child.rs`).
//!
//! This side never blocks but in `poll` with a timeout, so a process that does not read, does not write or does not end
//! costs the upload its time and nothing else. What it sends is bounded, and is not believed: see `artifact.rs` for what
//! becomes of compiled code.

use std::{
    ffi::OsString,
    io::{self, ErrorKind, Read, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::ioctl_fionbio,
    process::{Pid, Signal, kill_process_group},
};

use super::compile::panicked;
use crate::{
    ModuleError,
    config::{ARTIFACT_BYTES_MAX, COMPILER_MESSAGE_BYTES_MAX},
};

/// What the process may use.
pub struct Limits {
    /// Address space, in bytes.
    pub memory_bytes: u64,
    /// Processor time and real time.
    pub time: Duration,
    /// Of the sandbox whose modules these are: part of the configuration that code is compiled for.
    pub stack_bytes: usize,
}

/// The first byte of an answer, before its length (eight bytes, little-endian) and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Compiled code.
    Code = b'C' as isize,
    /// The module is not valid; the content says why.
    Invalid = b'I' as isize,
    /// The compiler panicked.
    Panicked = b'P' as isize,
    /// The process could not do its work, through no fault of the module.
    Failed = b'F' as isize,
}

const HEADER_BYTES: usize = 9;

impl Answer {
    pub fn header(self, length: usize) -> [u8; HEADER_BYTES] {
        let mut header = [self as u8; HEADER_BYTES];
        header[1..].copy_from_slice(&(length as u64).to_le_bytes());
        header
    }

    fn read(header: &[u8; HEADER_BYTES]) -> Option<(Answer, usize)> {
        let all = [Answer::Code, Answer::Invalid, Answer::Panicked, Answer::Failed];
        let kind = all.into_iter().find(|kind| *kind as u8 == header[0])?;
        let limit = if kind == Answer::Code { ARTIFACT_BYTES_MAX } else { COMPILER_MESSAGE_BYTES_MAX };
        let [_, length @ ..] = *header;
        usize::try_from(u64::from_le_bytes(length)).ok().filter(|length| *length <= limit).map(|length| (kind, length))
    }
}

/// Compiles a module in a process of its own.
pub fn compile(command: &[OsString], limits: &Limits, bytes: &[u8], until: Instant) -> Result<Vec<u8>, ModuleError> {
    let mut process = Process::start(command, limits)?;
    let mut said = Said::default();
    let ended = process.talk(bytes, &mut said, until).map_err(|error| host("talking to the compiler", &error))?;
    let complaint = String::from_utf8_lossy(&said.complaint).trim().to_owned();
    if !complaint.is_empty() {
        tracing::warn!(complaint, "the compiler of a module complains");
    }
    match said.answer() {
        Some(Ok((Answer::Code, code))) => return Ok(code),
        Some(Ok((Answer::Invalid, message))) => return Err(ModuleError::Invalid(text(message))),
        Some(Ok((Answer::Panicked, _))) => return Err(panicked()),
        Some(Ok((Answer::Failed, message))) => return Err(ModuleError::Host(text(message))),
        Some(Err(NoAnswer)) => {
            let message = "the compiler answered with something else than compiled code".to_owned();
            return Err(ModuleError::Compile(message));
        }
        None => {}
    }
    if !ended {
        return Err(ModuleError::CompileTimeout(limits.time));
    }
    match process.wait(until).map_err(|error| host("waiting for the compiler", &error))? {
        Some(status) => Err(crash(status, &complaint, limits)),
        None => Err(ModuleError::CompileTimeout(limits.time)),
    }
}

/// Why a process ended without an answer.
fn crash(status: ExitStatus, complaint: &str, limits: &Limits) -> ModuleError {
    // What Rust's runtime says when an allocation is refused, before it aborts.
    let out_of_memory = complaint.contains("memory allocation of");
    let signal = status.signal().and_then(Signal::from_named_raw);
    match signal {
        _ if out_of_memory => ModuleError::CompileMemory(limits.memory_bytes),
        // The kernel takes the compiler first where the machine itself is short of memory.
        Some(Signal::KILL) => ModuleError::Host("the compiler was killed: the machine may be short of memory".into()),
        Some(Signal::XCPU) => ModuleError::CompileTimeout(limits.time),
        _ => ModuleError::Compile(format!("the compiler crashed ({status})")),
    }
}

fn text(message: Vec<u8>) -> String {
    String::from_utf8_lossy(&message).into_owned()
}

fn host(doing: &str, error: &io::Error) -> ModuleError {
    ModuleError::Host(format!("{doing}: {error}"))
}

/// A process that is killed with its group, and waited for, at the latest when it is dropped.
struct Process {
    child: Child,
    group: Option<Pid>,
}

impl Process {
    fn start(command: &[OsString], limits: &Limits) -> Result<Process, ModuleError> {
        let [program, arguments @ ..] = command else {
            return Err(ModuleError::Host("the command of the compiler is empty".into()));
        };
        let seconds = limits.time.as_secs().saturating_add(1);
        let child = Command::new(program)
            .args(arguments)
            .args(["--memory-bytes".to_owned(), limits.memory_bytes.to_string()])
            .args(["--processor-seconds".to_owned(), seconds.to_string()])
            .args(["--stack-bytes".to_owned(), limits.stack_bytes.to_string()])
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| host("the compiler's process does not start", &error))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Process { child, group })
    }

    /// Feeds the module and takes what comes back. False where the time is up first.
    fn talk(&mut self, module: &[u8], said: &mut Said, until: Instant) -> io::Result<bool> {
        let mut input = self.child.stdin.take();
        let mut output = self.child.stdout.take();
        let mut complaints = self.child.stderr.take();
        if let (Some(input), Some(output), Some(complaints)) = (&input, &output, &complaints) {
            ioctl_fionbio(input, true)?;
            ioctl_fionbio(output, true)?;
            ioctl_fionbio(complaints, true)?;
        }
        let mut unsent = module;
        while output.is_some() || complaints.is_some() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let mut waiting = Vec::with_capacity(3);
            waiting.extend(input.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
            waiting.extend(output.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            waiting.extend(complaints.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            match poll(&mut waiting, Timespec::try_from(left).ok().as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            drop(waiting);
            if let Some(pipe) = &mut input {
                match would_block(pipe.write(unsent)) {
                    Ok(Some(written)) => unsent = &unsent[written..],
                    Ok(None) => {}
                    // It has read enough, or is no more: what it says, or how it ended, will tell.
                    Err(_) => unsent = &[],
                }
                if unsent.is_empty() {
                    input = None;
                }
            }
            let answered = HEADER_BYTES + ARTIFACT_BYTES_MAX;
            if take(&mut output, &mut said.output, answered)? {
                output = None;
            }
            if take(&mut complaints, &mut said.complaint, COMPILER_MESSAGE_BYTES_MAX)? {
                complaints = None;
            }
            // Whatever else it wants to do, nobody needs.
            if said.answer_is_whole() {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Waits for the end of a process that has closed its pipes, which is mostly there already. None where the time is up.
    fn wait(&mut self, until: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn kill(&mut self) {
        // Not waited for yet, so that the number cannot be another's by now.
        match self.group {
            Some(group) => drop(kill_process_group(group, Signal::KILL)),
            None => drop(self.child.kill()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// What came from the process.
#[derive(Default)]
struct Said {
    output: Vec<u8>,
    complaint: Vec<u8>,
}

/// What came is no answer.
struct NoAnswer;

impl Said {
    fn header(&self) -> Option<Option<(Answer, usize)>> {
        self.output.first_chunk::<HEADER_BYTES>().map(Answer::read)
    }

    fn answer_is_whole(&self) -> bool {
        match self.header() {
            Some(Some((_, length))) => self.output.len() >= HEADER_BYTES + length,
            // It will not get better.
            Some(None) => true,
            None => false,
        }
    }

    /// None where there is nothing, or only a part of an answer.
    fn answer(&mut self) -> Option<Result<(Answer, Vec<u8>), NoAnswer>> {
        let Some((kind, length)) = self.header()? else { return Some(Err(NoAnswer)) };
        let end = HEADER_BYTES + length;
        if self.output.len() > end {
            return Some(Err(NoAnswer));
        }
        (self.output.len() == end).then(|| Ok((kind, self.output.split_off(HEADER_BYTES))))
    }
}

/// Takes what is there; what is beyond the limit is read and forgotten. True at the end of the stream.
fn take(pipe: &mut Option<impl Read>, into: &mut Vec<u8>, limit: usize) -> io::Result<bool> {
    let Some(pipe) = pipe else { return Ok(false) };
    let mut buffer = [0; 64 * 1024];
    match would_block(pipe.read(&mut buffer))? {
        Some(0) => Ok(true),
        Some(count) => {
            let room = limit.saturating_sub(into.len());
            into.extend_from_slice(&buffer[..count.min(room)]);
            Ok(false)
        }
        None => Ok(false),
    }
}

fn would_block(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(output: &[u8]) -> Said {
        Said { output: output.to_vec(), complaint: Vec::new() }
    }

    #[test]
    fn an_answer_is_whole_or_none() {
        let whole = [Answer::Code.header(4).as_slice(), b"code"].concat();
        for cut in 0..whole.len() {
            assert!(said(&whole[..cut]).answer().is_none(), "cut at {cut}");
            assert!(!said(&whole[..cut]).answer_is_whole(), "cut at {cut}");
        }
        assert!(matches!(said(&whole).answer(), Some(Ok((Answer::Code, code))) if code == b"code"));
        let more = [whole.as_slice(), b"!"].concat();
        assert!(matches!(said(&more).answer(), Some(Err(NoAnswer))));
    }

    #[test]
    fn an_answer_of_no_kind_or_of_absurd_length_is_none() {
        for header in [
            Answer::Code.header(ARTIFACT_BYTES_MAX + 1),
            Answer::Code.header(usize::MAX),
            Answer::Invalid.header(COMPILER_MESSAGE_BYTES_MAX + 1),
            *b"running 1",
        ] {
            let mut said = said(&header);
            assert!(said.answer_is_whole());
            assert!(matches!(said.answer(), Some(Err(NoAnswer))), "{header:?}");
        }
    }
}
