//! Whatever a guest hands over is lifted, refused, or ends the task: see `parrot`.
#![no_main]

use mainspring_fuzz::{PARROT, fuzz_target};
use prost::Message as _;

fuzz_target!(|data| {
    if data.len() < 16 {
        return;
    }
    match PARROT.say(data) {
        // What is kept can be read again.
        Ok(activated) => {
            for command in activated.commands {
                let bytes = command.encode_to_vec();
                assert_eq!(mainspring_api::command::Command::decode(bytes.as_slice()).unwrap(), command);
            }
        }
        Err(failure) => assert!(!failure.to_string().is_empty()),
    }
});
