//! Modules and deployments on a whole engine: what new runs get, what runs keep, and what can be deleted when.

// The deprecated fields are what the server writes: what current SDKs and tools still show.
#![allow(deprecated)]

mod common;

use std::sync::Arc;

use common::{WAIT, events, guest, open, open_with, result, run, signal, start};
use mainspring_api::history::history_event::Attributes;
use mainspring_core::Rejection;
use mainspring_engine::{
    Begun, DeployedTo, Engine, EngineError, HistoryQuery, Need, RolledBack, Share, VersionRef, verify,
};
use mainspring_sandbox::Digest;
use mainspring_store::{Batch, MemoryStore, ShardId, Store, prefix_end};

const QUEUE: &str = "tests";

fn first() -> Vec<u8> {
    guest("guest_kitchen.wasm")
}

/// Other bytes that do the same.
fn second() -> Vec<u8> {
    let mut bytes = first();
    let text = b"a test sleeps";
    let at = bytes.windows(text.len()).position(|window| window == text).expect("the guest has the text");
    bytes[at] = b'A';
    bytes
}

fn of(bytes: &[u8]) -> VersionRef {
    VersionRef::Digest(Digest::of(bytes).to_string())
}

/// Starts a run that waits for a signal, and waits for its first turn.
async fn begin(engine: &Engine, workflow_id: &str) -> Digest {
    engine.start_workflow("default", start(workflow_id, "SignalCounter", &["1"])).await.unwrap();
    pinned(engine, workflow_id).await
}

/// What a run is pinned to, when it has had its first turn.
async fn pinned(engine: &Engine, workflow_id: &str) -> Digest {
    let mut from_event_id = 1;
    loop {
        let query = HistoryQuery {
            run: run(workflow_id),
            from_event_id,
            page_size: 100,
            reverse: false,
            wait: Some(WAIT),
            close_event_only: false,
        };
        let page = engine.history("default", query).await.unwrap();
        assert!(!page.events.is_empty(), "{workflow_id} has had no turn in time");
        let completed = page.events.iter().find_map(|event| match &event.attributes {
            Some(Attributes::WorkflowTaskCompletedEventAttributes(completed)) => completed.worker_version.clone(),
            _ => None,
        });
        match completed {
            Some(version) => return version.build_id.parse().unwrap(),
            None => from_event_id = page.next_event_id.unwrap(),
        }
    }
}

/// The modules of all turns that a run has had.
async fn modules_of(engine: &Engine, workflow_id: &str) -> Vec<Digest> {
    let events = events(engine, run(workflow_id)).await;
    let mut modules: Vec<Digest> = events
        .iter()
        .filter_map(|event| match &event.attributes {
            Some(Attributes::WorkflowTaskCompletedEventAttributes(completed)) => completed.worker_version.as_ref(),
            _ => None,
        })
        .map(|version| version.build_id.parse().unwrap())
        .collect();
    modules.dedup();
    modules
}

async fn finish(engine: &Engine, workflow_id: &str) {
    engine.signal_workflow("default", run(workflow_id), signal("tick", "1")).await.unwrap();
    assert_eq!(result(engine, workflow_id).await, "[1]");
}

/// Open runs by version, and those that have none.
async fn drain(engine: &Engine) -> (Vec<u64>, u64) {
    let report = engine.describe_deployment("default", QUEUE).await.unwrap();
    let of = |digest| report.open_runs.get(&digest).copied().unwrap_or_default();
    (report.deployment.versions.list().iter().map(|version| of(Some(version.digest))).collect(), of(None))
}

