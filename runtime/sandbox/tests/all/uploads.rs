//! What is uploaded is accepted, or refused with a reason that its author can act on.

use std::time::Duration;

use mainspring_sandbox::{Digest, ModuleError, Sandbox, SandboxConfig};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::support::{puppet, sandbox, shared};

/// A component of our world with this core module in it.
fn component(core: &str) -> Vec<u8> {
    let mut module = wat::parse_str(core).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
    let world = resolve.select_world(&[package], Some("workflow")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// The core module of a guest that describes itself as these bytes of memory say, from address 16 on.
pub fn describing(imports: &str, describe: &str, more: &str) -> Vec<u8> {
    component(&format!(
        r#"(module
            {imports}
            (memory (export "memory") 1)
            (data (i32.const 16) "\20\00\00\00\01\00\00\00")
            (data (i32.const 32) "\30\00\00\00\04\00\00\00")
            (data (i32.const 48) "Tiny")
            (func (export "describe") (result i32) {describe})
            (func (export "start") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "resume") (param i32 i32) (result i32) unreachable)
            (func (export "answer-query") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            {more})"#
    ))
}

const NOW: &str = r#"(import "mainspring:workflow/time@0.1.0" "now" (func $now (param i32)))"#;

fn refused(bytes: &[u8]) -> ModuleError {
    shared().load(bytes).unwrap_err()
}

fn says(error: &ModuleError, words: &[&str]) {
    for word in words {
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_module_is_described() {
    let description = shared().load(puppet()).unwrap();
    assert_eq!(description.digest, Digest::of(puppet()));
    assert_eq!(description.size_bytes, puppet().len() as u64);
    assert_eq!(description.workflow_types, ["Puppet", "Stranger"]);
    assert!(description.imports.contains(&"mainspring:workflow/timers@0.1.0".to_owned()), "{:?}", description.imports);
    assert!(description.imports.is_sorted());

    let tiny = shared().load(&describing("", "i32.const 16", "")).unwrap();
    assert_eq!(tiny.workflow_types, ["Tiny"]);
}

#[test]
fn what_is_no_component_is_called_what_it_is() {
    says(&refused(b"not wasm at all"), &["not a wasm file"]);
    says(&refused(b""), &["not a wasm file"]);
    says(&refused(b"(component)"), &["not a wasm file"]);
    says(&refused(&wat::parse_str("(module)").unwrap()), &["core module", "--target wasm32-wasip2"]);
}

#[test]
fn a_file_that_is_cut_short_or_damaged_is_refused_wherever_it_is() {
    let whole = puppet();
    assert!(matches!(refused(&whole[..whole.len() / 2]), ModuleError::Truncated(_)));
    for part in 0..64 {
        let cut = whole.len() * part / 64;
        assert!(shared().load(&whole[..cut]).is_err(), "cut at {cut}");
    }
    for part in 0..8 {
        let cut = whole.len() * part / 8;
        // A changed byte may be one of a name or of some code, and then it is another module.
        let mut damaged = whole.to_vec();
        damaged[cut] ^= 0xff;
        let _ = shared().load(&damaged);
    }
}

#[test]
fn a_module_beyond_the_limit_is_not_even_looked_at() {
    let small = Sandbox::new(SandboxConfig { module_bytes: 1_000, ..SandboxConfig::default() }).unwrap();
    assert_eq!(small.load(&vec![0; 1_001]), Err(ModuleError::TooLarge { bytes: 1_001, limit: 1_000 }));
}

#[test]
fn imports_that_a_workflow_cannot_have_are_named() {
    let component = wat::parse_str(
        r#"(component
            (import "acme:billing/api@1.0.0" (instance))
            (import "wasi:http/types@0.2.6" (instance))
            (import "mainspring:workflow/nexus@0.1.0" (instance))
            (import "wasi:io/poll@0.2.6" (instance)))"#,
    )
    .unwrap();
    let ModuleError::UnknownImports { imports: names, .. } = refused(&component) else { panic!() };
    assert_eq!(names, ["acme:billing/api@1.0.0", "mainspring:workflow/nexus@0.1.0", "wasi:http/types@0.2.6"]);
}

#[test]
fn an_import_of_another_type_than_ours_is_refused() {
    let component = wat::parse_str(
        r#"(component
            (import "mainspring:workflow/random@0.1.0" (instance (export "get-bytes" (func (param "len" string)))))
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (export "describe" (func $f)) (export "start" (func $f)) (export "resume" (func $f)) (export "answer-query" (func $f)))"#,
    )
    .unwrap();
    says(&refused(&component), &["does not fit", "mainspring:workflow/random"]);
}

#[test]
fn exports_that_are_missing_or_of_another_type_are_named() {
    let ModuleError::MissingExports { exports: names, .. } = refused(&wat::parse_str("(component)").unwrap()) else {
        panic!()
    };
    assert_eq!(names, ["describe", "start", "resume", "answer-query"]);

    let component = wat::parse_str(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (export "describe" (func $f)) (export "start" (func $f)) (export "resume" (func $f)) (export "answer-query" (func $f)))"#,
    )
    .unwrap();
    says(&refused(&component), &["does not fit the world", "type-checking export"]);
}

