//! Rust: cargo does everything; here it is only told what to make, and asked where it is.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow};
use serde_json::Value;

use super::{
    Built, Project,
    tool::{self, Tool},
};
use crate::failure::{Failure, Outcome};

const TARGET: &str = "wasm32-wasip2";
/// The profile that modules are built with.
const PROFILE: &str = "mainspring";
/// What makes components small, and the same bytes of the same source. A `[profile.mainspring]` in the workspace's
/// Cargo.toml is used as it is instead.
const PROFILE_SETTINGS: [&str; 6] =
    ["inherits='release'", "opt-level='s'", "lto=true", "codegen-units=1", "debug=false", "strip=true"];

const CARGO: Tool = Tool {
    program: "cargo",
    purpose: "to build Rust workflows",
    install: "Install Rust from https://rustup.rs, then run `rustup target add wasm32-wasip2`.",
};
const RUSTC: Tool = Tool { program: "rustc", ..CARGO };

/// A package, as `cargo metadata` tells of it.
struct Package {
    id: String,
    /// Of its cdylib, which is what the component's file is named by.
    target: String,
    sources: Vec<PathBuf>,
    workspace: PathBuf,
}

pub fn build(project: &Project) -> Outcome<Built> {
    let manifest = manifest(project)?;
    let package = package(&manifest)?;
    check_target(&project.folder)?;
    let mut command = Command::new(CARGO.program);
    command.arg("build").arg("--manifest-path").arg(&manifest).args([
        "--lib",
        "--target",
        TARGET,
        "--profile",
        PROFILE,
    ]);
    // Diagnostics as text to stderr, and what was made as JSON to stdout.
    command.arg("--message-format=json-render-diagnostics");
    if !has_profile(&package.workspace) {
        command.args(
            PROFILE_SETTINGS.iter().flat_map(|setting| ["--config".to_owned(), format!("profile.{PROFILE}.{setting}")]),
        );
    }
    let messages = tool::run(&CARGO, &mut command, "compile the workflow")?;
    let file = artifact(&messages, &package.id).map_err(Failure::Failed)?;
    let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display())).map_err(Failure::Failed)?;
    Ok(Built { name: package.target, bytes, sources: package.sources })
}

/// The Cargo.toml that a path means: itself, the one in the folder, or for a source file the nearest above it.
fn manifest(project: &Project) -> Outcome<PathBuf> {
    let folder = project.folder.canonicalize().map_err(Failure::usage)?;
    let mut above = folder.ancestors().map(|folder| folder.join("Cargo.toml"));
    let found = match project.path.is_dir() {
        true => above.next().filter(|manifest| manifest.is_file()),
        false => above.find(|manifest| manifest.is_file()),
    };
    found.ok_or_else(|| {
        let hint = "`mainspring new NAME --lang rust` writes a project that builds.";
        Failure::Usage(anyhow!("{} belongs to no Cargo.toml.\n{hint}", project.path.display()))
    })
}

fn package(manifest: &Path) -> Outcome<Package> {
    let mut command = Command::new(CARGO.program);
    command.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let metadata = tool::run(&CARGO, &mut command, "read the project")?;
    let metadata: Value =
        serde_json::from_slice(&metadata).context("`cargo metadata` prints no JSON").map_err(Failure::Failed)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is_cdylib = |target: &Value| list(&target["crate_types"]).iter().any(|kind| kind == "cdylib");
    let packages = list(&metadata["packages"]);
    let Some(package) = packages.iter().find(|package| Path::new(&text(&package["manifest_path"])) == manifest) else {
        let modules = packages.iter().filter(|package| list(&package["targets"]).iter().any(is_cdylib));
        let names: Vec<_> = modules.map(|package| text(&package["manifest_path"])).collect();
        let hint = match names.is_empty() {
            true => "no member of it has a cdylib".to_owned(),
            false => format!("give one of its members: {}", names.join(", ")),
        };
        return Err(Failure::Usage(anyhow!(
            "{} is a workspace without a package of its own; {hint}",
            manifest.display()
        )));
    };
    let Some(target) = list(&package["targets"]).into_iter().find(is_cdylib) else {
        return Err(Failure::Usage(anyhow!(
            "{} makes no module: it needs\n\n    [lib]\n    crate-type = [\"cdylib\"]\n",
            manifest.display()
        )));
    };
    let folder = |path: String| Path::new(&path).to_owned();
    let mut sources: Vec<_> = manifest.parent().map(Path::to_owned).into_iter().collect();
    sources.extend(
        list(&package["dependencies"]).iter().filter_map(|dependency| dependency["path"].as_str().map(Into::into)),
    );
    Ok(Package {
        id: text(&package["id"]),
        target: text(&target["name"]),
        sources,
        workspace: folder(text(&metadata["workspace_root"])),
    })
}

/// A missing target otherwise shows as hundreds of errors about `core` and `std`.
fn check_target(folder: &Path) -> Outcome {
    // In the project's folder, where a rust-toolchain.toml may choose another toolchain.
    let mut command = Command::new(RUSTC.program);
    command.current_dir(folder).args(["--print", "target-libdir", "--target", TARGET]);
    let libraries = tool::ask(&RUSTC, &mut command)?;
    match libraries.is_some_and(|path| Path::new(&path).is_dir()) {
        true => Ok(()),
        false => Err(Failure::Usage(anyhow!(
            "Rust's target {TARGET} is needed to build Rust workflows, and is not installed.\nRun `rustup target add \
             {TARGET}`."
        ))),
    }
}

fn has_profile(workspace: &Path) -> bool {
    let manifest = fs::read_to_string(workspace.join("Cargo.toml")).unwrap_or_default();
    let manifest: toml::Table = manifest.parse().unwrap_or_default();
    manifest.get("profile").is_some_and(|profiles| profiles.get(PROFILE).is_some())
}

/// The wasm file that cargo says it has made of a package.
fn artifact(messages: &[u8], package: &str) -> anyhow::Result<PathBuf> {
    let messages = messages.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut made = messages
        .filter(|message| message["reason"] == "compiler-artifact" && message["package_id"] == package)
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from));
    made.rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"))
        .context("cargo says of no wasm file that it made it")
}
