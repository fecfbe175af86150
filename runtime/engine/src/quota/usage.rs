//! What a namespace uses, to be told.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Duration};

use super::{RequestKind, meter::positive};
use crate::{Engine, EngineError};

/// What one namespace uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    pub namespace: String,

    // True after a restart, too.
    pub open_runs: u64,
    /// Encoded bytes of the events of all histories.
    pub history_bytes: u64,
    /// Histories, the rows of runs and activities beside them, and modules, in bytes.
    pub store_bytes: u64,
    pub modules: u64,
    pub module_bytes: u64,
    /// Activities that workers have.
    pub started_activities: u64,

    // Now.
    /// Instances in the cache, and their estimated private memory in bytes.
    pub cached_instances: u64,
    pub cached_bytes: u64,
    /// Activations and queries that wait for their turn, and those that run.
    pub waiting_activations: u64,
    pub running_activations: u64,
    /// Attempts of activities that this server runs itself.
    pub hosted_activities: u64,

    // Since the server started.
    pub uptime: Duration,
    /// Requests that were let through, and those refused by their rate, by kind.
    pub requests: BTreeMap<&'static str, u64>,
    pub requests_refused: BTreeMap<&'static str, u64>,
    /// Refusals of any kind, by the name of the quota.
    pub refused: BTreeMap<&'static str, u64>,
    pub starts: u64,
    pub events: u64,
    pub activations: u64,
    pub queries: u64,
    /// What activations and queries took of real time, all together.
    pub activation_time: Duration,
    pub fuel: u64,
    /// Memory of cached instances, times how long it was held.
    pub cached_byte_seconds: f64,
    pub evicted_instances: u64,
    pub log_bytes: u64,
    pub log_bytes_dropped: u64,
    /// HTTP requests of hosted activities.
    pub outbound_requests: u64,
}

impl Engine {
    /// What each namespace uses, in the order of names. Cheap: nothing is read from the store.
    pub fn usage(&self) -> Vec<Usage> {
        let namespaces = self.namespaces().into_iter();
        namespaces.filter_map(|namespace| self.usage_of(&namespace.name).ok()).collect()
    }

    /// What a namespace uses.
    pub fn usage_of(&self, namespace: &str) -> Result<Usage, EngineError> {
        let (id, meter) = self.meter_of(namespace)?;
        let shared = self.shared();
        let cache = shared.sandbox.cache_usage(namespace);
        let (waiting, running) = shared.activations.count(id);
        let (stored, counted) = (&meter.stored, &meter.since_start);
        let by_kind = |counters: &[std::sync::atomic::AtomicU64; 4]| {
            RequestKind::ALL.iter().map(|kind| (kind.name(), counters[*kind as usize].load(Relaxed))).collect()
        };
        Ok(Usage {
            namespace: namespace.to_owned(),
            open_runs: meter.open_runs(),
            history_bytes: meter.history_bytes(),
            store_bytes: meter.store_bytes(),
            modules: stored.modules.load(Relaxed),
            module_bytes: stored.module_bytes.load(Relaxed),
            started_activities: positive(&stored.started_activities),
            cached_instances: cache.instances as u64,
            cached_bytes: cache.bytes as u64,
            waiting_activations: waiting as u64,
            running_activations: running as u64,
            hosted_activities: meter.hosted_activities(),
            uptime: super::now(),
            requests: by_kind(&counted.requests),
            requests_refused: by_kind(&counted.requests_refused),
            refused: meter.refused(),
            starts: counted.starts.load(Relaxed),
            events: counted.events.load(Relaxed),
            activations: counted.activations.load(Relaxed),
            queries: counted.queries.load(Relaxed),
            activation_time: Duration::from_nanos(counted.activation_nanoseconds.load(Relaxed)),
            fuel: counted.fuel.load(Relaxed),
            cached_byte_seconds: cache.byte_seconds,
            evicted_instances: cache.evicted,
            log_bytes: counted.log_bytes.load(Relaxed),
            log_bytes_dropped: counted.log_bytes_dropped.load(Relaxed),
            outbound_requests: counted.outbound_requests.load(Relaxed),
        })
    }
}
