//! What the server will ask of a component is asked when it is built.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use mainspring_sandbox::{ModuleDescription, ModuleKind, Sandbox, SandboxConfig};
use serde_json::json;

use super::{Built, Project};
use crate::{
    failure::{Failure, Outcome},
    output::{self, Format},
};

/// Compiles the component and has it describe itself, in a sandbox like the server's.
pub fn check(built: &Built) -> Outcome<ModuleDescription> {
    let sandbox = Sandbox::new(SandboxConfig::default()).map_err(Failure::failed)?;
    let loaded = sandbox.load(&built.bytes);
    loaded.context("it was built, and a server would refuse it").map_err(Failure::Failed)
}

pub fn report(
    file: &Path,
    project: &Project,
    description: &ModuleDescription,
    took: Duration,
    format: Format,
) -> Outcome {
    if !format.is_text() {
        let named = |names: &[String]| -> Vec<_> { names.iter().map(|name| json!({ "name": name })).collect() };
        return Ok(format.print_json(&json!({
            "file": file,
            "lang": project.lang.name(),
            "digest": description.digest.to_string(),
            "sizeBytes": description.size_bytes.to_string(),
            "workflows": named(&description.workflow_types),
            "activities": named(&description.activity_types),
            "imports": description.imports,
        }))?);
    }
    let took = Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let fields = [
        ("File", file.display().to_string()),
        ("Language", project.lang.name().to_owned()),
        ("Digest", description.digest.to_string()),
        ("Bytes", description.size_bytes.to_string()),
        match description.kind() {
            ModuleKind::Workflows => ("Workflows", description.workflow_types.join("\n")),
            ModuleKind::Activities => ("Activities", description.activity_types.join("\n")),
        },
        ("Imports", description.imports.join("\n")),
        ("Took", humantime::format_duration(took).to_string()),
    ];
    Ok(output::print_text(&output::section("Built", &fields))?)
}
