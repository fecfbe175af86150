//! A history from a file, as `mainspring replay` takes it: JSON or an encoded message. It is folded, and replayed.
#![no_main]

use mainspring_api::{history::History, json};
use mainspring_core::RunState;
use mainspring_fuzz::{PARROT, fuzz_target, run_key};
use mainspring_sandbox::ModuleSource;
use prost::Message as _;

fuzz_target!(|data| {
    let events = match data.split_first() {
        Some((b'{' | b'[', _)) => {
            let Some(events) = std::str::from_utf8(data).ok().and_then(|text| json::history_from_json(text).ok())
            else {
                return;
            };
            events
        }
        Some(_) => match History::decode(data) {
            Ok(history) => history.events,
            Err(_) => return,
        },
        None => return,
    };
    let run = run_key();
    if let Ok(state) = RunState::fold(&run.run_id, &events) {
        assert_eq!(state.next_event_id, events.len() as i64 + 1);
    }
    // Also what cannot be folded: the sandbox does not rely on others having looked.
    let module = ModuleSource::Stored { digest: PARROT.module, modules: &*PARROT };
    let _ = PARROT.sandbox.replay(&module, &run, &events);
    // What was read can be written, and read again. Times may come with too many nanoseconds for a second, or with less than
    // none; JSON has them as they should be, so it is what was written that is compared.
    let text = json::to_json(&History { events }).to_string();
    let again = json::history_from_json(&text).expect("what was written can be read");
    assert_eq!(json::to_json(&History { events: again }).to_string(), text);
});
