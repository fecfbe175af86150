//! What one namespace uses, and what it may.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use mainspring_api::enums::ResourceExhaustedCause as Cause;
use mainspring_core::{RunState, outbox::Effect};
use mainspring_sandbox::{Account, GuestLimits, Terms};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{MutexGuard, Notify};

use super::{
    Quota, QuotaExceeded, Quotas, RequestKind, Share,
    bucket::{Bucket, Rate},
    now,
    places::Places,
};
use crate::{keys::RunKey, limits};

/// A namespace's meter.
pub struct Meter {
    pub(super) namespace: String,
    settings: RwLock<Settings>,
    changing: tokio::sync::Mutex<()>,
    buckets: Mutex<Buckets>,
    /// True after a restart, too.
    pub(super) stored: Stored,
    pub(super) since_start: SinceStart,
    /// By the quota's name.
    refused: Mutex<BTreeMap<&'static str, Refusals>>,
    /// Workflow tasks rest because the namespace stores too much.
    resting: AtomicBool,
    /// Children that wait for room among the open runs. Each stands in its parent's row, too.
    parked: Mutex<Vec<(RunKey, Effect)>>,
    /// Activities on their way to a worker, which are not counted as started yet.
    starting: Mutex<u64>,
    /// A worker has given an activity back, or may have more.
    activity_ended: Notify,
    pub(super) compiles: Places,
    pub(super) hosted: Places,
}

/// What one quota has refused, and when the log said so.
#[derive(Default)]
struct Refusals {
    count: u64,
    told: Option<Duration>,
}

struct Settings {
    quota: Arc<Quota>,
    overrides: BTreeMap<String, u64>,
    limits: Arc<GuestLimits>,
}

#[derive(Default)]
struct Buckets {
    requests: HashMap<RequestKind, Bucket>,
    starts: Bucket,
    fuel: Bucket,
    log: Bucket,
    log_told: Option<Duration>,
    outbound: Bucket,
}

#[derive(Default)]
pub(super) struct Stored {
    pub open_runs: AtomicI64,
    pub history_bytes: AtomicI64,
    pub row_bytes: AtomicI64,
    pub started_activities: AtomicI64,
    pub modules: AtomicU64,
    pub module_bytes: AtomicU64,
}

#[derive(Default)]
pub(super) struct SinceStart {
    pub requests: [AtomicU64; 4],
    pub requests_refused: [AtomicU64; 4],
    pub starts: AtomicU64,
    pub events: AtomicU64,
    pub activations: AtomicU64,
    pub queries: AtomicU64,
    pub activation_nanoseconds: AtomicU64,
    pub fuel: AtomicU64,
    pub log_bytes: AtomicU64,
    pub log_bytes_dropped: AtomicU64,
    pub outbound_requests: AtomicU64,
}

/// What a run counts for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted {
    open: bool,
    history_bytes: i64,
    run_row_bytes: i64,
    /// By scheduled event id: the bytes of the activity's row, and whether a worker has it.
    activities: BTreeMap<i64, (i64, bool)>,
}

/// How what a namespace stores changes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delta {
    pub open_runs: i64,
    pub history_bytes: i64,
    pub row_bytes: i64,
    pub started_activities: i64,
    pub events: u64,
}

impl Counted {
    /// A run that has just been read, or that has been counted as open before it is written.
    pub fn begin(&mut self, open: bool, history_bytes: i64, run_row_bytes: usize) {
        self.open = open;
        self.history_bytes = history_bytes;
        self.run_row_bytes = signed(run_row_bytes);
    }

    pub fn activity(&mut self, scheduled_event_id: i64, row: Option<(usize, bool)>) -> Delta {
        let new = row.map(|(bytes, started)| (signed(bytes), started));
        let old = match new {
            Some(new) => self.activities.insert(scheduled_event_id, new),
            None => self.activities.remove(&scheduled_event_id),
        };
        let ((new, started), (old, was_started)) = (new.unwrap_or_default(), old.unwrap_or_default());
        Delta {
            row_bytes: new - old,
            started_activities: i64::from(started) - i64::from(was_started),
            ..Delta::default()
        }
    }

    pub fn run(&mut self, state: &RunState, run_row_bytes: usize) -> Delta {
        let old = self.clone_head();
        self.begin(state.is_running(), state.history_bytes, run_row_bytes);
        Delta {
            open_runs: i64::from(self.open) - i64::from(old.0),
            history_bytes: self.history_bytes - old.1,
            row_bytes: self.run_row_bytes - old.2,
            ..Delta::default()
        }
    }

    fn clone_head(&self) -> (bool, i64, i64) {
        (self.open, self.history_bytes, self.run_row_bytes)
    }