async fn stop(engine: Engine) {
    engine.shutdown().await;
    drop(engine);
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, EngineError>) -> String {
    match answer {
        Err(EngineError::Rejected(Rejection::FailedPrecondition(message))) => message,
        other => panic!("not refused for the present state: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_keep_their_module_when_versions_go_forward_and_back_and_the_engine_restarts() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    let (old, new) = (Digest::of(&first()), Digest::of(&second()));
    engine.deploy_module("default", QUEUE, first()).await.unwrap();
    assert_eq!(begin(&engine, "one").await, old);
    let deployed = engine.deploy_module_as("default", QUEUE, second(), "somebody").await.unwrap();
    let DeployedTo::Versions(deployment) = &deployed.to else { panic!("{deployed:?}") };
    let version = deployment.versions.active().unwrap().clone();
    assert_eq!((version.number, version.activated.unwrap().identity.as_str()), (2, "somebody"));
    assert_eq!(begin(&engine, "two").await, new);
    let (rolled_back, _) = engine.roll_back("default", QUEUE, "somebody").await.unwrap();
    assert_eq!(rolled_back, RolledBack::To { number: 1 });
    assert_eq!(begin(&engine, "three").await, old);
    assert_eq!(drain(&engine).await, (vec![2, 1], 0));
    stop(engine).await;

    let engine = open(&store);
    assert_eq!(drain(&engine).await, (vec![2, 1], 0));
    assert_eq!(begin(&engine, "four").await, old);
    for (workflow_id, module) in [("one", old), ("two", new), ("three", old), ("four", old)] {
        finish(&engine, workflow_id).await;
        assert_eq!(modules_of(&engine, workflow_id).await, [module], "{workflow_id}");
    }
    assert_eq!(drain(&engine).await, (vec![0, 0], 0));
    stop(engine).await;
    assert_eq!(verify(&store).unwrap().problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ramp_gives_each_start_what_its_workflow_id_says() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    engine.deploy_module("default", QUEUE, first()).await.unwrap();
    let begun = engine.begin_upload("default", Digest::of(&second()), second().len() as u64).await.unwrap();
    let Begun::Upload(mut upload) = begun else { panic!("the module is new") };
    upload.append(&second()).await.unwrap();
    upload.finish("somebody").await.unwrap();
    engine.ramp_version("default", QUEUE, of(&second()), 25.0, "").await.unwrap();
    let namespace: uuid::Uuid = engine.namespace("default").unwrap().id.parse().unwrap();
    let share = Share::from_percentage(25.0).unwrap();
    let mut ramped = 0;
    for number in 0..60 {
        let workflow_id = format!("order-{number}");
        let expected = if share.holds(namespace, &workflow_id) { second() } else { first() };
        assert_eq!(begin(&engine, &workflow_id).await, Digest::of(&expected), "{workflow_id}");
        ramped += u64::from(share.holds(namespace, &workflow_id));
    }
    // The same starts come to the same runs.
    begin(&engine, "order-0").await;
    assert_eq!(drain(&engine).await, (vec![60 - ramped, ramped], 0));
    let promoted = engine.ramp_version("default", QUEUE, VersionRef::Number(2), 100.0, "").await.unwrap();
    assert_eq!(promoted.deployment.versions.active().unwrap().number, 2);
    assert_eq!(begin(&engine, "after").await, Digest::of(&second()));
    stop(engine).await;
    assert_eq!(verify(&store).unwrap().problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_first_turn_has_no_version_and_takes_the_one_that_comes() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    engine.deploy_module("default", QUEUE, first()).await.unwrap();
    engine.undeploy_module("default", QUEUE).await.unwrap();
    engine.start_workflow("default", start("early", "SignalCounter", &["1"])).await.unwrap();
    assert_eq!(drain(&engine).await, (vec![0], 1));
    stop(engine).await;
    let engine = open(&store);
    assert_eq!(drain(&engine).await, (vec![0], 1));
    let (rolled_back, _) = engine.roll_back("default", QUEUE, "").await.unwrap();
    assert_eq!(rolled_back, RolledBack::To { number: 1 });
    assert_eq!(pinned(&engine, "early").await, Digest::of(&first()));
    assert_eq!(drain(&engine).await, (vec![1], 0));
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_is_deleted_only_when_nothing_needs_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    let old = Digest::of(&first());
    let prefix = old.to_string()[..8].to_owned();
    let delete = || engine.delete_module("default", &prefix);
    engine.deploy_module("default", QUEUE, first()).await.unwrap();
    assert!(refusal(delete().await).contains("is active on task queue \"tests\", as version 1"));
    begin(&engine, "open").await;
    engine.deploy_module("default", QUEUE, second()).await.unwrap();
    assert!(refusal(delete().await).contains("what a rollback of task queue \"tests\" goes to"));
    engine.activate_version("default", QUEUE, VersionRef::Number(1), "").await.unwrap();
    engine.activate_version("default", QUEUE, VersionRef::Number(2), "").await.unwrap();
    engine.undeploy_module("default", QUEUE).await.unwrap();
    assert!(refusal(delete().await).contains("1 open runs are pinned to it"));
    let report = engine.describe_module("default", &old.to_string()).await.unwrap();
    assert_eq!((report.open_runs(), report.uses[0].version, report.uses[0].need), (1, 1, None));
    finish(&engine, "open").await;
    assert!(refusal(delete().await).contains("within the namespace's retention of 24 h"));
    engine.delete_workflow("default", run("open")).await.unwrap();
    assert_eq!(delete().await.unwrap(), old);
    assert!(matches!(delete().await, Err(EngineError::ModuleNotFound(_))));
    let activated = engine.activate_version("default", QUEUE, VersionRef::Number(1), "").await;
    assert!(matches!(activated, Err(EngineError::Rejected(Rejection::NotFound(_)))), "{activated:?}");
    // The other one stays, and what is left of the deployment with it.
    let modules = engine.list_modules("default", None, 10).await.unwrap();
    assert_eq!(modules.iter().map(|report| report.module.digest).collect::<Vec<_>>(), [Digest::of(&second())]);
    stop(engine).await;
    assert_eq!(verify(&store).unwrap().problems, Vec::<String>::new());
    let engine = open(&store);
    assert!(engine.download_module("default", &old.to_string()).await.is_err());
    let (rolled_back, _) = engine.roll_back("default", QUEUE, "").await.unwrap();
    assert_eq!(rolled_back, RolledBack::To { number: 2 });
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_go_with_the_last_namespace_that_has_them() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open_with(&store, &["default", "other"]);
    let digest = Digest::of(&first()).to_string();
    engine.deploy_module("default", QUEUE, first()).await.unwrap();
    // Who knows a digest does not have the module.
    assert!(engine.describe_module("other", &digest).await.is_err());
    assert!(engine.activate_version("other", QUEUE, of(&first()), "").await.is_err());
    let begun = engine.begin_upload("other", Digest::of(&first()), first().len() as u64).await.unwrap();
    assert!(matches!(begun, Begun::Upload(upload) if upload.offset() == 0));
    engine.deploy_module("other", QUEUE, first()).await.unwrap();
    for namespace in ["default", "other"] {
        engine.undeploy_module(namespace, QUEUE).await.unwrap();
    }
    engine.delete_module("default", &digest).await.unwrap();
    assert!(engine.download_module("default", &digest).await.is_err());
    assert_eq!(engine.download_module("other", &digest).await.unwrap().1, first());
    engine.delete_module("other", &digest).await.unwrap();
    assert!(store.scan(b"b", b"c", false, 1).unwrap().is_empty());
    // Nothing was left that had a version: neither are the deployments.
    assert!(engine.list_deployments("other", "", 10).unwrap().is_empty());
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_a_restart_and_leaves_nothing_when_it_is_through() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    let (bytes, digest) = (first(), Digest::of(&first()));
    let size = bytes.len() as u64;
    let Begun::Upload(mut upload) = engine.begin_upload("default", digest, size).await.unwrap() else { panic!("new") };
    upload.append(&bytes[..100_000]).await.unwrap();
    upload.break_off().await.unwrap();
    stop(engine).await;
    assert_eq!(verify(&store).unwrap().problems, Vec::<String>::new());

    let engine = open(&store);
    let Begun::Upload(mut upload) = engine.begin_upload("default", digest, size).await.unwrap() else { panic!("new") };
    assert_eq!(upload.offset(), 100_000);
    upload.append(&bytes[100_000..]).await.unwrap();
    let module = upload.finish("somebody").await.unwrap();
    assert_eq!((module.digest, module.uploaded_by.as_str(), module.language.as_str()), (digest, "somebody", "Rust"));
    let begun = engine.begin_upload("default", digest, size).await.unwrap();
    assert!(matches!(begun, Begun::Known(module) if module.digest == digest));
    assert!(store.scan(b"y", b"{", false, 1).unwrap().is_empty());
    // It was not activated.
    assert!(engine.describe_deployment("default", QUEUE).await.is_err());
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn few_broken_off_uploads_are_kept_and_what_was_wrong_is_not() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    let digest = |number: u8| Digest::from_bytes([number; 32]);
    for number in 0..7 {
        let begun = engine.begin_upload("default", digest(number), 10).await.unwrap();
        let Begun::Upload(mut upload) = begun else { panic!("new") };
        upload.append(b"abc").await.unwrap();
        upload.break_off().await.unwrap();
    }
    let partial = |number: u8| {
        let engine = engine.clone();
        async move {
            match engine.begin_upload("default", digest(number), 10).await.unwrap() {
                Begun::Upload(upload) => upload.offset(),
                Begun::Known(module) => panic!("{module:?}"),
            }
        }
    };
    // The latest stay.
    assert_eq!((partial(0).await, partial(2).await, partial(6).await), (0, 0, 3));
    let Begun::Upload(mut upload) = engine.begin_upload("default", digest(6), 10).await.unwrap() else { panic!("new") };
    let refused = upload.append(b"and far too much").await.unwrap_err();
    assert!(refused.to_string().contains("more than the 10 bytes"), "{refused}");
    upload.append(b"defghij").await.unwrap();
    let refused = upload.finish("").await.unwrap_err();
    assert!(refused.to_string().contains("and not 0606"), "{refused}");
    assert_eq!(partial(6).await, 0);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_before_there_were_versions_opens() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    engine.deploy_module("default", QUEUE, first()).await.unwrap();
    begin(&engine, "open").await;
    begin(&engine, "closed").await;
    finish(&engine, "closed").await;
    let namespace: uuid::Uuid = engine.namespace("default").unwrap().id.parse().unwrap();
    stop(engine).await;

    // As it was written then: a deployment was a digest and a time, an upload nothing, and no index was by module.
    let digest = Digest::of(&first());
    let mut batch = Batch::new(ShardId(0), store.acquire_shard(ShardId(0)).unwrap());
    let of_namespace = |kind: &[u8], rest: &[u8]| [kind, namespace.as_bytes().as_slice(), rest].concat();
    batch.put(
        of_namespace(b"d", QUEUE.as_bytes()),
        [[0x0a, 32].as_slice(), digest.as_bytes().as_slice(), &[0x10, 0x05]].concat(),
    );
    batch.put(of_namespace(b"u", digest.as_bytes()), Vec::new());
    let index = of_namespace(b"x", b"m");
    let rows = store.scan(&index, &prefix_end(&index), false, 10).unwrap();
    assert_eq!(rows.len(), 2);
    rows.into_iter().for_each(|(key, _)| batch.delete(key));
    batch.delete(b"mmodule-index".to_vec());
    store.commit(&[batch]).unwrap().into_iter().for_each(|committed| committed.unwrap());
    assert_eq!(verify(&store).unwrap().problems, Vec::<String>::new());

    let engine = open(&store);
    let report = engine.describe_deployment("default", QUEUE).await.unwrap();
    let version = report.deployment.versions.active().unwrap();
    assert_eq!((version.number, version.digest), (1, digest));
    assert_eq!(drain(&engine).await, (vec![1], 0));
    let uses = engine.describe_module("default", &digest.to_string()).await.unwrap().uses;
    assert_eq!((uses[0].open_runs, uses[0].need), (1, Some(Need::Active)));
    engine.deploy_module("default", QUEUE, second()).await.unwrap();
    finish(&engine, "open").await;
    stop(engine).await;
    assert_eq!(verify(&store).unwrap().problems, Vec::<String>::new());
}
