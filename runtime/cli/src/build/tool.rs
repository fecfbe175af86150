//! Running a language's tools, and saying what to install where one is missing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, anyhow};

use super::Project;
use crate::failure::{Failure, Outcome};

/// A program that a build needs.
#[derive(Clone, Copy)]
pub struct Tool {
    pub program: &'static str,
    /// What it is needed for: "to build Rust workflows".
    pub purpose: &'static str,
    /// What to do to have it.
    pub install: &'static str,
}

impl Tool {
    pub fn missing(&self) -> Failure {
        Failure::Usage(anyhow!(
            "`{}` is needed {}, and is not installed.\n{}",
            self.program,
            self.purpose,
            self.install
        ))
    }
}

/// Runs a tool to its end. What it says goes to stderr as it comes; its stdout is given back.
///
/// `doing` says what it was asked for, such as "compile the workflow".
pub fn run(tool: &Tool, command: &mut Command, doing: &str) -> Outcome<Vec<u8>> {
    let output = spawned(tool, command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => {
            let program = command.get_program().to_string_lossy();
            Err(Failure::Failed(anyhow!("`{program}` could not {doing}: {}", output.status)))
        }
    }
}

/// Asks a tool something that it answers on stdout; nothing where it does not answer.
pub fn ask(tool: &Tool, command: &mut Command) -> Outcome<Option<String>> {
    let output = spawned(tool, command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()))?;
    Ok(String::from_utf8(output.stdout).ok().filter(|_| output.status.success()).map(|text| text.trim().to_owned()))
}

fn spawned(tool: &Tool, command: &mut Command) -> Outcome<Output> {
    command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => tool.missing(),
        _ => {
            let program = command.get_program().to_string_lossy().into_owned();
            Failure::Usage(anyhow::Error::new(error).context(format!("`{program}` cannot be run")))
        }
    })
}

/// The first of these programs that is in PATH.
pub fn find(programs: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    programs.iter().find_map(|program| {
        std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
    })
}

/// The file that a project is built from: the one that was given, one of these names, or the only one of its kind.
pub fn entry(project: &Project, names: &[&str], extensions: &[&str]) -> Outcome<PathBuf> {
    let is_source = |path: &Path| {
        path.extension().and_then(|it| it.to_str()).is_some_and(|extension| extensions.contains(&extension))
    };
    if is_source(&project.path) && !project.path.is_dir() {
        return Ok(project.path.clone());
    }
    let folder = &project.folder;
    if let Some(found) = names.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
        return Ok(found);
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()));
    let files = entries.map_err(Failure::Usage)?.filter_map(Result::ok).map(|entry| entry.path());
    let sources: Vec<_> = files.filter(|path| path.is_file() && is_source(path)).collect();
    match sources.as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(Failure::Usage(anyhow!(
            "which file of {} has the workflows? Give it as the path, or call it {}.",
            folder.display(),
            names.join(" or ")
        ))),
    }
}
