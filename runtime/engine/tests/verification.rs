//! A module is verified on the runs of a task queue, and open runs move to it.

mod common;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use common::{WAIT, closed, events, guest, json, open, result, run, signal, start};
use mainspring_api::{
    enums::EventType,
    history::{HistoryEvent, history_event::Attributes},
    update::Input,
};
use mainspring_core::{
    activity::{ActivityOutcome, ActivityRef},
    update,
    workflow::StartWorkflow,
};
use mainspring_engine::{
    ActivityTarget, ActivityTask, Engine, EngineError, HistoryQuery, MigratedRun, MigrationOutcome, MigrationRequest,
    QueryReply, Question, RunRef, RunSelection, Sample, UpdateStage, Verdict, VerifiedRun, WorkflowQuery, verify,
    verify_stored,
};
use mainspring_sandbox::{Sandbox, SandboxConfig};
use mainspring_store::{Key, MemoryStore, Store};
use tokio_util::sync::CancellationToken;

const QUEUE: &str = "refunds";
const V1: &str = "example_patching_v1.wasm";
const V2: &str = "example_patching_v2.wasm";
const CARELESS: &str = "example_patching_careless.wasm";

fn refund(workflow_id: &str, tell_after_ms: u64) -> StartWorkflow {
    let input = format!(r#"{{"customer":"{workflow_id}","amount":9.5,"tell_after_ms":{tell_after_ms}}}"#);
    StartWorkflow {
        workflow_type: "Refund".into(),
        task_queue: QUEUE.into(),
        input: Some(json(&input)),
        ..start(workflow_id, "", &[])
    }
}

fn runs() -> RunSelection {
    RunSelection { task_queue: QUEUE.into(), closed: 100, ..RunSelection::default() }
}

async fn poll(engine: &Engine) -> ActivityTask {
    engine.poll_activity("default", QUEUE, "test", WAIT).await.unwrap().expect("an activity task")
}

async fn end(engine: &Engine, task: &ActivityTask) {
    let (workflow_id, run_id) = (task.workflow_id.clone(), task.run_id.clone());
    let target = ActivityTarget {
        run: RunRef { workflow_id, run_id, ..RunRef::default() },
        activity: ActivityRef::Attempt { scheduled_event_id: task.scheduled_event_id, attempt: task.attempt },
    };
    let result = json(r#""paid""#);
    engine.end_activity("default", target, ActivityOutcome::Completed(Some(result)), "test").await.unwrap();
}

/// Runs of version 1 at every stage: `paying` wait for the payment, `waiting` for the time to tell, `telling` for the
/// letter to be sent, `told` is closed.
async fn refunds(store: &Arc<dyn Store>) -> Engine {
    let engine = open(store);
    engine.deploy_module("default", QUEUE, guest(V1)).await.unwrap();
    for (id, tell_after_ms) in [("waiting", 3_600_000), ("telling", 1), ("told", 1)] {
        engine.start_workflow("default", refund(id, tell_after_ms)).await.unwrap();
    }
    let (mut paid, mut letters) = (0, BTreeMap::new());
    // A letter may be wanted before the last payment is.
    while paid < 3 || letters.len() < 2 {
        let task = poll(&engine).await;
        if task.activity_type == "pay_back" {
            end(&engine, &task).await;
            paid += 1;
        } else {
            letters.insert(task.workflow_id.clone(), task);
        }
    }
    end(&engine, &letters["told"]).await;
    closed(&engine, "told").await;
    for number in 0..20 {
        engine.start_workflow("default", refund(&format!("paying-{number}"), 1)).await.unwrap();
    }
    for number in 0..20 {
        until(&engine, &format!("paying-{number}"), EventType::ActivityTaskScheduled).await;
    }
    until(&engine, "waiting", EventType::TimerStarted).await;
    engine
}

/// Waits for an event of a run.
async fn until(engine: &Engine, workflow_id: &str, kind: EventType) -> Vec<HistoryEvent> {
    let found = async {
        loop {
            let events = events(engine, run(workflow_id)).await;
            if events.iter().any(|event| event.event_type() == kind) {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(WAIT, found).await.unwrap_or_else(|_| panic!("{workflow_id} has no {kind:?}"))
}

/// Uploads a module for another task queue, where it does no harm; gives its digest.
async fn upload(engine: &Engine, module: &str) -> String {
    engine.deploy_module("default", "elsewhere", guest(module)).await.unwrap().module.digest.to_string()
}

async fn verified(engine: &Engine, digest: &str, runs: RunSelection) -> Vec<VerifiedRun> {
    let (_, mut sweep) = engine.verify_module("default", Some(digest), runs).await.unwrap();
    let mut all = Vec::new();
    loop {
        let few = sweep.next_few().await;
        if few.is_empty() {
            all.sort_by(|one: &VerifiedRun, another| one.workflow_id.cmp(&another.workflow_id));
            return all;
        }
        all.extend(few.into_iter().map(Result::unwrap));
    }
}

async fn migrated(engine: &Engine, request: MigrationRequest) -> BTreeMap<String, MigratedRun> {
    let (_, mut sweep) = engine.migrate_workflows("default", request).await.unwrap();
    let mut all = BTreeMap::new();
    loop {
        let few = sweep.next_few().await;
        if few.is_empty() {
            return all;
        }
        for migrated in few.into_iter().map(Result::unwrap) {
            all.insert(migrated.run.workflow_id.clone(), migrated);
        }
    }
}

fn to(digest: &str) -> MigrationRequest {
    MigrationRequest { to: Some(digest.to_owned()), from: None, runs: RunSelection { closed: 0, ..runs() } }
}

/// Deploys a module on `tests`, and uploads another one that does the same: a custom section is no part of what it does.
async fn twins(engine: &Engine) -> (String, String) {
    let (one, mut other) = (guest("guest_kitchen.wasm"), guest("guest_kitchen.wasm"));
    other.extend_from_slice(&[0, 5, 4, b'n', b'o', b't', b'e']);
    let one = engine.deploy_module("default", "tests", one).await.unwrap().module.digest;
    let other = engine.deploy_module("default", "elsewhere", other).await.unwrap().module.digest;
    (one.to_string(), other.to_string())
}

/// Every row of a store.
fn rows(store: &Arc<dyn Store>) -> Vec<(Key, Vec<u8>)> {
    store.scan(&[], &[0xff], false, usize::MAX).unwrap()
}

/// The modules that have run it, in order.
async fn modules_of(engine: &Engine, workflow_id: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for event in events(engine, run(workflow_id)).await {
        if let Some(Attributes::WorkflowTaskCompletedEventAttributes(completed)) = event.attributes {
            #[allow(deprecated)]
            modules.push(completed.worker_version.unwrap().build_id);
        }
    }
    modules.dedup();
    modules
}

/// A history of any length.
async fn all_events(engine: &Engine, workflow_id: &str) -> Vec<HistoryEvent> {
    let mut events = Vec::new();
    loop {
        let from_event_id = events.len() as i64 + 1;
        let run = run(workflow_id);
        let query =
            HistoryQuery { run, from_event_id, page_size: 1_000, reverse: false, wait: None, close_event_only: false };
        let page = engine.history("default", query).await.unwrap();
        events.extend(page.events);
        if page.next_event_id.is_none() {
            return events;
        }
    }
}

/// What descriptions and lists say of the module that it goes on with.
async fn pinned(engine: &Engine, workflow_id: &str) -> String {
    let description = engine.describe_workflow("default", run(workflow_id)).await.unwrap();
    #[allow(deprecated)]
    description.info.most_recent_worker_version_stamp.unwrap().build_id
}

async fn finish(store: Arc<dyn Store>, engine: Engine) {
    engine.shutdown().await;
    drop(engine);
    assert_eq!(verify(&store).unwrap().problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compatible_module_repeats_every_run_and_an_incompatible_one_is_told_where_it_differs() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = refunds(&store).await;
    let (v1, v2) = (pinned(&engine, "waiting").await, upload(&engine, V2).await);
    let careless = upload(&engine, CARELESS).await;
    let before = rows(&store);

    let all = verified(&engine, &v2, runs()).await;
    assert_eq!(all.len(), 23);
    for run in &all {
        assert_eq!((&run.verdict, run.module.as_str()), (&Verdict::Exact, v1.as_str()), "{run:?}");
        assert_eq!(run.is_open, run.workflow_id != "told");
        assert!(run.events >= 5, "{run:?}");
    }
    for run in verified(&engine, &careless, runs()).await {
        let letter = events(&engine, common::run(&run.workflow_id)).await.into_iter().find(|event| {
            matches!(&event.attributes, Some(Attributes::ActivityTaskScheduledEventAttributes(scheduled))
                if scheduled.activity_type.as_ref().unwrap().name == "send_letter")
        });
        match (letter, run.verdict) {
            (None, verdict) => assert_eq!(verdict, Verdict::Exact, "{}", run.workflow_id),
            (Some(letter), Verdict::Diverged { event_id, journal, module, message }) => {
                assert_eq!(event_id, letter.event_id);
                assert!(journal.contains("send_letter") && module.contains("send_email"), "{journal} / {module}");
                assert!(message.contains(&v1), "{message}");
            }
            (Some(_), verdict) => panic!("{}: {verdict:?}", run.workflow_id),
        }
    }
    assert!(rows(&store) == before, "nothing was written");
    finish(store, engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_without_the_workflow_is_told_also_of_runs_that_have_not_begun() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    engine.start_workflow("default", refund("new", 1)).await.unwrap();
    let other = upload(&engine, "order_workflow.wasm").await;
    let [run] = &verified(&engine, &other, runs()).await[..] else { panic!("one run") };
    let Verdict::Failed { kind, message } = &run.verdict else { panic!("{run:?}") };
    assert_eq!((kind.as_str(), run.module.as_str()), ("UnknownWorkflowType", ""));
    assert!(message.contains("\"Refund\"") && message.contains("OrderWorkflow"), "{message}");
    finish(store, engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_chosen_by_number_by_percentage_and_by_a_filter() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = refunds(&store).await;
    let v2 = upload(&engine, V2).await;
    let ids = async |selection: RunSelection| -> Vec<String> {
        verified(&engine, &v2, selection).await.into_iter().map(|run| run.workflow_id).collect()
    };
    assert_eq!(ids(RunSelection { closed: 0, ..runs() }).await.len(), 22);
    let seven = RunSelection { open: Sample::Count(7), closed: 0, ..runs() };
    let sample = ids(seven.clone()).await;
    assert_eq!(sample.len(), 7);
    assert_eq!(ids(seven).await, sample, "the same sample is the same runs");
    let half = ids(RunSelection { open: Sample::Percent(50.0), closed: 0, ..runs() }).await;
    assert!((1..22).contains(&half.len()), "{half:?}");
    assert_eq!(ids(RunSelection { open: Sample::Percent(100.0), ..runs() }).await.len(), 23);
    let query = |query: &str| RunSelection { query: query.into(), ..runs() };
    assert_eq!(ids(query("WorkflowId = 'waiting' OR WorkflowId = 'told'")).await, ["told", "waiting"]);
    assert_eq!(ids(RunSelection { task_queue: "elsewhere".into(), ..runs() }).await, Vec::<String>::new());
    for (wrong, words) in [
        (query("WorkflowId ="), "position"),
        (query("ORDER BY StartTime"), "ORDER BY"),
        (RunSelection { open: Sample::Percent(0.0), ..runs() }, "0 %"),
        (RunSelection { open: Sample::Percent(f64::NAN), ..runs() }, "NaN %"),
        (RunSelection { open: Sample::Count(0), ..runs() }, "not 0"),
    ] {
        let refused = engine.verify_module("default", Some(&v2), wrong.clone()).await.err().expect("it is refused");
        assert!(refused.to_string().contains(words), "{wrong:?}: {refused}");
    }
    finish(store, engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_verified_changes_all_or_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = refunds(&store).await;
    let before = rows(&store);
    let refused = engine.deploy_verified("default", guest(CARELESS), runs(), "test").await.unwrap();
    assert_eq!((refused.deployed, refused.summary.diverged, refused.summary.exact), (None, 2, 21));
    let ids: Vec<&str> = refused.inexact.iter().map(|run| run.workflow_id.as_str()).collect();
    assert!(ids.contains(&"telling") && ids.contains(&"told"), "{ids:?}");
    assert!(rows(&store) == before, "nothing was written");

    let taken = engine.deploy_verified("default", guest(V2), runs(), "test").await.unwrap();
    assert!(taken.summary.all_exact() && taken.inexact.is_empty());
    let digest = taken.deployed.expect("it is deployed").module.digest;
    let (active, _) = engine.verify_module("default", None, runs()).await.unwrap();
    assert_eq!(active.digest, digest);
    assert_ne!(pinned(&engine, "waiting").await, digest.to_string(), "runs keep their module");
    finish(store, engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_runs_that_the_module_repeats_move_and_they_end_on_it_after_a_restart_too() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = refunds(&store).await;
    let (v1, careless) = (pinned(&engine, "waiting").await, upload(&engine, CARELESS).await);
    let all = migrated(&engine, to(&careless)).await;
    assert_eq!(all.len(), 22, "closed runs are left alone");
    for (id, migrated) in &all {
        let stays = id == "telling";
        assert_eq!(migrated.outcome == MigrationOutcome::Differs, stays, "{migrated:?}");
        assert_eq!(migrated.outcome == MigrationOutcome::Moved, !stays, "{migrated:?}");
        assert_eq!(migrated.run.module, v1, "where it was");
        assert_eq!(pinned(&engine, id).await, if stays { v1.clone() } else { careless.clone() });
    }
    // Lists know it at once, before the new module has done anything.
    let on_careless = format!("BuildIds = 'unversioned:{careless}'");
    assert_eq!(engine.count_workflows("default", &on_careless).await.unwrap().count, 21);
    let again = migrated(&engine, to(&careless)).await;
    assert_eq!(again.values().filter(|run| run.outcome == MigrationOutcome::Already).count(), 21);

    engine.shutdown().await;
    drop(engine);
    let engine = open(&store);
    assert_eq!(pinned(&engine, "paying-3").await, careless);
    for _ in 0..20 {
        let payment = poll(&engine).await;
        assert_eq!(payment.activity_type, "pay_back");
        end(&engine, &payment).await;
    }
    for _ in 0..20 {
        let email = poll(&engine).await;
        assert_eq!(email.activity_type, "send_email", "{}", email.workflow_id);
        end(&engine, &email).await;
    }
    closed(&engine, "paying-3").await;
    assert_eq!(modules_of(&engine, "paying-3").await, [v1.clone(), careless.clone()]);
    assert_eq!(modules_of(&engine, "telling").await, [v1]);
    // The whole history is the new module's now.
    for run in
        verified(&engine, &careless, RunSelection { query: "WorkflowId STARTS_WITH 'paying'".into(), ..runs() }).await
    {
        assert_eq!(run.verdict, Verdict::Exact, "{run:?}");
    }
    finish(store, engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_may_be_confined_to_the_runs_of_one_module_and_to_a_filter() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = refunds(&store).await;
    let (v1, v2) = (pinned(&engine, "waiting").await, upload(&engine, V2).await);
    let runs = RunSelection { query: "WorkflowId STARTS_WITH 'paying-1'".into(), ..runs() };
    let some = migrated(&engine, MigrationRequest { runs, ..to(&v2) }).await;
    assert_eq!(some.len(), 11);
    let from = |from: &str| MigrationRequest { from: Some(from.to_owned()), ..to(&v1) };
    let back = migrated(&engine, from(&v2[..12])).await;
    assert_eq!(back.len(), 11);
    assert!(back.values().all(|run| run.outcome == MigrationOutcome::Moved && run.run.module == v2));
    assert_eq!(migrated(&engine, from(&v2[..12])).await, BTreeMap::new());
    finish(store, engine).await;
}

/// Runs that are at work again and again, while they move from one module to the other and back.
#[tokio::test(flavor = "multi_thread")]
async fn runs_that_are_at_work_move_between_two_of_their_turns() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    let (first, other) = twins(&engine).await;
    let ids: Vec<String> = (0..8).map(|number| format!("counter-{number}")).collect();
    for id in &ids {
        engine.start_workflow("default", start(id, "SignalCounter", &["1000000"])).await.unwrap();
        until(&engine, id, EventType::WorkflowTaskCompleted).await;
    }
    let over = CancellationToken::new();
    let sending: Vec<_> = ids
        .iter()
        .cloned()
        .map(|id| {
            let (engine, over) = (engine.clone(), over.clone());
            tokio::spawn(async move {
                let mut sent = 0;
                // Bounded by what a history may hold.
                while !over.is_cancelled() && sent < 5_000 {
                    engine.signal_workflow("default", run(&id), signal("tick", &sent.to_string())).await.unwrap();
                    sent += 1;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                sent
            })
        })
        .collect();
    let runs = RunSelection { task_queue: "tests".into(), ..RunSelection::default() };
    let mut moved = 0;
    for round in 0..6 {
        let target = if round % 2 == 0 { &other } else { &first };
        let request = MigrationRequest { to: Some(target.clone()), from: None, runs: runs.clone() };
        let all = migrated(&engine, request).await;
        assert_eq!(all.keys().collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
        for (id, run) in all {
            let fine = [MigrationOutcome::Moved, MigrationOutcome::Already, MigrationOutcome::Busy];
            assert!(fine.contains(&run.outcome), "{id}: {run:?}");
            moved += usize::from(run.outcome == MigrationOutcome::Moved);
        }
    }
    over.cancel();
    assert!(moved >= ids.len(), "of 48 moves {moved} were made");
    for (id, sent) in ids.iter().zip(sending) {
        let sent = sent.await.unwrap();
        let events = all_events(&engine, id).await;
        let count = |kind: EventType| events.iter().filter(|event| event.event_type() == kind).count();
        assert_eq!(count(EventType::WorkflowExecutionSignaled), sent);
        assert_eq!(count(EventType::WorkflowTaskFailed), 0, "{id}");
    }
    // Whatever moved when, either module repeats all of it.
    for digest in [&first, &other] {
        let all = verified(&engine, digest, runs.clone()).await;
        assert!(all.len() == ids.len() && all.iter().all(|run| run.verdict == Verdict::Exact), "{all:?}");
    }
    finish(store, engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_moved_answers_queries_and_updates_on_the_new_module() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    let (_, other) = twins(&engine).await;
    engine.start_workflow("default", start("gate", "Gate", &[])).await.unwrap();
    until(&engine, "gate", EventType::WorkflowTaskCompleted).await;
    let pass = |id: &str| {
        let args = Some(json(&format!("\"{id}\"")));
        update::request(id, "test", Input { name: "pass".into(), args, ..Input::default() })
    };
    let passed = async || {
        let question = Question { name: "passed".into(), ..Question::default() };
        let query = WorkflowQuery { question, ..WorkflowQuery::default() };
        match engine.query_workflow("default", run("gate"), query).await.unwrap() {
            QueryReply::Answer(Some(answer)) => String::from_utf8(answer.payloads[0].data.clone()).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let waiting =
        engine.update_workflow("default", run("gate"), pass("one"), UpdateStage::Accepted, WAIT).await.unwrap();
    assert_eq!(waiting.stage, UpdateStage::Accepted);
    assert_eq!(passed().await, "[]");

    let runs = RunSelection { task_queue: "tests".into(), ..RunSelection::default() };
    let request = MigrationRequest { to: Some(other.clone()), from: None, runs };
    assert_eq!(migrated(&engine, request).await["gate"].outcome, MigrationOutcome::Moved);
    assert_eq!((passed().await.as_str(), pinned(&engine, "gate").await), ("[]", other.clone()));
    engine.signal_workflow("default", run("gate"), signal("open", "null")).await.unwrap();
    let done = engine.poll_update("default", run("gate"), "one".into(), UpdateStage::Completed, WAIT).await.unwrap();
    assert_eq!(done.stage, UpdateStage::Completed, "an update that the old module has accepted");
    engine.update_workflow("default", run("gate"), pass("two"), UpdateStage::Completed, WAIT).await.unwrap();
    assert_eq!(passed().await, r#"["one","two"]"#);
    engine.signal_workflow("default", run("gate"), signal("close", "null")).await.unwrap();
    assert_eq!(result(&engine, "gate").await, r#"["one","two"]"#);
    assert_eq!(modules_of(&engine, "gate").await.last(), Some(&other));
    finish(store, engine).await;
}

/// Sweeps are few at a time: those that nobody reads any more must not keep others out.
#[tokio::test(flavor = "multi_thread")]
async fn a_verification_that_nobody_reads_ends() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = refunds(&store).await;
    let v2 = upload(&engine, V2).await;
    for _ in 0..20 {
        drop(engine.verify_module("default", Some(&v2), runs()).await.unwrap());
    }
    let last = tokio::time::timeout(WAIT, verified(&engine, &v2, runs())).await.expect("it gets its turn");
    assert_eq!(last.len(), 23);
    finish(store, engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runs_of_a_store_are_replayed_without_an_engine() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = refunds(&store).await;
    engine.shutdown().await;
    drop(engine);
    let before = rows(&store);
    let replayed = tokio::task::spawn_blocking(move || {
        let replay = |namespace: &str, module: &str, selection: RunSelection| {
            let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
            let (_, mut sweep) = verify_stored(Arc::clone(&store), sandbox, namespace, guest(module), selection)?;
            let all: Vec<VerifiedRun> = std::iter::from_fn(|| sweep.blocking_next()).collect::<Result<_, _>>()?;
            Ok::<_, EngineError>(all)
        };
        let exact = replay("default", V2, RunSelection { task_queue: String::new(), ..runs() }).unwrap();
        assert!(exact.len() == 23 && exact.iter().all(|run| run.verdict == Verdict::Exact), "{exact:?}");
        let typed = |name: &str| RunSelection { workflow_type: name.into(), ..runs() };
        let careless = replay("default", CARELESS, typed("Refund")).unwrap();
        assert_eq!(careless.iter().filter(|run| !run.verdict.is_exact()).count(), 2);
        assert_eq!(replay("default", V2, typed("Other")).unwrap(), []);
        assert!(matches!(replay("nowhere", V2, runs()), Err(EngineError::NamespaceNotFound(_))));
        store
    });
    let store = replayed.await.unwrap();
    assert!(rows(&store) == before, "nothing was written");
}