#[test]
fn a_module_that_cannot_describe_itself_is_refused() {
    says(&refused(&describing("", "unreachable", "")), &["trapped", "unreachable"]);
    says(&refused(&describing("", "(loop br 0) unreachable", "")), &["fuel"]);
    says(&refused(&describing("", "i32.const 65532", "")), &["cannot tell"]);
    says(
        &refused(&describing(NOW, "(call $now (i32.const 64)) (i32.const 16)", "")),
        &["time.now", "may only call log"],
    );
    let cancel = r#"(import "mainspring:workflow/timers@0.1.0" "cancel" (func $cancel (param i32)))"#;
    let start = "(func $begin (call $cancel (i32.const 1))) (start $begin)";
    says(&refused(&describing(cancel, "i32.const 16", start)), &["timers.cancel", "instantiated"]);
}

#[test]
fn a_module_names_at_least_one_workflow_and_each_only_once() {
    assert_eq!(refused(&describing("", "i32.const 0", "")), ModuleError::NoWorkflows);
    let twice = r#"(data (i32.const 200) "\d0\00\00\00\02\00\00\00\30\00\00\00\04\00\00\00\30\00\00\00\04\00\00\00")"#;
    says(&refused(&describing("", "i32.const 200", twice)), &["\"Tiny\" is there twice"]);
    let unnamed = r#"(data (i32.const 200) "\d0\00\00\00\01\00\00\00\30\00\00\00\00\00\00\00")"#;
    says(&refused(&describing("", "i32.const 200", unnamed)), &["has no name"]);
}

#[test]
fn a_module_of_absurd_size_is_refused_before_it_is_compiled() {
    let functions = format!("(component (core module {}))", "(func)".repeat(200_001));
    says(&refused(&wat::parse_str(functions).unwrap()), &["too many functions: 200001", "200000"]);
    let long = format!("(component (core module (func {})))", "nop ".repeat(1_100_000));
    says(&refused(&wat::parse_str(long).unwrap()), &["a function of too many bytes"]);
    let many: String = (0..1_001).map(|index| format!("(import \"a:b/c{index}@1.0.0\" (instance))")).collect();
    says(&refused(&wat::parse_str(format!("(component {many})")).unwrap()), &["too many imports: 1001", "1000"]);
    let few: String = (0..12).map(|index| format!("(import \"a:b/c{index}@1.0.0\" (instance))")).collect();
    says(&refused(&wat::parse_str(format!("(component {few})")).unwrap()), &["a:b/c0@1.0.0", "and 2 more"]);
    let named = format!("(component (import \"{}\" (func)))", "x".repeat(300));
    says(&refused(&wat::parse_str(named).unwrap()), &["an import whose name has too many bytes: 300"]);
    let nested = format!("(component {})", "(core module)".repeat(257));
    says(&refused(&wat::parse_str(nested).unwrap()), &["too many nested modules: 257"]);
}

#[test]
fn initial_memory_and_tables_are_bounded_too() {
    let (small, _) = sandbox(|config| config.limits.memory_bytes = 8 * 1024 * 1024);
    let large = describing("", "i32.const 16", "(table 200000 funcref)");
    says(&small.load(&large).unwrap_err(), &["200000 table elements", "100000"]);
    let module = component(
        r#"(module (memory (export "memory") 1000)
            (func (export "describe") (result i32) unreachable)
            (func (export "start") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "resume") (param i32 i32) (result i32) unreachable)
            (func (export "answer-query") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#,
    );
    says(&small.load(&module).unwrap_err(), &["65536000 bytes of memory", "8388608"]);
}

#[test]
fn a_compilation_that_takes_too_long_is_given_up_and_keeps_its_place_until_it_is_done() {
    let config =
        SandboxConfig { compile_time: Duration::from_millis(1), compiles_at_once: 1, ..SandboxConfig::default() };
    let hasty = Sandbox::new(config).unwrap();
    let error = hasty.load(puppet()).unwrap_err();
    assert!(matches!(error, ModuleError::CompileTimeout(_)), "{error}");
    // The thread runs on, in the only place that there is.
    let other = describing("", "i32.const 16", "");
    let busy = hasty.load(&other).unwrap_err();
    assert!(matches!(busy, ModuleError::CompilersBusy(_)) && busy.is_transient(), "{busy}");
    while hasty.stats().compiling > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn bytes_that_are_not_the_module_s_are_refused() {
    use mainspring_sandbox::{History, ModuleBytes, RunKey, TaskFailureKind, WorkflowTask};

    struct Wrong;
    impl ModuleBytes for Wrong {
        fn module_bytes(&self, _digest: &Digest) -> Result<Option<Vec<u8>>, String> {
            Ok(Some(b"other bytes".to_vec()))
        }
    }
    impl History for Wrong {
        fn events_after(&self, _event_id: i64) -> Result<Vec<mainspring_api::history::HistoryEvent>, String> {
            Err("not asked".into())
        }
    }
    let run = RunKey { namespace: "n".into(), workflow_id: "w".into(), run_id: "r".into() };
    let task = WorkflowTask {
        run: &run,
        module: Digest::of(b"these bytes"),
        attempt: 1,
        started_event_id: 3,
        updates: &[],
        history: &Wrong,
        modules: &Wrong,
        terms: None,
    };
    let failure = shared().activate(&task).unwrap_err();
    assert_eq!(failure.kind, TaskFailureKind::ModuleUnusable, "{failure}");
    assert!(failure.to_string().contains("other bytes under its name"), "{failure}");
}
