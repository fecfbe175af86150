//! What an observer is told of runs: what is durable, once, and the same place in the trace in each life of an engine.

mod common;

use std::sync::Arc;

use common::{end, guest, json, observed, order, poll, run, start, try_closed};
use mainspring_api::{enums::WorkflowExecutionStatus as Status, failure::Failure};
use mainspring_core::activity::{ActivityEnd, ActivityOutcome, EndedActivity};
use mainspring_engine::{ClosedRun, Engine, Fact, Observed, ObservedRun, Observer};
use mainspring_store::{Fault, FaultStore, MemoryStore, Store};
use parking_lot::Mutex;

/// Keeps what it is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Of>>>);

type Of = (Arc<ObservedRun>, Fact);

impl Observer for Told {
    fn observe(&self, run: &Arc<ObservedRun>, fact: Fact) {
        self.0.lock().push((Arc::clone(run), fact));
    }
}

impl Told {
    fn open(&self, store: &Arc<dyn Store>) -> Engine {
        observed(store, Observed(Some(Arc::new(self.clone()))))
    }

    fn all(&self, workflow_id: &str) -> Vec<Of> {
        self.0.lock().iter().filter(|(run, _)| run.workflow_id == workflow_id).cloned().collect()
    }

    fn activities(&self, workflow_id: &str) -> Vec<EndedActivity> {
        let ended = |(_, fact)| match fact {
            Fact::ActivityEnded(ended) => Some(ended),
            _ => None,
        };
        self.all(workflow_id).into_iter().filter_map(ended).collect()
    }

    fn closed(&self, workflow_id: &str) -> Vec<ClosedRun> {
        let closed = |(_, fact)| match fact {
            Fact::RunClosed(closed) => Some(closed),
            _ => None,
        };
        self.all(workflow_id).into_iter().filter_map(closed).collect()
    }

    /// Of the activations: whether each was a replay.
    fn replays(&self, workflow_id: &str) -> Vec<bool> {
        let turn = |(_, fact)| match fact {
            Fact::Activated(activated) => Some(activated.turn.replayed_events > 0),
            _ => None,
        };
        self.all(workflow_id).into_iter().filter_map(turn).collect()
    }
}

fn completed() -> ActivityOutcome {
    ActivityOutcome::Completed(Some(json("\"tx\"")))
}

fn failed(message: &str) -> ActivityOutcome {
    let failure = Failure { message: message.into(), ..Failure::default() };
    ActivityOutcome::Failed { failure, last_heartbeat_details: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_told_once_and_as_one_though_its_engine_is_another_at_the_end() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let told = Told::default();
    let engine = told.open(&store);
    engine.deploy_module("default", "orders", guest("order_workflow.wasm")).await.unwrap();
    engine.start_workflow("default", order("order")).await.unwrap();
    let charge = poll(&engine).await;
    assert!(charge.trace.is_some());
    end(&engine, &charge, failed("the bank is closed")).await;
    let charge = poll(&engine).await;
    end(&engine, &charge, completed()).await;
    let email = poll(&engine).await;
    engine.shutdown().await;
    drop(engine);

    let engine = told.open(&store);
    end(&engine, &email, ActivityOutcome::Completed(Some(json("null")))).await;
    try_closed(&engine, "order").await.unwrap();
    engine.shutdown().await;

    let all = told.all("order");
    let trace = &all[0].0.trace;
    assert!(all.iter().all(|(run, _)| run.trace == *trace && run.workflow_type == "OrderWorkflow"));
    let [charged, sent] = &told.activities("order")[..] else { panic!("{all:?}") };
    assert_eq!((&charged.end, charged.activity.attempt), (&ActivityEnd::Completed, 2));
    assert_eq!(charged.activity.last_failure.as_ref().unwrap().message, "the bank is closed");
    assert_eq!((&sent.end, sent.activity.attempt), (&ActivityEnd::Completed, 1));
    assert!(sent.activity.started_time.unwrap() <= sent.ended);
    // What they are given and give is not told.
    assert!([charged, sent].iter().all(|ended| ended.activity.scheduled.input.is_none()));
    let [closed] = &told.closed("order")[..] else { panic!("{all:?}") };
    assert_eq!((closed.status, closed.message.as_str()), (Status::Completed, ""));
    assert!(closed.start_time < closed.close_time);
    assert_eq!(told.replays("order"), [false, false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_leaves_behind_when_it_is_ended_is_told_with_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let told = Told::default();
    let engine = told.open(&store);
    engine.deploy_module("default", "orders", guest("order_workflow.wasm")).await.unwrap();
    engine.start_workflow("default", order("order")).await.unwrap();
    poll(&engine).await;
    engine.terminate_workflow("default", run("order"), "no longer wanted", None, "test").await.unwrap();
    engine.shutdown().await;
    let [cut_off] = &told.activities("order")[..] else { panic!("{:?}", told.all("order")) };
    assert_eq!((&cut_off.end, cut_off.activity.attempt), (&ActivityEnd::CutOff, 1));
    let [closed] = &told.closed("order")[..] else { panic!("{:?}", told.all("order")) };
    assert_eq!((closed.status, closed.message.as_str()), (Status::Terminated, "no longer wanted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_become_durable_is_not_told() {
    let (mut closed_runs, mut failures) = (0, 0);
    for commit in 1..12 {
        let faults = Arc::new(FaultStore::new(MemoryStore::new()));
        let store: Arc<dyn Store> = faults.clone();
        let told = Told::default();
        let engine = told.open(&store);
        engine.deploy_module("default", "tests", guest("guest_kitchen.wasm")).await.unwrap();
        faults.fail_commit(commit, Fault::Refuse);
        let live = async {
            for number in 0..8 {
                let start = start(&format!("chain-{number}"), "Countdown", &["2", "1"]);
                engine.start_workflow("default", start).await?;
            }
            for number in 0..8 {
                try_closed(&engine, &format!("chain-{number}")).await?;
            }
            Ok::<_, mainspring_engine::EngineError>(())
        };
        tokio::select! {
            _ = live => {}
            _ = engine.failed() => failures += 1,
        }
        engine.shutdown().await;
        drop(engine);
        faults.power_cut();
        let engine = told.open(&store);
        let all = told.0.lock().clone();
        for (run, fact) in all {
            if let Fact::RunClosed(closed) = fact {
                closed_runs += 1;
                let reference = mainspring_engine::RunRef {
                    workflow_id: run.workflow_id.clone(),
                    run_id: run.run_id.clone(),
                    ..Default::default()
                };
                let stored = engine.describe_workflow("default", reference).await;
                let status = stored.map(|stored| stored.info.status());
                assert_eq!(status.ok(), Some(closed.status), "commit {commit}: {}", run.workflow_id);
            }
        }
        engine.shutdown().await;
    }
    assert!(failures > 5 && closed_runs > 0, "{failures} failures and {closed_runs} closed runs show nothing");
}
