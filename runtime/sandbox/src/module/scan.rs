//! A look at a file before anything of it is compiled: is it a component, is it of a sane size, what does it want.
//!
//! Only structure is read here. wasmtime validates the rest while it compiles, under a deadline.

use wasmparser::{BinaryReaderError, ComponentExternalKind, ComponentTypeRef, Encoding, Parser, Payload, TypeBounds};

use crate::{
    ModuleError, ModuleKind,
    config::{FUNCTION_BYTES_MAX, MODULE_FUNCTIONS_MAX, MODULE_NESTED_MAX},
};

/// What the world of workflows exports, and that of activities.
const EXPORTS: [&str; 4] = ["describe", "start", "resume", "answer-query"];
const ACTIVITY_EXPORTS: [&str; 2] = ["describe", "execute"];
/// The export by which activities are known.
const EXECUTE: &str = "execute";
/// Our interfaces for workflows, of version 0.1.
const OUR_INTERFACES: [&str; 14] = [
    "activation",
    "activities",
    "attributes",
    "children",
    "external",
    "info",
    "log",
    "markers",
    "random",
    "time",
    "timers",
    "types",
    "updates",
    "versioning",
];
/// Of `mainspring:workflow`, what activities have as well, and what is theirs alone in `mainspring:activity`. `activation`
/// has types only: a component names it whose code shares a crate with workflows.
const SHARED_INTERFACES: [&str; 3] = ["activation", "log", "types"];
const ACTIVITY_INTERFACES: [&str; 3] = ["attempts", "config", "context"];
/// What activities have of WASI beside the rest.
const HTTP_INTERFACES: [&str; 2] = ["http/outgoing-handler", "http/types"];
/// The interfaces of WASI 0.2 that the linker has.
const WASI_INTERFACES: [&str; 26] = [
    "cli/environment",
    "cli/exit",
    "cli/stderr",
    "cli/stdin",
    "cli/stdout",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stderr",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "clocks/monotonic-clock",
    "clocks/wall-clock",
    "filesystem/preopens",
    "filesystem/types",
    "io/error",
    "io/poll",
    "io/streams",
    "random/insecure",
    "random/insecure-seed",
    "random/random",
    "sockets/instance-network",
    "sockets/ip-name-lookup",
    "sockets/network",
    "sockets/tcp",
    "sockets/tcp-create-socket",
    "sockets/udp",
];
const WASI_UDP_CREATE_SOCKET: &str = "sockets/udp-create-socket";

/// What a component that is worth compiling is like.
#[derive(Debug, PartialEq, Eq)]
pub struct Scanned {
    pub kind: ModuleKind,
    /// Sorted.
    pub imports: Vec<String>,
}

pub fn scan(bytes: &[u8]) -> Result<Scanned, ModuleError> {
    if !bytes.starts_with(b"\0asm") {
        // A file that ends within the magic number is still no wasm file.
        return Err(ModuleError::NotWasm);
    }
    if Parser::is_core_wasm(bytes) {
        return Err(ModuleError::CoreModule);
    }
    let mut scan = Scan::default();
    for payload in Parser::new(0).parse_all(bytes) {
        scan.payload(payload.map_err(|error| broken(&error))?)?;
    }
    scan.finish()
}

fn broken(error: &BinaryReaderError) -> ModuleError {
    match error.message().contains("unexpected end") {
        true => ModuleError::Truncated(error.to_string()),
        false => ModuleError::Invalid(error.to_string()),
    }
}

