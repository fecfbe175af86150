//! The quotas themselves: what there is, what holds without anybody's doing, and what cannot be.

use std::collections::BTreeMap;

use mainspring_core::limits::{activity, sandbox, temporal};
use serde::{Deserialize, Serialize};

use crate::limits;

/// `[quota]`: what each namespace may use, unless it has been given a quota of its own. Generous, so that only what goes
/// wrong meets them; finite, so that one namespace cannot take everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Starts, signals, queries, updates, reads of one run, and what workers say of activities, each second.
    pub execution_requests_per_second: u64,
    /// Lists and counts, each second.
    pub visibility_requests_per_second: u64,
    /// Polls for tasks, each second. A poll that waits counts once.
    pub poll_requests_per_second: u64,
    /// Everything else (modules, namespaces, quotas), each second.
    pub admin_requests_per_second: u64,
    /// How many seconds' worth of requests (outbound ones, too), starts, fuel or log bytes may come at once after a pause.
    pub burst_seconds: u64,
    /// New runs that clients ask for, each second.
    pub starts_per_second: u64,
    /// Runs that are open at the same time, children included. A child beyond it waits until another run closes.
    pub open_runs: u64,
    /// Modules that the namespace has uploaded.
    pub modules: u64,
    /// Bytes of these modules together.
    pub module_bytes: u64,
    /// Modules that are checked and compiled at the same time; more wait.
    pub concurrent_compiles: u64,
    /// Bytes of all histories. Above it nothing is started, signaled or updated; a tenth above it, workflows rest.
    pub history_bytes: u64,
    /// Bytes of all histories, of the rows beside them, and of all modules. As for history_bytes.
    pub store_bytes: u64,
    /// The payloads of one call or one command of a workflow, in bytes.
    pub payload_bytes: u64,
    /// Linear memory of one instance, in bytes; for a hosted activity no more than activities.memory_bytes. 0 takes
    /// guest.memory_bytes.
    pub instance_memory_bytes: u64,
    /// Private memory of the namespace's instances in the cache, in bytes; the least recently used leave it. 0 takes
    /// sandbox.instance_cache_bytes.
    pub cached_memory_bytes: u64,
    /// Fuel of one activation. 0 takes guest.fuel_per_activation.
    pub fuel_per_activation: u64,
    /// Fuel of all activations, queries and hosted activities, each second. Above it they wait.
    pub fuel_per_second: u64,
    /// Activations and queries that run at the same time, and hosted activities that compute. More wait.
    pub concurrent_activations: u64,
    /// The namespace's share of the processors, against that of others who want them too.
    pub weight: u64,
    /// Bytes that workflows and hosted activities log, each second; lines beyond it are dropped.
    pub log_bytes_per_second: u64,
    /// Activities that workers have at the same time, this server's own among them. More stay in their task queue.
    pub concurrent_activities: u64,
    /// Attempts of activities that this server runs itself, at the same time. More stay in their task queue.
    pub hosted_activities: u64,
    /// HTTP requests of those, each second. More fail.
    pub outbound_requests_per_second: u64,
}

impl Default for Quota {
    fn default() -> Quota {
        const GIB: u64 = 1 << 30;
        Quota {
            execution_requests_per_second: 20_000,
            visibility_requests_per_second: 1_000,
            poll_requests_per_second: 20_000,
            admin_requests_per_second: 500,
            burst_seconds: 2,
            starts_per_second: 10_000,
            open_runs: 5_000_000,
            modules: 1_000,
            module_bytes: 8 * GIB,
            concurrent_compiles: 1,
            history_bytes: 256 * GIB,
            store_bytes: 320 * GIB,
            payload_bytes: temporal::PAYLOAD_BYTES as u64,
            instance_memory_bytes: 0,
            cached_memory_bytes: 0,
            fuel_per_activation: 0,
            // What about 20 processors use.
            fuel_per_second: 20 * sandbox::FUEL_PER_ACTIVATION,
            concurrent_activations: 256,
            weight: 100,
            log_bytes_per_second: 1 << 20,
            concurrent_activities: 100_000,
            // Half of all: one namespace leaves room for another.
            hosted_activities: activity::CONCURRENT as u64 / 2,
            outbound_requests_per_second: 1_000,
        }
    }
}

/// Quotas that must let something through, with the least that each may be: what waits for ever holds up more than
/// itself.
const LEAST: [(&str, u64); 7] = [
    ("burst_seconds", 1),
    ("concurrent_compiles", 1),
    ("fuel_per_second", 1),
    ("concurrent_activations", 1),
    ("weight", 1),
    // Nobody could take it back otherwise.
    ("admin_requests_per_second", 1),
    ("payload_bytes", 1),
];

/// Quotas with the most that each may be.
const MOST: [(&str, u64); 3] = [
    ("weight", limits::WEIGHT_MAX),
    ("burst_seconds", limits::BURST_SECONDS_MAX),
    // Above it, requests are refused whatever the quota says.
    ("payload_bytes", temporal::PAYLOAD_BYTES as u64),
];

impl Quota {
    /// Every quota by name, in the order of names.
    pub fn entries(&self) -> BTreeMap<String, u64> {
        let serde_json::Value::Object(entries) = serde_json::json!(self) else { return BTreeMap::new() };
        entries.into_iter().filter_map(|(name, value)| Some((name, value.as_u64()?))).collect()
    }

    /// The same with some of them replaced. Refused where there is no such quota, or the value can never work.
    pub fn with(&self, overrides: &BTreeMap<String, u64>) -> Result<Quota, String> {
        let mut entries = self.entries();
        for (name, value) in overrides {
            if entries.insert(name.clone(), *value).is_none() {
                let names: Vec<String> = self.entries().into_keys().collect();
                return Err(format!("there is no quota {name:?}; there are {}", names.join(", ")));
            }
        }
        let quota: Quota = serde_json::from_value(serde_json::json!(entries)).map_err(|error| error.to_string())?;
        quota.check()?;
        Ok(quota)
    }

    /// Refuses what can never work.
    pub fn check(&self) -> Result<(), String> {
        let entries = self.entries();
        let value = |name: &str| entries.get(name).copied().unwrap_or_default();
        if let Some((name, least)) = LEAST.iter().find(|(name, least)| value(name) < *least) {
            return Err(format!("{name} must be at least {least}"));
        }
        if let Some((name, most)) = MOST.iter().find(|(name, most)| value(name) > *most) {
            return Err(format!("{name} must be at most {most}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: u64) -> Result<Quota, String> {
        Quota::default().with(&BTreeMap::from([(name.to_owned(), value)]))
    }

    #[test]
    fn every_quota_can_be_set_by_its_name() {
        let defaults = Quota::default();
        defaults.check().unwrap();
        assert_eq!(defaults.entries().len(), 23);
        for (name, value) in defaults.entries() {
            let changed = with(&name, if MOST.iter().any(|(bound, _)| *bound == name) { value } else { value + 7 });
            let changed = changed.unwrap().entries();
            let others = changed.iter().filter(|(other, _)| **other != name);
            assert!(others.into_iter().all(|(other, value)| defaults.entries()[other] == *value), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        assert!(
            with("open_run", 1).unwrap_err().contains("no quota \"open_run\"; there are admin_requests_per_second, ")
        );
        for (name, _) in LEAST {
            assert!(with(name, 0).unwrap_err().starts_with(name));
        }
        for (name, most) in MOST {
            assert!(with(name, most + 1).unwrap_err().starts_with(name));
        }
        assert_eq!(with("open_runs", 0).unwrap().open_runs, 0);
    }
}
