//! Running the real binary, away from whatever the developer's environment says.

// Each test binary uses its part of this.
#![allow(dead_code)]

use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// The binary, in an environment that holds nothing of Mainspring's or Temporal's.
pub fn mainspring(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainspring"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("MAINSPRING_") || name.starts_with("TEMPORAL_") {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn run(arguments: &[&str]) -> Ran {
    ran(mainspring(arguments).output().unwrap())
}

pub fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().expect("it was not killed"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}
