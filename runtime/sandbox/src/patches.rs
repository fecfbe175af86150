//! Patches: which path a run takes at a change of its workflow, as its markers say.
//!
//! A marker is written when a run reaches a change for the first time. In replay a change is taken where its marker
//! follows the activation that asks; the driver looks ahead for that.

use std::collections::{BTreeSet, HashMap};

use mainspring_api::{
    common::{Payloads, SearchAttributes},
    history::{HistoryEvent, history_event::Attributes},
};
use serde_json::{Value, json};

use crate::convert::payload::json_payload;

/// The name of the markers, and the key of what they hold, as every SDK that Temporal's core drives has them.
pub const MARKER: &str = "core_patch";
const DETAILS: &str = "patch-data";
/// The search attribute that lists the changes that a run has taken.
pub const SEARCH_ATTRIBUTE: &str = "TemporalChangeVersion";

/// What a run decided about changes so far.
#[derive(Debug, Default)]
pub struct Patches {
    known: HashMap<String, bool>,
    live: bool,
    /// The changes whose markers follow this activation.
    ahead: BTreeSet<String>,
}

/// The answer to a workflow that asks.
#[derive(Debug, PartialEq, Eq)]
pub enum Patch {
    Known(bool),
    /// It is taken now, and a marker is to be written.
    New,
}

impl Patches {
    pub fn begin_activation(&mut self, live: bool, ahead: BTreeSet<String>) {
        self.live = live;
        self.ahead = ahead;
    }

    pub fn ask(&mut self, id: &str) -> Patch {
        if let Some(known) = self.known.get(id) {
            return Patch::Known(*known);
        }
        let taken = self.live || self.ahead.contains(id);
        self.known.insert(id.to_owned(), taken);
        if taken { Patch::New } else { Patch::Known(false) }
    }

    /// The changes that were taken, for the search attribute.
    pub fn taken(&self) -> Vec<&str> {
        let taken = self.known.iter().filter(|(_, taken)| **taken).map(|(id, _)| id.as_str());
        taken.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// What a marker holds.
pub fn details(id: &str, deprecated: bool) -> HashMap<String, Payloads> {
    let data = json_payload(&json!({ "id": id, "deprecated": deprecated }));
    HashMap::from([(DETAILS.to_owned(), Payloads { payloads: vec![data] })])
}

/// The change whose marker this is, and whether it is deprecated.
pub fn read(details: &HashMap<String, Payloads>) -> Option<(String, bool)> {
    let payload = details.get(DETAILS)?.payloads.first()?;
    let data: Value = serde_json::from_slice(&payload.data).ok()?;
    Some((data["id"].as_str()?.to_owned(), data["deprecated"].as_bool().unwrap_or(false)))
}

/// Whether these are what lists show of changes, and nothing else.
pub fn lists_changes(attributes: Option<&SearchAttributes>) -> bool {
    attributes.is_some_and(|attributes| {
        attributes.indexed_fields.len() == 1 && attributes.indexed_fields.contains_key(SEARCH_ATTRIBUTE)
    })
}

/// The same, of an event.
pub fn of_event(event: &HistoryEvent) -> Option<(String, bool)> {
    match &event.attributes {
        Some(Attributes::MarkerRecordedEventAttributes(marker)) if marker.marker_name == MARKER => {
            read(&marker.details)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_live_and_where_its_marker_follows() {
        let mut patches = Patches::default();
        patches.begin_activation(false, BTreeSet::from(["marked".to_owned()]));
        assert_eq!(patches.ask("marked"), Patch::New);
        assert_eq!(patches.ask("marked"), Patch::Known(true));
        assert_eq!(patches.ask("unmarked"), Patch::Known(false));
        patches.begin_activation(true, BTreeSet::new());
        assert_eq!(patches.ask("unmarked"), Patch::Known(false), "a run keeps to the path that it has taken");
        assert_eq!(patches.ask("later"), Patch::New);
        assert_eq!(patches.taken(), ["later", "marked"]);
    }

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        assert_eq!(read(&details("change-7", true)), Some(("change-7".to_owned(), true)));
        assert_eq!(read(&HashMap::new()), None);
    }
}
