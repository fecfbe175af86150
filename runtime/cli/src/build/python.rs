//! Python: the SDK's own program runs componentize-py; here it gets a Python that has it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow};

use super::{
    Built, Project, sdk,
    tool::{self, Tool},
};
use crate::failure::{Failure, Outcome};

const PYTHON: Tool = Tool {
    program: "python3",
    purpose: "to build Python workflows",
    install: "Install Python 3.10 or later, from https://www.python.org or by your system's packages.",
};
/// What a folder's workflow file is called where it holds several.
const ENTRIES: [&str; 2] = ["workflow.py", "workflows.py"];
const REQUIREMENTS: &str = "guest-sdk/python/requirements.txt";

pub fn build(project: &Project) -> Outcome<Built> {
    let workflow = entry(project)?;
    let python = python(&project.folder)?;
    let scratch = tempfile::tempdir().context("cannot make a temporary folder").map_err(Failure::Failed)?;
    let checkout = sdk::place(&[sdk::WIT, sdk::PYTHON_SDK].concat(), scratch.path()).map_err(Failure::Failed)?;
    check_componentize(&python)?;
    let output = scratch.path().join("workflow.wasm");
    let mut command = Command::new(&python);
    // Its compiled files would go into the SDK's folder.
    command.arg("-B").arg(checkout.join("guest-sdk/python/build.py")).arg(&workflow).arg("-o").arg(&output);
    tool::run(&PYTHON, &mut command, "compile the workflow")?;
    let bytes = fs::read(&output).context("componentize-py wrote nothing").map_err(Failure::Failed)?;
    Ok(Built { name: project.default_name(), bytes, sources: vec![project.folder.clone()] })
}

fn entry(project: &Project) -> Outcome<PathBuf> {
    tool::entry(project, &ENTRIES, &["py"])
}

/// The project's own virtual environment, the one that is active, or the system's Python.
fn python(folder: &Path) -> Outcome<PathBuf> {
    let folder = folder.canonicalize().map_err(Failure::usage)?;
    let own = folder.ancestors().flat_map(|folder| [folder.join(".venv"), folder.join("venv")]);
    let active = std::env::var_os("VIRTUAL_ENV").filter(|path| !path.is_empty()).map(PathBuf::from);
    let environments = active.into_iter().chain(own).map(|environment| environment.join("bin/python"));
    let found = environments.into_iter().find(|python| python.is_file());
    found.or_else(|| tool::find(&["python3", "python"])).ok_or_else(|| PYTHON.missing())
}

fn check_componentize(python: &Path) -> Outcome {
    let mut command = Command::new(python);
    let there = tool::ask(&PYTHON, command.args(["-c", "import componentize_py"]))?.is_some();
    let requirements = sdk::PYTHON_SDK.iter().find(|(name, _)| *name == REQUIREMENTS);
    let lines = requirements.and_then(|(_, text)| std::str::from_utf8(text).ok()).unwrap_or_default().lines();
    let wanted: Vec<_> = lines.filter(|line| line.starts_with("componentize-py")).collect();
    match there {
        true => Ok(()),
        false => Err(Failure::Usage(anyhow!(
            "componentize-py is needed to build Python workflows, and {} does not have it.\nRun `{} -m pip install {}`.",
            python.display(),
            python.display(),
            wanted.first().unwrap_or(&"componentize-py")
        ))),
    }
}
