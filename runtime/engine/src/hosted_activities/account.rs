//! Who pays for what an attempt uses.

use std::{future::Future, pin::Pin, sync::Arc};

use mainspring_sandbox::{Account, ActivityAccount};
use uuid::Uuid;

use super::turns::{AttemptTurns, Turns};
use crate::quota::Meter;

/// One attempt's account with its namespace.
pub struct AttemptAccount {
    meter: Arc<Meter>,
    turns: AttemptTurns,
}

impl AttemptAccount {
    pub fn new(meter: Arc<Meter>, turns: Arc<Turns>, namespace: Uuid) -> AttemptAccount {
        AttemptAccount { meter, turns: AttemptTurns::new(turns, namespace) }
    }
}

impl Account for AttemptAccount {
    fn used_fuel(&self, units: u64) {
        self.meter.use_fuel(units);
    }

    fn may_log(&self, bytes: usize) -> bool {
        self.meter.may_log(bytes)
    }
}

impl ActivityAccount for AttemptAccount {
    fn may_request(&self) -> bool {
        self.meter.may_request()
    }

    fn turn(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.turns.next())
    }
}
