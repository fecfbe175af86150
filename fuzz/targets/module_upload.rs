//! Any bytes are uploaded: scanned, validated, compiled, described, or refused with a reason that fits into an answer.
#![no_main]

use std::{sync::LazyLock, time::Duration};

use mainspring_fuzz::fuzz_target;
use mainspring_sandbox::{Sandbox, SandboxConfig};

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    let mut config = SandboxConfig { module_bytes: 256 * 1024, loaded_modules: 1, ..SandboxConfig::default() };
    config.compile_time = Duration::from_secs(20);
    config.limits.fuel_per_activation = 1_000_000;
    config.limits.memory_bytes = 1024 * 1024;
    Sandbox::new(config).unwrap()
});

fuzz_target!(|data| {
    match SANDBOX.load(data) {
        Ok(description) => assert!(!description.workflow_types.is_empty()),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 8 * 1024, "{} bytes", text.len());
            assert!(!text.contains("panicked"), "{text}");
        }
    }
});
