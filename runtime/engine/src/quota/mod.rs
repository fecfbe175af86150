//! What each namespace may use, and what it does use.
//!
//! A [`Meter`] belongs to a namespace. It counts, it refuses where something would be too much, and it says how much of
//! what all share the namespace may have. `settings` are the quotas, `bucket` is what rates are held with, `fair` are
//! the queues in which namespaces take turns.
//!
//! What must be true after a restart (open runs, stored bytes, activities that workers have) is counted from the rows
//! when the engine opens, and by the steps that change it from there on. Everything else counts from the start.

mod bucket;
mod fair;
mod meter;
mod places;
mod settings;
mod usage;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use mainspring_api::{common::Payloads, enums::ResourceExhaustedCause as Cause};
use mainspring_sandbox::{Digest, GuestLimits};
use mainspring_store::{Batch, Store, prefix_end};
use parking_lot::RwLock;
use prost::Message;
use uuid::Uuid;

pub use self::{
    fair::{FairQueue, Next, Share, Ticket, TurnQueue},
    meter::{Counted, Delta, JobAccount, Meter},
    places::Place,
    settings::Quota,
    usage::Usage,
};
use crate::{
    Engine, EngineError, effects,
    inner::{Namespaces, Shared},
    keys,
    rows::{QuotaRow, decode},
    run::for_each_row,
    shard::Request,
};

/// What the requests of clients are, each with a rate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestKind {
    Execution,
    Visibility,
    Poll,
    Admin,
}

impl RequestKind {
    pub const ALL: [RequestKind; 4] =
        [RequestKind::Execution, RequestKind::Visibility, RequestKind::Poll, RequestKind::Admin];

    pub fn name(self) -> &'static str {
        match self {
            RequestKind::Execution => "execution",
            RequestKind::Visibility => "visibility",
            RequestKind::Poll => "poll",
            RequestKind::Admin => "admin",
        }
    }
}

/// A namespace asks for more than its quota.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct QuotaExceeded {
    /// The quota's name, as it is set by.
    pub quota: &'static str,
    pub message: String,
    pub cause: Cause,
}

/// The quotas of a namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct NamespaceQuota {
    /// What holds.
    pub quota: Quota,
    /// What holds where nothing was set.
    pub defaults: Quota,
    /// What was set for this namespace.
    pub overrides: BTreeMap<String, u64>,
}

/// The meters of all namespaces.
pub struct Quotas {
    defaults: Quota,
    guest: GuestLimits,
    meters: RwLock<HashMap<Uuid, Arc<Meter>>>,
}

impl Quotas {
    /// Reads what was set. `guest` and `cached_bytes` are what the sandbox lets everybody have.
    pub fn open(
        store: &dyn Store,
        namespaces: &Namespaces,
        defaults: Quota,
        guest: GuestLimits,
        cached_bytes: usize,
    ) -> Result<Quotas, EngineError> {
        let or = |given: u64, other: u64| if given == 0 { other } else { given };
        let defaults = Quota {
            instance_memory_bytes: or(defaults.instance_memory_bytes, guest.memory_bytes as u64),
            cached_memory_bytes: or(defaults.cached_memory_bytes, cached_bytes as u64),
            fuel_per_activation: or(defaults.fuel_per_activation, guest.fuel_per_activation),
            ..defaults
        };
        let quotas = Quotas { defaults, guest, meters: RwLock::default() };
        for_each_row(store, b"q", &prefix_end(b"q"), |key, value| {
            let row: QuotaRow = decode("quota", key, value)?;
            let Ok(namespace) = Uuid::from_slice(&key[1..]) else {
                return Err(EngineError::Damaged(format!("quota {}", mainspring_store::readable_key(key))));
            };
            quotas.meter(namespace, &namespaces.name_of(namespace)).set(&quotas, row.overrides);
            Ok(())
        })?;
        Ok(quotas)
    }

    /// A namespace's meter; made where there is none yet.
    pub fn meter(&self, namespace: Uuid, name: &str) -> Arc<Meter> {
        if let Some(meter) = self.meters.read().get(&namespace) {
            return Arc::clone(meter);
        }
        let mut meters = self.meters.write();
        let new = || Arc::new(Meter::new(name, self.defaults.clone(), self.limits(&self.defaults)));
        Arc::clone(meters.entry(namespace).or_insert_with(new))
    }

    /// What a guest may use under a quota.
    fn limits(&self, quota: &Quota) -> Arc<GuestLimits> {
        let or = |given: u64, other: usize| match given {
            0 => other,
            given => usize::try_from(given).unwrap_or(usize::MAX),
        };
        Arc::new(GuestLimits {
            memory_bytes: or(quota.instance_memory_bytes, self.guest.memory_bytes),
            fuel_per_activation: match quota.fuel_per_activation {
                0 => self.guest.fuel_per_activation,
                given => given,
            },
            ..self.guest.clone()
        })
    }
}

impl Shared {
    pub fn meter(&self, namespace: Uuid) -> Arc<Meter> {
        if let Some(meter) = self.quotas.meters.read().get(&namespace) {
            return Arc::clone(meter);
        }
        self.quotas.meter(namespace, &self.namespaces.name_of(namespace))
    }

