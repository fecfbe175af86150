//! A look at a file before anything of it is compiled: is it a component, is it of a sane size, what does it want.
//!
//! Only structure is read here, in one pass over the file that keeps no more than a thousand short names: that is safe in
//! the server's process. wasmtime validates the rest while it compiles, where that is limited.

use memchr::memmem;
use wasmparser::{
    BinaryReaderError, ComponentExternalKind, ComponentTypeRef, Encoding, KnownCustom, Parser, Payload,
    ProducersSectionReader, TypeBounds,
};

use crate::{
    ModuleError, ModuleKind,
    config::{FUNCTION_BYTES_MAX, MODULE_FUNCTIONS_MAX, MODULE_NAME_BYTES_MAX, MODULE_NAMES_MAX, MODULE_NESTED_MAX},
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
/// Fields of a producers section, and what they tell. Rust itself is no sign: interpreters are written in it.
const TOOLS: [(&str, &str, &str); 4] = [
    ("language", "Go", "Go"),
    ("processed-by", "component-init-transform", "Python"),
    ("processed-by", "componentize-py", "Python"),
    ("processed-by", "wit-bindgen-rust", "Rust"),
];
/// What SDKs whose tools leave no sign call themselves in the failures that they report.
const SDK_NAMES: [(&str, &str); 2] = [("mainspring-js", "JavaScript"), ("mainspring-c", "C")];
const WASI_UDP_CREATE_SOCKET: &str = "sockets/udp-create-socket";

/// What a file tells of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Scanned {
    pub kind: ModuleKind,
    /// Sorted.
    pub imports: Vec<String>,
    /// What it was written in, as far as its tools have left traces; empty where they have not.
    pub language: &'static str,
}

/// A component that is worth compiling.
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
    language: &'static str,
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
                bound("too many imports", self.imports.len() + section.count() as usize, MODULE_NAMES_MAX)?;
                for import in section {
                    let import = import.map_err(|error| broken(&error))?;
                    // A world that uses a type under a name of its own "imports" it: nothing has to be provided.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        let name = import.name.name;
                        bound("an import whose name has too many bytes", name.len(), MODULE_NAME_BYTES_MAX)?;
                        self.imports.push(name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if self.depth == 0 => {
                bound("too many exports", self.exports.len() + section.count() as usize, MODULE_NAMES_MAX)?;
                for export in section {
                    let export = export.map_err(|error| broken(&error))?;
                    let name = export.name.name;
                    let is_ours = EXPORTS.contains(&name) || ACTIVITY_EXPORTS.contains(&name);
                    if export.kind == ComponentExternalKind::Func && is_ours {
                        self.exports.push(name.to_owned());
                    }
                }
            }
            Payload::CustomSection(section) if self.language.is_empty() => {
                if let KnownCustom::Producers(producers) = section.as_known() {
                    self.language = language_of_producers(producers).unwrap_or_default();
                }
            }
            Payload::DataSection(section) if self.language.is_empty() => {
                for data in section {
                    let data = data.map_err(|error| broken(&error))?.data;
                    let found = SDK_NAMES.iter().find(|(name, _)| has_word(data, name));
                    if let Some((_, language)) = found {
                        self.language = language;
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
        Ok(Scanned { kind, imports: self.imports, language: self.language })
    }
}

/// Whether the text stands there as a whole: a longer name that begins like it is another one.
fn has_word(data: &[u8], word: &str) -> bool {
    let mut found = memmem::find_iter(data, word.as_bytes());
    found.any(|at| data.get(at + word.len()).is_none_or(|next| !next.is_ascii_alphanumeric()))
}

/// What tools say of themselves: a guess, because none has to. A section that cannot be read tells nothing.
fn language_of_producers(producers: ProducersSectionReader<'_>) -> Option<&'static str> {
    for field in producers.into_iter().filter_map(Result::ok) {
        for value in field.values.into_iter().filter_map(Result::ok) {
            let found = TOOLS.iter().find(|(of, tool, _)| *of == field.name && value.name == *tool);
            if let Some((_, _, language)) = found {
                return Some(language);
            }
        }
    }
    None
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

    #[test]
    fn a_module_tells_what_it_was_written_in() {
        for (guest, language) in [
            ("order_workflow", "Rust"),
            ("example_order_c", "C"),
            ("example_order_go", "Go"),
            ("example_order_python", "Python"),
            ("js_order", "JavaScript"),
        ] {
            let target = std::env::var_os("CARGO_TARGET_DIR")
                .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target").into(), std::path::PathBuf::from);
            let path = target.join(format!("wasm32-wasip2/guest/{guest}.wasm"));
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(scan(&bytes).unwrap().language, language, "{guest}");
        }
    }
}