#[derive(Default)]
struct Scan {
    depth: usize,
    nested: usize,
    functions: usize,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Scan {
    fn payload(&mut self, payload: Payload<'_>) -> Result<(), ModuleError> {
        match payload {
            Payload::Version { encoding, .. } if self.depth == 0 && encoding != Encoding::Component => {
                return Err(ModuleError::CoreModule);
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.depth += 1;
                self.nested += 1;
                bound("too many nested modules", self.nested, MODULE_NESTED_MAX)?;
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::FunctionSection(section) => {
                self.functions += section.count() as usize;
                bound("too many functions", self.functions, MODULE_FUNCTIONS_MAX)?;
            }
            Payload::CodeSectionEntry(body) => {
                bound("a function of too many bytes", body.range().len(), FUNCTION_BYTES_MAX)?;
            }
            Payload::ComponentImportSection(section) if self.depth == 0 => {
                for import in section {
                    let import = import.map_err(|error| broken(&error))?;
                    // A world that uses a type under a name of its own "imports" it: nothing has to be provided.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        self.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if self.depth == 0 => {
                for export in section {
                    let export = export.map_err(|error| broken(&error))?;
                    if export.kind == ComponentExternalKind::Func {
                        self.exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Scanned, ModuleError> {
        self.imports.sort_unstable();
        let is_activities = self.exports.iter().any(|export| export == EXECUTE);
        let kind = if is_activities { ModuleKind::Activities } else { ModuleKind::Workflows };
        let unknown: Vec<_> = self.imports.iter().filter(|name| !is_known(kind, name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(ModuleError::UnknownImports { kind, imports: unknown });
        }
        let exports: &[&str] = if is_activities { &ACTIVITY_EXPORTS } else { &EXPORTS };
        let missing: Vec<_> = exports
            .iter()
            .copied()
            .filter(|name| !self.exports.iter().any(|export| export == name))
            .map(str::to_owned)
            .collect();
        if !missing.is_empty() {
            return Err(ModuleError::MissingExports { kind, exports: missing });
        }
        Ok(Scanned { kind, imports: self.imports })
    }
}

fn bound(what: &'static str, count: usize, limit: usize) -> Result<(), ModuleError> {
    match count > limit {
        true => Err(ModuleError::TooComplex { what, count: count as u64, limit: limit as u64 }),
        false => Ok(()),
    }
}

/// Whether the linker provides this import, as far as a name can tell; the types are checked after compiling.
fn is_known(kind: ModuleKind, import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else { return false };
    let is_activities = kind == ModuleKind::Activities;
    if let Some(interface) = interface.strip_prefix("mainspring:workflow/") {
        let ours: &[&str] = if is_activities { &SHARED_INTERFACES } else { &OUR_INTERFACES };
        return ours.contains(&interface) && is_version(version, "0.1");
    }
    if let Some(interface) = interface.strip_prefix("mainspring:activity/") {
        return is_activities && ACTIVITY_INTERFACES.contains(&interface) && is_version(version, "0.1");
    }
    let Some(interface) = interface.strip_prefix("wasi:") else { return false };
    let is_there = WASI_INTERFACES.contains(&interface)
        || interface == WASI_UDP_CREATE_SOCKET
        || (is_activities && HTTP_INTERFACES.contains(&interface));
    is_there && is_version(version, "0.2")
}

/// Whether a version is `prefix` and a number. Pre-releases make no promise to be compatible.
fn is_version(version: &str, prefix: &str) -> bool {
    version
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_interfaces_and_wasi_0_2_are_known() {
        for known in ["mainspring:workflow/time@0.1.0", "wasi:io/poll@0.2.6", "wasi:sockets/udp-create-socket@0.2.12"] {
            assert!(is_known(ModuleKind::Workflows, known), "{known}");
        }
        for unknown in [
            "mainspring:workflow/time@0.2.0",
            "mainspring:workflow/time@0.1.0-rc.1",
            "mainspring:workflow/nexus@0.1.0",
            "mainspring:workflow/time",
            "wasi:http/types@0.2.6",
            "wasi:io/poll@0.3.0",
            "wasi:io/poll@0.2.",
            "acme:billing/api@1.0.0",
            "log",
        ] {
            assert!(!is_known(ModuleKind::Workflows, unknown), "{unknown}");
        }
    }

    #[test]
    fn each_world_has_interfaces_of_its_own() {
        let both = ["mainspring:workflow/log@0.1.0", "mainspring:workflow/types@0.1.0", "wasi:io/poll@0.2.6"];
        let activities = ["mainspring:activity/context@0.1.0", "wasi:http/outgoing-handler@0.2.12"];
        let workflows = ["mainspring:workflow/timers@0.1.0", "mainspring:workflow/activities@0.1.0"];
        let neither = ["mainspring:activity/files@0.1.0", "wasi:http/incoming-handler@0.2.12"];
        for (imports, of_workflows, of_activities) in [
            (both.as_slice(), true, true),
            (activities.as_slice(), false, true),
            (workflows.as_slice(), true, false),
            (neither.as_slice(), false, false),
        ] {
            for import in imports {
                assert_eq!(is_known(ModuleKind::Workflows, import), of_workflows, "{import}");
                assert_eq!(is_known(ModuleKind::Activities, import), of_activities, "{import}");
            }
        }
    }

    #[test]
    fn what_is_no_component_is_named_for_what_it_is() {
        assert_eq!(scan(b""), Err(ModuleError::NotWasm));
        assert_eq!(scan(b"\0as"), Err(ModuleError::NotWasm));
        assert_eq!(scan(b"#!/bin/sh\n"), Err(ModuleError::NotWasm));
        assert_eq!(scan(b"\0asm\x01\0\0\0"), Err(ModuleError::CoreModule));
        assert!(matches!(scan(b"\0asm\x0d\0"), Err(ModuleError::Truncated(_))));
        assert!(matches!(scan(b"\0asm\x0d\0\x01\0\x01\xff\xff\xff\x0f"), Err(ModuleError::Truncated(_))));
        assert!(matches!(scan(b"\0asm\x99\0\x01\0"), Err(ModuleError::Invalid(_))));
    }

    #[test]
    fn an_empty_component_lacks_all_exports() {
        let exports = EXPORTS.map(str::to_owned).to_vec();
        let missing = ModuleError::MissingExports { kind: ModuleKind::Workflows, exports };
        assert_eq!(scan(b"\0asm\x0d\0\x01\0"), Err(missing));
    }
}
