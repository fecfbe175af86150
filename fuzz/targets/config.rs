//! A configuration file: read and checked, or refused.
#![no_main]

use mainspring_fuzz::fuzz_target;

fuzz_target!(|data| {
    if let Ok(text) = std::str::from_utf8(data) {
        mainspring_server::fuzzing::config(text);
    }
});
