//! Places of a namespace: so many things at the same time, and the next one waits.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::sync::Notify;

use super::{Meter, Quota};

/// Places that are taken and given back. How many there are is asked when one is wanted.
#[derive(Default)]
pub struct Places {
    taken: AtomicU64,
    /// One was given back, or there may be more.
    freed: Notify,
}

impl Places {
    fn take(&self, limit: u64) -> bool {
        self.taken.fetch_update(Relaxed, Relaxed, |taken| (taken < limit).then_some(taken + 1)).is_ok()
    }

    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// There may be more of them.
    pub fn look_again(&self) {
        self.freed.notify_waiters();
    }
}

/// A place of a namespace, given back when it is dropped.
pub struct Place {
    meter: Arc<Meter>,
    among: fn(&Meter) -> &Places,
}

impl Drop for Place {
    fn drop(&mut self) {
        let places = (self.among)(&self.meter);
        places.taken.fetch_sub(1, Relaxed);
        places.freed.notify_waiters();
    }
}

impl Meter {
    /// Waits for a place among the namespace's compilers.
    pub async fn compile_place(self: &Arc<Self>) -> Place {
        self.place(|meter| &meter.compiles, |quota| quota.concurrent_compiles).await
    }

    /// Waits for a place among the namespace's attempts of activities that this server runs.
    pub async fn hosted_place(self: &Arc<Self>) -> Place {
        self.place(|meter| &meter.hosted, |quota| quota.hosted_activities).await
    }

    /// The same, if there is one.
    pub fn try_hosted_place(self: &Arc<Self>) -> Option<Place> {
        let taken = self.hosted.take(self.quota().hosted_activities);
        taken.then(|| Place { meter: Arc::clone(self), among: |meter| &meter.hosted })
    }

    async fn place(self: &Arc<Self>, among: fn(&Meter) -> &Places, limit: fn(&Quota) -> u64) -> Place {
        loop {
            let freed = among(self).freed.notified();
            tokio::pin!(freed);
            // Registered before the look, so that none is missed between the two.
            freed.as_mut().enable();
            if among(self).take(limit(&self.quota())) {
                return Place { meter: Arc::clone(self), among };
            }
            freed.await;
        }
    }
}
