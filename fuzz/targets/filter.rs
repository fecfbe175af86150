//! A filter of a list, as clients write it.
#![no_main]

use mainspring_fuzz::fuzz_target;

fuzz_target!(|data| {
    if let Ok(text) = std::str::from_utf8(data) {
        mainspring_engine::fuzzing::filter(text);
    }
});
