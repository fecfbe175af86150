//! What several targets need: a guest that hands the host whatever it is told to, and a run of it.

#![cfg(feature = "fuzz")]

use std::sync::LazyLock;

use mainspring_api::{
    Timestamp,
    common::{Payload, Payloads, WorkflowType},
    enums::EventType,
    history::{history_event::Attributes, *},
    taskqueue::TaskQueue,
};
use mainspring_sandbox::{
    Activated, Digest, History, ModuleBytes, RunKey, Sandbox, SandboxConfig, TaskFailure, WorkflowTask,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What libFuzzer calls with every input. A panic cannot unwind out of it, so it aborts, and libFuzzer keeps the input.
#[macro_export]
macro_rules! fuzz_target {
    (|$data:ident| $body:block) => {
        fn target($data: &[u8]) $body

        #[unsafe(no_mangle)]
        extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32 {
            // Sound because libFuzzer promises that so many bytes are there. It gives no address for none.
            target(if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, size) } });
            0
        }
    };
}

/// A component of our world with this core module in it.
pub fn component(core: &str) -> Vec<u8> {
    let mut module = wat::parse_str(core).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit")).unwrap();
    let world = resolve.select_world(&[package], Some("workflow")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// A guest whose workflow `F` takes the data of its first payload for what it says to the host: the first byte chooses an
/// import, or the status that is returned; from the eighth byte on lie the arguments, as the canonical ABI has them in
/// memory. So every value that the host lifts is the fuzzer's.
///
/// Memory is one page and handed out from 4096 on, in order, so that the same input lies at the same place.
pub fn parrot() -> Vec<u8> {
    component(
        r#"(module
            (import "mainspring:workflow/activities@0.1.0" "schedule" (func $activity (param i32) (result i32)))
            (import "mainspring:workflow/children@0.1.0" "start" (func $child (param i32) (result i32)))
            (import "mainspring:workflow/external@0.1.0" "signal"
                (func $signal (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
            (import "mainspring:workflow/markers@0.1.0" "record-marker"
                (func $marker (param i32 i32 i32 i32 i32 i32 i32)))
            (import "mainspring:workflow/attributes@0.1.0" "upsert-memo" (func $memo (param i32 i32)))
            (import "mainspring:workflow/attributes@0.1.0" "upsert-search-attributes" (func $search (param i32 i32)))
            (import "mainspring:workflow/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
            (memory (export "memory") 1)
            (global $free (mut i32) (i32.const 4096))
            (data (i32.const 16) "\20\00\00\00\01\00\00\00")
            (data (i32.const 32) "\30\00\00\00\01\00\00\00")
            (data (i32.const 48) "F")
            (func (export "describe") (result i32) i32.const 16)
            (func $at (param i32 i32) (result i32)
                (i32.load (i32.add (local.get 0) (i32.add (i32.const 8) (i32.shl (local.get 1) (i32.const 2))))))
            (func (export "start") (param i32 i32 i32 i32) (result i32) (local $d i32)
                (if (i32.eqz (local.get 3)) (then (return (i32.const 1024))))
                (local.set $d (i32.load offset=8 (local.get 2)))
                (block $status (block $log (block $search (block $memo (block $marker (block $signal (block $child
                (block $activity
                    (br_table $activity $child $signal $marker $memo $search $log $status
                        (i32.and (i32.load8_u (local.get $d)) (i32.const 7))))
                    (drop (call $activity (i32.add (local.get $d) (i32.const 8)))) (return (i32.const 1024)))
                    (drop (call $child (i32.add (local.get $d) (i32.const 8)))) (return (i32.const 1024)))
                    (drop (call $signal (call $at (local.get $d) (i32.const 0)) (call $at (local.get $d) (i32.const 1))
                        (call $at (local.get $d) (i32.const 2)) (call $at (local.get $d) (i32.const 3))
                        (call $at (local.get $d) (i32.const 4)) (call $at (local.get $d) (i32.const 5))
                        (call $at (local.get $d) (i32.const 6)) (call $at (local.get $d) (i32.const 7))
                        (call $at (local.get $d) (i32.const 8)) (call $at (local.get $d) (i32.const 9))
                        (call $at (local.get $d) (i32.const 10)))) (return (i32.const 1024)))
                    (call $marker (call $at (local.get $d) (i32.const 0)) (call $at (local.get $d) (i32.const 1))
                        (call $at (local.get $d) (i32.const 2)) (call $at (local.get $d) (i32.const 3))
                        (call $at (local.get $d) (i32.const 4)) (call $at (local.get $d) (i32.const 5))
                        (call $at (local.get $d) (i32.const 6))) (return (i32.const 1024)))
                    (call $memo (call $at (local.get $d) (i32.const 0)) (call $at (local.get $d) (i32.const 1)))
                    (return (i32.const 1024)))
                    (call $search (call $at (local.get $d) (i32.const 0)) (call $at (local.get $d) (i32.const 1)))
                    (return (i32.const 1024)))
                    (call $log (call $at (local.get $d) (i32.const 0)) (call $at (local.get $d) (i32.const 1))
                        (call $at (local.get $d) (i32.const 2)) (call $at (local.get $d) (i32.const 3))
                        (call $at (local.get $d) (i32.const 4))) (return (i32.const 1024)))
                (i32.add (local.get $d) (i32.const 8)))
            (func (export "resume") (param i32 i32) (result i32) i32.const 1024)
            (func (export "answer-query") (param i32 i32 i32 i32 i32 i32) (result i32) i32.const 1024)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
                (local.set $at (global.get $free))
                (global.set $free (i32.and (i32.const -8)
                    (i32.add (i32.const 7) (i32.add (global.get $free) (local.get 3)))))
                (if (i32.gt_u (global.get $free) (i32.const 65536)) (then unreachable))
                (local.get $at)))"#,
    )
}

pub struct Host {
    pub sandbox: Sandbox,
    pub module: Digest,
    bytes: Vec<u8>,
}

impl ModuleBytes for Host {
    fn module_bytes(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        Ok((*digest == self.module).then(|| self.bytes.clone()))
    }
}

pub static PARROT: LazyLock<Host> = LazyLock::new(|| {
    let mut config = SandboxConfig::default();
    // Small, so that what takes too much of it is found soon.
    config.limits.fuel_per_activation = 10_000_000;
    config.limits.memory_bytes = 1024 * 1024;
    config.instance_cache_count = 4;
    let (sandbox, bytes) = (Sandbox::new(config).unwrap(), parrot());
    let module = sandbox.load(&bytes).unwrap().digest;
    Host { sandbox, module, bytes }
});

pub fn run_key() -> RunKey {
    RunKey {
        namespace: "default".into(),
        workflow_id: "fuzz".into(),
        run_id: "01a20a0f-5739-74a8-ae48-eaed80251506".into(),
    }
}

struct Journal(Vec<HistoryEvent>);

impl History for Journal {
    fn events_after(&self, event_id: i64) -> Result<Vec<HistoryEvent>, String> {
        Ok(self.0.get(usize::try_from(event_id).unwrap()..).unwrap_or_default().to_vec())
    }
}

fn event(event_id: i64, kind: EventType, attributes: Attributes) -> HistoryEvent {
    HistoryEvent {
        event_id,
        event_time: Some(Timestamp { seconds: 1_700_000_000 + event_id, nanos: 0 }),
        event_type: kind.into(),
        attributes: Some(attributes),
        ..Default::default()
    }
}

impl Host {
    /// The first workflow task of a run whose input is this.
    pub fn say(&self, data: &[u8]) -> Result<Activated, TaskFailure> {
        let started = WorkflowExecutionStartedEventAttributes {
            workflow_type: Some(WorkflowType { name: "F".into() }),
            task_queue: Some(TaskQueue { name: "fuzz".into(), ..Default::default() }),
            input: Some(Payloads { payloads: vec![Payload { data: data.to_vec(), ..Default::default() }] }),
            ..Default::default()
        };
        let history = Journal(vec![
            event(1, EventType::WorkflowExecutionStarted, Attributes::WorkflowExecutionStartedEventAttributes(started)),
            event(
                2,
                EventType::WorkflowTaskScheduled,
                Attributes::WorkflowTaskScheduledEventAttributes(Default::default()),
            ),
            event(
                3,
                EventType::WorkflowTaskStarted,
                Attributes::WorkflowTaskStartedEventAttributes(WorkflowTaskStartedEventAttributes {
                    scheduled_event_id: 2,
                    ..Default::default()
                }),
            ),
        ]);
        let run = run_key();
        let task = WorkflowTask {
            run: &run,
            module: self.module,
            attempt: 1,
            started_event_id: 3,
            updates: &[],
            history: &history,
            modules: self,
            terms: None,
        };
        let activated = self.sandbox.activate(&task);
        self.sandbox.evict(&run);
        activated
    }
}
