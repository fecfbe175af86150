//! What nearly every activity needs: `use mainspring_activity::prelude::*;`.

pub use std::time::Duration;

pub use serde::{Deserialize, Serialize};

pub use crate::{
    ActivityError, ActivityResult, ApplicationFailure, Bytes, Canceled, Level, OrFail, Payload, config, heartbeat,
    http::{self, Request, Response},
    info, log,
};
