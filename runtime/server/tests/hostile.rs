//! Guests that speak to the host below any SDK: malformed values, endless growth, calls that lead back into themselves.
//! Each fails its own workflow task with a reason, and the server goes on.

mod common;

use std::time::Duration;

use common::{TestServer, expect, queue, refused, start};
use mainspring_api::mainspring::{DeployModuleRequest, DeployModuleResponse, DeployTarget};
use temporalio_protos::temporal::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    failure::v1::{Failure, failure::FailureInfo},
    history::v1::history_event::Attributes,
    workflowservice::v1::{GetWorkflowExecutionHistoryRequest, StartWorkflowExecutionRequest},
};
use tonic::{Code, Response, Status};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

fn component(core: &str) -> Vec<u8> {
    let mut module = wat::parse_str(core).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
    let world = resolve.select_world(&[package], Some("workflow")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// A guest with workflow `T`. At 1024 lies the status `blocked`; at 2048 and after, what `data` says.
struct Guest {
    imports: &'static str,
    data: &'static str,
    start: &'static str,
    realloc: &'static str,
    more: &'static str,
}

/// One whose `start` hands out what lies at 2048.
const GUEST: Guest = Guest {
    imports: "",
    data: "",
    start: "i32.const 2048",
    // 4096 and on, each time the same: nobody needs what was lowered.
    realloc: "i32.const 4096",
    more: "",
};

impl Guest {
    fn bytes(&self) -> Vec<u8> {
        let Guest { imports, data, start, realloc, more } = self;
        component(&format!(
            r#"(module
                {imports}
                (memory (export "memory") 1)
                (data (i32.const 16) "\20\00\00\00\01\00\00\00")
                (data (i32.const 32) "\30\00\00\00\01\00\00\00")
                (data (i32.const 48) "T")
                (data (i32.const 2048) "{data}")
                (func (export "describe") (result i32) i32.const 16)
                (func $start (export "start") (param i32 i32 i32 i32) (result i32) {start})
                (func (export "resume") (param i32 i32) (result i32) i32.const 1024)
                (func (export "answer-query") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
                {more})"#
        ))
    }
}

async fn deploy(server: &TestServer, bytes: &[u8], task_queue: &str) -> Result<Response<DeployModuleResponse>, Status> {
    let target = DeployTarget {
        namespace: "default".into(),
        task_queue: task_queue.into(),
        size_bytes: bytes.len() as u64,
        ..Default::default()
    };
    let message = DeployModuleRequest { target: Some(target), chunk: bytes.to_vec() };
    server.modules().await.deploy_module(tokio_stream::iter([message])).await
}

/// Starts `T` on a task queue, and waits for what comes of its first workflow task.
async fn first_task(server: &TestServer, task_queue: &str, workflow_id: &str) -> Result<(), Failure> {
    let mut client = server.client().await;
    let request = StartWorkflowExecutionRequest {
        workflow_type: Some(WorkflowType { name: "T".into() }),
        task_queue: queue(task_queue),
        request_id: workflow_id.into(),
        ..start(workflow_id)
    };
    let run_id = client.start_workflow_execution(request).await.unwrap().into_inner().run_id;
    let request = GetWorkflowExecutionHistoryRequest {
        namespace: "default".into(),
        execution: Some(WorkflowExecution { workflow_id: workflow_id.into(), run_id }),
        wait_new_event: true,
        ..Default::default()
    };
    let found = async {
        let mut request = request;
        loop {
            let page = client.get_workflow_execution_history(request.clone()).await.unwrap().into_inner();
            for event in page.history.unwrap_or_default().events {
                match event.attributes {
                    Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => return Err(failed.failure.unwrap()),
                    Some(Attributes::WorkflowTaskCompletedEventAttributes(_)) => return Ok(()),
                    _ => {}
                }
            }
            request.next_page_token = page.next_page_token;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.expect("its workflow task ends")
}

/// What a guest does, the type of the failure that its workflow task gets, and what its message says.
const MISCHIEF: [(&str, Guest, &str, &str); 23] = [
    ("a status beyond its memory", Guest { start: "i32.const 65536", ..GUEST }, "Trap", "out of bounds"),
    ("a status at the end of memory", Guest { start: "i32.const 65528", ..GUEST }, "Trap", "out of bounds"),
    ("a status that is not aligned", Guest { start: "i32.const 2049", ..GUEST }, "Trap", "not aligned"),
    ("a status of no kind", Guest { data: r"\09\00\00\00", ..GUEST }, "Trap", "unexpected discriminant: 9"),
    (
        "a result of four billion payloads",
        Guest { data: r"\01\00\00\00\00\00\00\00\00\08\00\00\ff\ff\ff\ff", ..GUEST },
        "Trap",
        "out of bounds",
    ),
    (
        "a result beyond its memory",
        Guest { data: r"\01\00\00\00\00\00\00\00\f0\ff\00\00\10\00\00\00", ..GUEST },
        "Trap",
        "out of bounds",
    ),
    (
        "a failure without a link",
        Guest { data: r"\02\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00", ..GUEST },
        "BadCall",
        "without a single link",
    ),
    (
        "a failure whose message is no UTF-8",
        // One link at 2080; its message are two bytes at 2072.
        Guest {
            data: r"\02\00\00\00\00\00\00\00\20\08\00\00\01\00\00\00\00\00\00\00\00\00\00\00\ff\fe\00\00\00\00\00\00\18\08\00\00\02\00\00\00",
            ..GUEST
        },
        "Trap",
        "utf-8",
    ),
    (
        "a message in the log that is no UTF-8",
        Guest {
            imports: LOG,
            data: r"\c3\28",
            start: "(call $log (i32.const 2) (i32.const 2048) (i32.const 2) (i32.const 0) (i32.const 0)) (i32.const 1024)",
            ..GUEST
        },
        "Trap",
        "utf-8",
    ),
    (
        "a log line of no level",
        Guest {
            imports: LOG,
            start: "(call $log (i32.const 77) (i32.const 2048) (i32.const 2) (i32.const 0) (i32.const 0)) (i32.const 1024)",
            ..GUEST
        },
        "Trap",
        "unexpected discriminant: 77",
    ),
    (
        "a log line of a gigabyte",
        Guest {
            imports: LOG,
            start: "(call $log (i32.const 2) (i32.const 0) (i32.const 0x40000000) (i32.const 0) (i32.const 0)) (i32.const 1024)",
            ..GUEST
        },
        "Trap",
        "out of bounds",
    ),
    (
        "a log line of half of its memory's limit",
        Guest {
            imports: LOG,
            start: "(drop (memory.grow (i32.const 600))) (call $log (i32.const 2) (i32.const 65536) (i32.const 0x2300000) (i32.const 0) (i32.const 0)) (i32.const 1024)",
            ..GUEST
        },
        "CallBytesLimitExceeded",
        "one host call carries more than",
    ),
    (
        "a hundred thousand fields that are one",
        // Each field is the sixteen empty bytes at 65536 and on.
        Guest {
            imports: LOG,
            start: "(drop (memory.grow (i32.const 600))) (call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 2000000)) (i32.const 1024)",
            ..GUEST
        },
        "CallBytesLimitExceeded",
        "one host call carries more than",
    ),
    (
        "memory without end",
        Guest { start: "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable", ..GUEST },
        "MemoryLimitExceeded",
        "bytes of memory",
    ),
    (
        "a table without end",
        Guest {
            more: "(table 1 funcref)",
            start: "(loop (br_if 0 (i32.ne (table.grow 0 (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable",
            ..GUEST
        },
        "TableLimitExceeded",
        "table elements",
    ),
    // Each element costs fuel before it is counted.
    (
        "a table of two billion at once",
        Guest {
            more: "(table 1 funcref)",
            start: "(drop (table.grow 0 (ref.null func) (i32.const 0x7fffffff))) unreachable",
            ..GUEST
        },
        "FuelLimitExceeded",
        "fuel",
    ),
    (
        "recursion",
        Guest { start: "(call $start (local.get 0) (local.get 1) (local.get 2) (local.get 3))", ..GUEST },
        "StackLimitExceeded",
        "recurses too deep",
    ),
    ("a loop", Guest { start: "(loop (br 0)) unreachable", ..GUEST }, "FuelLimitExceeded", "fuel"),
    (
        "a division by zero",
        Guest { start: "(i32.div_u (i32.const 1) (i32.const 0))", ..GUEST },
        "Trap",
        "divide by zero",
    ),
    (
        "an indirect call of nothing",
        Guest {
            more: "(type $t (func)) (table 1 funcref)",
            start: "(call_indirect (type $t) (i32.const 0)) unreachable",
            ..GUEST
        },
        "Trap",
        "uninitialized element",
    ),
    // What the host lowers asks the guest for room.
    ("room beyond its memory", Guest { realloc: "i32.const 0x7ffffff0", ..GUEST }, "Trap", "realloc"),
    (
        "room that it asks the host for",
        Guest {
            imports: r#"(import "mainspring:workflow/random@0.1.0" "get-bytes" (func $random (param i32 i32)))"#,
            realloc: "(call $random (i32.const 8) (i32.const 3000)) (i32.const 4096)",
            ..GUEST
        },
        "Trap",
        "cannot leave component instance",
    ),
    ("room that takes for ever", Guest { realloc: "(loop (br 0)) unreachable", ..GUEST }, "FuelLimitExceeded", "fuel"),
];

const LOG: &str = r#"(import "mainspring:workflow/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))"#;

#[tokio::test]
async fn mischief_fails_its_own_workflow_task_with_the_reason() {
    let server = TestServer::start().await;
    let mut wrong = Vec::new();
    for (index, (what, guest, failure_type, words)) in MISCHIEF.iter().enumerate() {
        let task_queue = format!("mischief-{index}");
        deploy(&server, &guest.bytes(), &task_queue).await.unwrap_or_else(|status| panic!("{what}: {status:?}"));
        let Err(failure) = first_task(&server, &task_queue, &task_queue).await else {
            wrong.push(format!("{what}: it was taken"));
            continue;
        };
        let found = match &failure.failure_info {
            Some(FailureInfo::ApplicationFailureInfo(info)) => info.r#type.as_str(),
            _ => "none",
        };
        if found != *failure_type || !failure.message.contains(words) {
            wrong.push(format!("{what}: {found}: {}", failure.message));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // It serves the next one.
    deploy(&server, &Guest { data: r"\00", ..GUEST }.bytes(), "good").await.unwrap();
    first_task(&server, "good", "good").await.unwrap();
    server.stopped().await.unwrap();
}

/// Six MiB, which every run fills before it ends. The next one finds none of it.
#[tokio::test]
async fn memory_comes_zeroed_whoever_had_it_before() {
    let server = TestServer::start().await;
    let filler = Guest {
        data: r"\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00",
        start: "(local $p i32)
            (if (i32.ne (memory.grow (i32.const 100)) (i32.const 1)) (then unreachable))
            (local.set $p (i32.const 8192))
            (loop
                (if (i64.ne (i64.load (local.get $p)) (i64.const 0)) (then unreachable))
                (i64.store (local.get $p) (i64.const -1))
                (local.set $p (i32.add (local.get $p) (i32.const 8)))
                (br_if 0 (i32.lt_u (local.get $p) (i32.const 6619136))))
            i32.const 2048",
        ..GUEST
    };
    deploy(&server, &filler.bytes(), "fill").await.unwrap();
    for run in 0..30 {
        first_task(&server, "fill", &format!("fill-{run}")).await.unwrap();
    }
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn what_misbehaves_while_it_is_made_is_refused_at_upload() {
    let server = TestServer::start().await;
    let looping = Guest { more: "(func $begin (loop (br 0))) (start $begin)", ..GUEST };
    let growing =
        Guest { more: "(func $begin (drop (memory.grow (i32.const 60000))) unreachable) (start $begin)", ..GUEST };
    let many = "(core module $m (memory 1)) ".to_owned() + &"(core instance (instantiate $m)) ".repeat(70);
    for (guest, words) in [(&looping, "fuel"), (&growing, "bytes of memory")] {
        expect(deploy(&server, &guest.bytes(), "q").await, Code::InvalidArgument, words);
    }
    // Seventy instances of a module within, beside those that it needs.
    let many = nest(&GUEST.bytes(), &wat::parse_str(format!("(component {many})")).unwrap());
    let status = refused(deploy(&server, &many, "q").await);
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains("resource limit exceeded"), "{status:?}");
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn what_is_said_of_a_module_fits_into_an_answer() {
    let server = TestServer::start().await;
    // The validator quotes the name that is there twice.
    let name = "x".repeat(200_000);
    let twice =
        wat::parse_str(format!(r#"(component (core module $m (func (export "{name}")) (func (export "{name}"))))"#));
    let twice = twice.unwrap();
    let bad = nest(&GUEST.bytes(), &twice);
    let status = refused(deploy(&server, &bad, "q").await);
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().len() < 4_096, "{} bytes", status.message().len());
    server.stopped().await.unwrap();
}

/// A component with another one in it, at its end, that is instantiated with nothing.
fn nest(component: &[u8], inner: &[u8]) -> Vec<u8> {
    fn number(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }
    let before = wasmparser::Parser::new(0).parse_all(component);
    let mut depth = 0;
    let mut components = 0;
    for payload in before {
        match payload.unwrap() {
            wasmparser::Payload::ComponentSection { .. } => {
                components += usize::from(depth == 0);
                depth += 1;
            }
            wasmparser::Payload::ModuleSection { .. } => depth += 1,
            wasmparser::Payload::ComponentAliasSection(section) if depth == 0 => {
                for alias in section {
                    let wasmparser::ComponentAlias::InstanceExport { kind, .. } = alias.unwrap() else { continue };
                    components += usize::from(kind == wasmparser::ComponentExternalKind::Component);
                }
            }
            wasmparser::Payload::End(_) => depth = usize::saturating_sub(depth, 1),
            _ => {}
        }
    }
    // A component section, and an instance section that instantiates it.
    let instance = [vec![1, 0], number(components), vec![0]].concat();
    let sections = [vec![4], number(inner.len()), inner.to_vec(), vec![5], number(instance.len()), instance];
    [component.to_vec(), sections.concat()].concat()
}