    /// The run is deleted.
    pub fn end(self) -> Delta {
        let mut delta = Delta {
            open_runs: -i64::from(self.open),
            history_bytes: -self.history_bytes,
            row_bytes: -self.run_row_bytes,
            ..Delta::default()
        };
        for (bytes, started) in self.activities.values() {
            delta.row_bytes -= bytes;
            delta.started_activities -= i64::from(*started);
        }
        delta
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl std::ops::AddAssign for Delta {
    fn add_assign(&mut self, other: Delta) {
        self.open_runs += other.open_runs;
        self.history_bytes += other.history_bytes;
        self.row_bytes += other.row_bytes;
        self.started_activities += other.started_activities;
        self.events += other.events;
    }
}

impl Meter {
    pub(super) fn new(namespace: &str, quota: Quota, limits: Arc<GuestLimits>) -> Meter {
        Meter {
            namespace: namespace.to_owned(),
            settings: RwLock::new(Settings { quota: Arc::new(quota), overrides: BTreeMap::new(), limits }),
            changing: tokio::sync::Mutex::default(),
            buckets: Mutex::default(),
            stored: Stored::default(),
            since_start: SinceStart::default(),
            refused: Mutex::default(),
            resting: AtomicBool::new(false),
            parked: Mutex::default(),
            starting: Mutex::default(),
            activity_ended: Notify::new(),
            compiles: Places::default(),
            hosted: Places::default(),
        }
    }

    // Settings.

    pub fn quota(&self) -> Arc<Quota> {
        Arc::clone(&self.settings.read().quota)
    }

    pub fn overrides(&self) -> BTreeMap<String, u64> {
        self.settings.read().overrides.clone()
    }

    pub async fn turn_to_change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// What of it this server does not know, or does not take, does not count: a newer one may have written it.
    pub(super) fn set(&self, quotas: &Quotas, overrides: BTreeMap<String, u64>) {
        let mut quota = quotas.defaults.clone();
        for (name, value) in &overrides {
            match quota.with(&BTreeMap::from([(name.clone(), *value)])) {
                Ok(changed) => quota = changed,
                Err(problem) => tracing::warn!(namespace = self.namespace, problem, "a stored quota is of no use"),
            }
        }
        let limits = quotas.limits(&quota);
        let mut settings = self.settings.write();
        // Instances keep theirs as long as they are the same.
        let limits = if *settings.limits == *limits { Arc::clone(&settings.limits) } else { limits };
        *settings = Settings { quota: Arc::new(quota), overrides, limits };
        drop(settings);
        self.activity_ended.notify_waiters();
        self.compiles.look_again();
        self.hosted.look_again();
    }

    // Refusals.

    fn exceeded(&self, quota: &'static str, cause: Cause, limit: u64) -> QuotaExceeded {
        self.note_refusal(quota);
        let message = format!("Namespace {:?} has reached its quota {quota}: {limit}.", self.namespace);
        QuotaExceeded { quota, message, cause }
    }

    fn note_refusal(&self, quota: &'static str) {
        let now = now();
        let mut refused = self.refused.lock();
        let refusals = refused.entry(quota).or_default();
        refusals.count += 1;
        if refusals.told.is_none_or(|told| now >= told + limits::QUOTA_TOLD) {
            refusals.told = Some(now);
            let count = refusals.count;
            drop(refused);
            tracing::warn!(namespace = self.namespace, quota, refused = count, "a quota is reached, and refuses calls");
        }
    }

    /// Refusals by the quota's name.
    pub(super) fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().iter().map(|(quota, refusals)| (*quota, refusals.count)).collect()
    }

    pub fn admit(&self, kind: RequestKind) -> Result<(), QuotaExceeded> {
        let quota = self.quota();
        let (name, per_second) = match kind {
            RequestKind::Execution => ("execution_requests_per_second", quota.execution_requests_per_second),
            RequestKind::Visibility => ("visibility_requests_per_second", quota.visibility_requests_per_second),
            RequestKind::Poll => ("poll_requests_per_second", quota.poll_requests_per_second),
            RequestKind::Admin => ("admin_requests_per_second", quota.admin_requests_per_second),
        };
        let rate = Rate { per_second, burst_seconds: quota.burst_seconds };
        if self.buckets.lock().requests.entry(kind).or_default().take(now(), rate, 1) {
            self.since_start.requests[kind as usize].fetch_add(1, Relaxed);
            return Ok(());
        }
        self.since_start.requests_refused[kind as usize].fetch_add(1, Relaxed);
        Err(self.exceeded(name, Cause::RpsLimit, per_second))
    }

    /// Before a client's start is looked at. Whether it makes a run at all is only known where the run would begin.
    pub fn admit_start(&self) -> Result<(), QuotaExceeded> {
        let quota = self.quota();
        self.check_room()?;
        let rate = Rate { per_second: quota.starts_per_second, burst_seconds: quota.burst_seconds };
        match self.buckets.lock().starts.take(now(), rate, 1) {
            true => Ok(()),
            false => Err(self.exceeded("starts_per_second", Cause::RpsLimit, quota.starts_per_second)),
        }
    }

    /// Counts a run as open that is about to begin.
    pub fn begin_run(&self) -> Result<(), QuotaExceeded> {
        let limit = self.quota().open_runs;
        let fits = |open: i64| (u64::try_from(open).unwrap_or(0) < limit).then_some(open + 1);
        match self.stored.open_runs.fetch_update(Relaxed, Relaxed, fits) {
            Ok(_) => {
                self.since_start.starts.fetch_add(1, Relaxed);
                Ok(())
            }
            Err(_) => Err(self.exceeded("open_runs", Cause::ConcurrentLimit, limit)),
        }
    }

    pub fn check_room(&self) -> Result<(), QuotaExceeded> {
        let quota = self.quota();
        let cause = Cause::PersistenceStorageLimit;
        if self.history_bytes() >= quota.history_bytes {
            return Err(self.exceeded("history_bytes", cause, quota.history_bytes));
        }
        if self.store_bytes() >= quota.store_bytes {
            return Err(self.exceeded("store_bytes", cause, quota.store_bytes));
        }
        Ok(())
    }

    pub fn check_module(&self, count: u64, total: u64, bytes: u64) -> Result<(), QuotaExceeded> {
        let quota = self.quota();
        if count >= quota.modules {
            return Err(self.exceeded("modules", Cause::ConcurrentLimit, quota.modules));
        }
        if total + bytes > quota.module_bytes {
            return Err(self.exceeded("module_bytes", Cause::PersistenceStorageLimit, quota.module_bytes));
        }
        if self.store_bytes() + bytes > quota.store_bytes {
            return Err(self.exceeded("store_bytes", Cause::PersistenceStorageLimit, quota.store_bytes));
        }
        Ok(())
    }

    // What is stored.

    pub fn apply(&self, delta: Delta) {
        self.stored.open_runs.fetch_add(delta.open_runs, Relaxed);
        self.stored.history_bytes.fetch_add(delta.history_bytes, Relaxed);
        self.stored.row_bytes.fetch_add(delta.row_bytes, Relaxed);
        self.stored.started_activities.fetch_add(delta.started_activities, Relaxed);
        self.since_start.events.fetch_add(delta.events, Relaxed);
        if delta.started_activities < 0 {
            self.activity_ended.notify_waiters();
        }
    }

    pub fn set_modules(&self, count: u64, bytes: u64) {
        self.stored.modules.store(count, Relaxed);
        self.stored.module_bytes.store(bytes, Relaxed);
    }

    pub fn open_runs(&self) -> u64 {
        positive(&self.stored.open_runs)
    }

    pub fn history_bytes(&self) -> u64 {
        positive(&self.stored.history_bytes)
    }

    pub fn store_bytes(&self) -> u64 {
        self.history_bytes() + positive(&self.stored.row_bytes) + self.stored.module_bytes.load(Relaxed)
    }

    fn is_far_over(&self) -> bool {
        let quota = self.quota();
        let far = |limit: u64| limit.saturating_add(limit / 10);
        self.history_bytes() > far(quota.history_bytes) || self.store_bytes() > far(quota.store_bytes)
    }

    /// Whether workflows may have their turns. They rest where the namespace stores a tenth more than it may: nothing
    /// else ends the growth of a workflow that only talks to itself.
    pub fn may_run(&self) -> bool {
        let rests = self.is_far_over();
        if rests {
            self.resting.store(true, Relaxed);
        }
        !rests
    }

    /// Whether workflows rest that may run again.
    pub(super) fn may_go_on(&self) -> bool {
        self.resting.load(Relaxed) && !self.is_far_over() && self.resting.swap(false, Relaxed)
    }

    /// A child has found no room. It is tried again when a run closes.
    pub fn park(&self, parent: RunKey, child: Effect) {
        self.parked.lock().push((parent, child));
    }

    pub fn has_parked(&self) -> bool {
        !self.parked.lock().is_empty()
    }

    /// As many as there is room for.
    pub(super) fn take_parked(&self) -> Vec<(RunKey, Effect)> {
        let room = self.quota().open_runs.saturating_sub(self.open_runs());
        let mut parked = self.parked.lock();
        let count = usize::try_from(room).unwrap_or(usize::MAX).min(parked.len());
        parked.drain(..count).collect()
    }

    // Activities.

    fn may_start_activity(&self, starting: u64) -> bool {
        positive(&self.stored.started_activities) + starting < self.quota().concurrent_activities
    }

    /// A place for one more activity that a worker has; to be held until the activity's own row counts.
    pub fn begin_activity(self: &Arc<Self>) -> Option<StartingActivity> {
        let mut starting = self.starting.lock();
        let fits = self.may_start_activity(*starting);
        *starting += u64::from(fits);
        fits.then(|| StartingActivity(Arc::clone(self)))
    }

    /// Waits until a worker may have one more activity. It may still be gone when it is asked for.
    pub async fn activity_may_start(&self) {
        loop {
            let ended = self.activity_ended.notified();
            tokio::pin!(ended);
            // Registered before the look, so that no end is missed between the two.
            ended.as_mut().enable();
            if self.may_start_activity(*self.starting.lock()) {
                return;
            }
            ended.await;
        }
    }

    pub(super) fn hosted_activities(&self) -> u64 {
        self.hosted.taken()
    }

    // Activations.

    pub fn share(&self) -> Share {
        let quota = self.quota();
        let rate = Rate { per_second: quota.fuel_per_second, burst_seconds: quota.burst_seconds };
        Share {
            weight: quota.weight,
            concurrent: usize::try_from(quota.concurrent_activations).unwrap_or(usize::MAX),
            pause: self.buckets.lock().fuel.debt(now(), rate),
        }
    }

    pub fn terms(&self, account: Arc<dyn Account>) -> Terms {
        let settings = self.settings.read();
        Terms {
            limits: Arc::clone(&settings.limits),
            cached_bytes: usize::try_from(settings.quota.cached_memory_bytes).unwrap_or(usize::MAX),
            account: Some(account),
        }
    }

    pub fn note_activation(&self, is_query: bool, took: Duration) {
        let counter = if is_query { &self.since_start.queries } else { &self.since_start.activations };
        counter.fetch_add(1, Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.since_start.activation_nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// Linear memory of one instance, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.settings.read().limits.memory_bytes
    }

    /// Counts an HTTP request of an activity, or refuses it.
    pub fn may_request(&self) -> bool {
        let quota = self.quota();
        let rate = Rate { per_second: quota.outbound_requests_per_second, burst_seconds: quota.burst_seconds };
        let fits = self.buckets.lock().outbound.take(now(), rate, 1);
        if fits {
            self.since_start.outbound_requests.fetch_add(1, Relaxed);
        } else {
            self.note_refusal("outbound_requests_per_second");
        }
        fits
    }

    pub fn use_fuel(&self, units: u64) {
        self.since_start.fuel.fetch_add(units, Relaxed);
        let quota = self.quota();
        let rate = Rate { per_second: quota.fuel_per_second, burst_seconds: quota.burst_seconds };
        self.buckets.lock().fuel.pay(now(), rate, units);
    }

    pub fn may_log(&self, bytes: usize) -> bool {
        let quota = self.quota();
        let rate = Rate { per_second: quota.log_bytes_per_second, burst_seconds: quota.burst_seconds };
        let (bytes, now) = (bytes as u64, now());
        let mut buckets = self.buckets.lock();
        if buckets.log.take(now, rate, bytes) {
            self.since_start.log_bytes.fetch_add(bytes, Relaxed);
            return true;
        }
        self.since_start.log_bytes_dropped.fetch_add(bytes, Relaxed);
        let told = buckets.log_told.is_some_and(|told| now < told + limits::QUOTA_TOLD);
        if !told {
            buckets.log_told = Some(now);
            drop(buckets);
            let dropped = self.since_start.log_bytes_dropped.load(Relaxed);
            tracing::warn!(
                namespace = self.namespace,
                dropped,
                "workflows or activities log more than log_bytes_per_second; lines are dropped"
            );
        }
        false
    }
}

/// An activity on its way to a worker.
pub struct StartingActivity(Arc<Meter>);

impl Drop for StartingActivity {
    fn drop(&mut self) {
        *self.0.starting.lock() -= 1;
        // It may not have been started after all.
        self.0.activity_ended.notify_waiters();
    }
}

/// Charges a namespace for one job of its own, and remembers what that came to.
pub struct JobAccount {
    meter: Arc<Meter>,
    fuel: AtomicU64,
}

impl JobAccount {
    pub fn new(meter: Arc<Meter>) -> JobAccount {
        JobAccount { meter, fuel: AtomicU64::new(0) }
    }

    /// Fuel of the job so far, replay included.
    pub fn fuel(&self) -> u64 {
        self.fuel.load(Relaxed)
    }
}

impl Account for JobAccount {
    fn used_fuel(&self, units: u64) {
        self.fuel.fetch_add(units, Relaxed);
        self.meter.use_fuel(units);
    }

    fn may_log(&self, bytes: usize) -> bool {
        self.meter.may_log(bytes)
    }
}

/// A gauge that is never below nothing; several threads change it, so it may look so for a moment.
pub(super) fn positive(gauge: &AtomicI64) -> u64 {
    u64::try_from(gauge.load(Relaxed)).unwrap_or(0)
}