    /// What waited for room in its namespace's quota, and has room now, goes on.
    pub fn room_was_made(self: &Arc<Self>, namespace: Uuid) {
        let meter = self.meter(namespace);
        if meter.may_go_on() {
            for shard in &self.shards {
                shard.notify(Request::Resume { namespace });
            }
        }
        for (run, effect) in meter.take_parked() {
            effects::deliver(self, &run, effect);
        }
    }
}

impl Engine {
    fn meter_of(&self, namespace: &str) -> Result<(Uuid, Arc<Meter>), EngineError> {
        let id = self.shared().namespaces.id(namespace)?;
        Ok((id, self.shared().meter(id)))
    }

    /// Counts a request of a client, or refuses it: every request comes through here once, before anything else is done
    /// about it. One to a namespace that is not there is let through, to be told so.
    pub fn admit(&self, namespace: &str, kind: RequestKind) -> Result<(), EngineError> {
        match self.meter_of(namespace) {
            Ok((_, meter)) => Ok(meter.admit(kind)?),
            Err(_) => Ok(()),
        }
    }

    /// Refuses where the namespace stores too much already. What ends runs, or lets them end, is not asked.
    pub(crate) fn check_room(&self, namespace: &str) -> Result<(), EngineError> {
        Ok(self.meter_of(namespace)?.1.check_room()?)
    }

    /// Refuses payloads that are too large for the namespace.
    pub(crate) fn check_payloads(
        &self,
        namespace: &str,
        what: &str,
        payloads: Option<&Payloads>,
    ) -> Result<(), EngineError> {
        let Some(payloads) = payloads else { return Ok(()) };
        let limit = self.meter_of(namespace)?.1.quota().payload_bytes;
        let size = payloads.encoded_len() as u64;
        if size <= limit {
            return Ok(());
        }
        // It would be as large another time: no code that clients try again.
        Err(mainspring_core::Rejection::InvalidArgument(format!(
            "{what} exceeds size limit: it has {size} bytes, the quota payload_bytes of namespace {namespace:?} allows {limit}."
        ))
        .into())
    }

    /// Refuses a module that the namespace has no room for. One that it has already needs none.
    pub(crate) fn check_module(&self, namespace: &str, digest: &Digest, bytes: u64) -> Result<(), EngineError> {
        let (id, meter) = self.meter_of(namespace)?;
        let modules = &self.shared().modules;
        if modules.has(id, digest)? {
            return Ok(());
        }
        let (count, total) = modules.total(id)?;
        meter.set_modules(count, total);
        Ok(meter.check_module(count, total, bytes)?)
    }

    /// The namespace's modules have changed.
    pub(crate) fn recount_modules(&self, namespace: Uuid) -> Result<(), EngineError> {
        let (count, total) = self.shared().modules.total(namespace)?;
        self.shared().meter(namespace).set_modules(count, total);
        Ok(())
    }

    pub fn quota(&self, namespace: &str) -> Result<NamespaceQuota, EngineError> {
        let (_, meter) = self.meter_of(namespace)?;
        let (quota, overrides) = ((*meter.quota()).clone(), meter.overrides());
        Ok(NamespaceQuota { quota, defaults: self.shared().quotas.defaults.clone(), overrides })
    }

    /// Sets some quotas of a namespace: durably, and at once. Those that are given without a value go back to the default.
    pub async fn set_quota(
        &self,
        namespace: &str,
        changes: BTreeMap<String, Option<u64>>,
    ) -> Result<NamespaceQuota, EngineError> {
        let (id, meter) = self.meter_of(namespace)?;
        // One change at a time, or one of two would be lost.
        let _turn = meter.turn_to_change().await;
        let mut overrides = meter.overrides();
        let invalid = mainspring_core::Rejection::InvalidArgument;
        for (name, value) in changes {
            match value {
                Some(value) => overrides.insert(name, value),
                None if self.shared().quotas.defaults.entries().contains_key(&name) => overrides.remove(&name),
                None => return Err(invalid(format!("there is no quota {name:?}")).into()),
            };
        }
        self.shared().quotas.defaults.with(&overrides).map_err(invalid)?;
        let mut batch: Batch = self.home_batch();
        match overrides.is_empty() {
            true => batch.delete(keys::quota(id)),
            false => batch.put(keys::quota(id), QuotaRow { overrides: overrides.clone() }.encode_to_vec()),
        }
        self.commit(batch).await?;
        meter.set(&self.shared().quotas, overrides);
        self.shared().activations.wake();
        self.shared().room_was_made(id);
        self.quota(namespace)
    }

    /// Takes back everything that was set for a namespace.
    pub async fn reset_quota(&self, namespace: &str) -> Result<NamespaceQuota, EngineError> {
        let names = self.quota(namespace)?.overrides.into_keys();
        self.set_quota(namespace, names.map(|name| (name, None)).collect()).await
    }
}

/// Since this process began.
fn now() -> Duration {
    crate::clock::monotonic()
}
