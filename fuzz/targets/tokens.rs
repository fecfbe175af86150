//! Task tokens and page tokens: as they come, and with the right checksum around any content.
#![no_main]

use mainspring_fuzz::fuzz_target;

fuzz_target!(|data| {
    mainspring_server::fuzzing::tokens(data);
    mainspring_engine::fuzzing::page_token(data);
});
