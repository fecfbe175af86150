//! Why a verb did not do what it was asked, and the exit code that says so.

use std::{fmt::Write as _, io, process::ExitCode};

/// What every verb comes to.
pub type Outcome<T = ()> = Result<T, Failure>;

#[derive(Debug)]
pub enum Failure {
    /// What was asked for failed or was refused: exit code 1.
    Failed(anyhow::Error),
    /// Nothing could be asked at all (usage, an unreadable file, no connection): exit code 2.
    Usage(anyhow::Error),
    /// Whoever reads stdout has gone: there is nobody left to tell.
    NobodyReads,
}

impl Failure {
    pub fn failed(error: impl Into<anyhow::Error>) -> Failure {
        Failure::Failed(error.into())
    }

    pub fn usage(error: impl Into<anyhow::Error>) -> Failure {
        Failure::Usage(error.into())
    }

    /// Says on stderr what went wrong.
    pub fn report(&self) -> ExitCode {
        let (error, code) = match self {
            Failure::Failed(error) => (error, 1),
            Failure::Usage(error) => (error, 2),
            Failure::NobodyReads => return ExitCode::SUCCESS,
        };
        let mut text = format!("error: {error}");
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            // Many libraries repeat their cause in their own message.
            if !text.contains(&cause) {
                let _ = write!(text, "\n  caused by: {cause}");
            }
        }
        eprintln!("{text}");
        ExitCode::from(code)
    }
}

/// Only writing to stdout is turned into a failure without words of its own.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::NobodyReads,
            _ => Failure::Failed(anyhow::Error::new(error).context("cannot write the result to stdout")),
        }
    }
}
