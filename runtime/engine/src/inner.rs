//! What all parts of the engine share.

use std::{collections::HashMap, sync::Arc};

use mainspring_core::{RunState, Time};
use mainspring_sandbox::Sandbox;
use mainspring_store::{Batch, Committer, ShardId, Store, StoreError};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    EngineError, EngineMetrics, Namespace, Observer, activation::Activations, api_keys::ApiKeys,
    hosted_activities::HostedActivities, keys::WorkflowKey, matching::Matching, modules::Modules, quota::Quotas,
    shard::ShardHandle, updates::UpdateWaiters,
};

pub struct Shared {
    pub store: Arc<dyn Store>,
    pub committer: Arc<Committer>,
    pub sandbox: Sandbox,
    pub modules: Arc<Modules>,
    pub api_keys: ApiKeys,
    pub matching: Matching,
    pub hosted: HostedActivities,
    pub notifier: Notifier,
    pub namespaces: Namespaces,
    pub activations: Activations,
    pub metrics: EngineMetrics,
    /// Who is told what becomes of runs.
    pub observer: Option<Arc<dyn Observer>>,
    pub quotas: Arc<Quotas>,
    pub updates: UpdateWaiters,
    /// Threads of one sweep.
    pub sweep_threads: usize,
    /// All of them, by number.
    pub shards: Vec<ShardHandle>,
    /// Why the engine can go on no longer.
    pub failure: watch::Sender<Option<String>>,
}

impl Shared {
    pub fn shard_of(&self, workflow: &WorkflowKey) -> &ShardHandle {
        let count = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        &self.shards[usize::from(workflow.shard(count).0)]
    }

    /// Waits until all that was handed to the committer before can be read from the store. Blocks.
    pub fn wait_for_commits(&self, shard: ShardId) {
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = Box::new(move |_| {
            // The receiver waits below; it cannot be gone.
            let _ = sender.send(());
        });
        self.committer.submit(Batch::new(shard, 0), done);
        // A committer that has gone has nothing more to write.
        let _ = receiver.recv();
    }

    /// The store has failed: from here on nothing can be promised, so the whole engine stops.
    pub fn fail(&self, message: &str) {
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                *failure = Some(message.to_owned());
            }
            first
        });
    }

    /// What a request is told whose batch did not become durable.
    pub fn lost(&self, error: &StoreError) -> EngineError {
        if error.is_refusal() {
            return EngineError::Rejected(mainspring_core::Rejection::InvalidArgument(error.to_string()));
        }
        self.fail(&error.to_string());
        EngineError::Unavailable(format!("the step could not be stored: {error}"))
    }
}

/// How far a run has come, durably.
#[derive(Clone, Debug, PartialEq)]
pub enum Head {
    At { next_event_id: i64, is_running: bool },
    Deleted,
}

impl Head {
    pub fn of(state: &RunState) -> Head {
        Head::At { next_event_id: state.next_event_id, is_running: state.is_running() }
    }
}

/// Tells those who wait for a run's next events.
#[derive(Default)]
pub struct Notifier {
    runs: Mutex<HashMap<Uuid, watch::Sender<Option<Head>>>>,
}

impl Notifier {
    pub fn notify(&self, run: Uuid, head: Head) {
        let mut runs = self.runs.lock();
        if let Some(sender) = runs.get(&run)
            && sender.send(Some(head)).is_err()
        {
            // Nobody waits any more.
            runs.remove(&run);
        }
    }

    pub fn subscribe(&self, run: Uuid) -> watch::Receiver<Option<Head>> {
        let mut runs = self.runs.lock();
        runs.entry(run).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }

    /// The last of a run's waiters lets its entry go.
    pub fn release(&self, run: Uuid, receiver: watch::Receiver<Option<Head>>) {
        drop(receiver);
        let mut runs = self.runs.lock();
        if runs.get(&run).is_some_and(|sender| sender.receiver_count() == 0) {
            runs.remove(&run);
        }
    }
}

/// The namespaces, in memory.
#[derive(Default)]
pub struct Namespaces {
    by_name: RwLock<HashMap<String, (Uuid, Namespace)>>,
    names: RwLock<HashMap<Uuid, String>>,
}

impl Namespaces {
    pub fn insert(&self, id: Uuid, name: &str, created: Time, retention: std::time::Duration) {
        let namespace = Namespace { name: name.to_owned(), id: id.to_string(), created, retention };
        self.by_name.write().insert(name.to_owned(), (id, namespace));
        self.names.write().insert(id, name.to_owned());
    }

    pub fn id(&self, name: &str) -> Result<Uuid, EngineError> {
        let by_name = self.by_name.read();
        by_name.get(name).map(|(id, _)| *id).ok_or_else(|| EngineError::NamespaceNotFound(name.to_owned()))
    }

    pub fn get(&self, name: &str) -> Result<Namespace, EngineError> {
        let by_name = self.by_name.read();
        let found = by_name.get(name).map(|(_, namespace)| namespace.clone());
        found.ok_or_else(|| EngineError::NamespaceNotFound(name.to_owned()))
    }

    pub fn all(&self) -> Vec<Namespace> {
        let mut all: Vec<Namespace> = self.by_name.read().values().map(|(_, namespace)| namespace.clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub fn ids(&self) -> Vec<Uuid> {
        self.by_name.read().values().map(|(id, _)| *id).collect()
    }

    pub fn name_of(&self, id: Uuid) -> String {
        self.names.read().get(&id).cloned().unwrap_or_default()
    }
}
