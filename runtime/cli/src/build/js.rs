//! TypeScript and JavaScript: the SDK's own program bundles the workflow with esbuild, and puts it into an engine that was
//! compiled beforehand.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow};

use super::{
    Built, Project, sdk,
    tool::{self, Tool},
};
use crate::failure::{Failure, Outcome};

const NODE: Tool = Tool {
    program: "node",
    purpose: "to build JavaScript workflows",
    install: "Install Node.js 20 or later, from https://nodejs.org or by your system's packages.",
};
/// What a folder's workflow file is called.
const ENTRIES: [&str; 8] = [
    "workflow.ts",
    "workflow.js",
    "workflows.ts",
    "workflows.js",
    "src/workflow.ts",
    "src/workflow.js",
    "src/workflows.ts",
    "src/workflows.js",
];
const ENGINE: &str = "guest-sdk/js/dist/engine.wasm";
const ENGINE_VARIABLE: &str = "MAINSPRING_JS_ENGINE";

pub fn build(project: &Project) -> Outcome<Built> {
    let workflow = entry(project)?;
    let scratch = tempfile::tempdir().context("cannot make a temporary folder").map_err(Failure::Failed)?;
    let checkout = sdk::place(sdk::JS_SDK, scratch.path()).map_err(Failure::Failed)?;
    if std::env::var_os(ENGINE_VARIABLE).is_none() && !checkout.join(ENGINE).is_file() {
        let hint = "Build mainspring after `make js`, or say in MAINSPRING_JS_ENGINE where the engine is.";
        return Err(Failure::Usage(anyhow!("this mainspring was built without its JavaScript engine.\n{hint}")));
    }
    let sdk = checkout.join("guest-sdk/js");
    if !sdk.join("node_modules").exists() {
        // Node looks for packages above the file that imports them, which is the SDK's.
        symlink(node_modules(&project.folder)?, sdk.join("node_modules"))
            .context("cannot link the project's packages")
            .map_err(Failure::Failed)?;
    }
    let output = scratch.path().join("workflow.wasm");
    let mut command = Command::new(NODE.program);
    command.arg(sdk.join("build/main.mjs")).arg(&workflow).arg("-o").arg(&output);
    tool::run(&NODE, &mut command, "compile the workflow")?;
    let bytes = fs::read(&output).context("the SDK wrote nothing").map_err(Failure::Failed)?;
    Ok(Built { name: project.default_name(), bytes, sources: vec![project.folder.clone()] })
}

fn entry(project: &Project) -> Outcome<PathBuf> {
    tool::entry(project, &ENTRIES, &["ts", "js", "mts", "mjs"])
}

/// Where the bundler is installed: in the project, or in a folder above it.
fn node_modules(folder: &Path) -> Outcome<PathBuf> {
    let folder = folder.canonicalize().map_err(Failure::usage)?;
    let modules = folder.ancestors().map(|folder| folder.join("node_modules"));
    modules.into_iter().find(|modules| modules.join("esbuild").is_dir()).ok_or_else(|| {
        let package = sdk::JS_SDK.iter().find(|(name, _)| *name == "guest-sdk/js/package.json");
        let package = package.and_then(|(_, text)| serde_json::from_slice::<serde_json::Value>(text).ok());
        let version = package.and_then(|package| package["dependencies"]["esbuild"].as_str().map(str::to_owned));
        let version = version.map(|version| format!("@{version}")).unwrap_or_default();
        Failure::Usage(anyhow!(
            "esbuild is needed to build JavaScript workflows, and {} has none in node_modules.\nRun `npm install \
             --save-dev esbuild{version}` there.",
            folder.display()
        ))
    })
}
