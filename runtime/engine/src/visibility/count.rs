//! How many runs fit, as far as possible by the keys of the index alone.
//!
//! A run that closes while it is counted may be counted both as open and as closed.

use std::collections::{BTreeMap, HashSet};

use super::{
    Query,
    condition::Truth,
    list::for_each,
    plan::Bounds,
    reading::{Access, Reading, key_facts},
};
use crate::EngineError;

/// The number of runs that fit, by status.
pub(super) fn count(reading: Reading<'_>, query: &Query) -> Result<BTreeMap<i32, i64>, EngineError> {
    let bounds = Bounds::of(&query.condition);
    let mut counts: BTreeMap<i32, i64> = BTreeMap::new();
    match reading.choose(&bounds)? {
        Access::Runs(runs) => {
            for run in runs {
                reading.check_wanted()?;
                if let Some(info) = reading.read(&query.condition, run)? {
                    *counts.entry(info.status).or_default() += 1;
                }
            }
        }
        Access::Ordered(parts) => {
            // Only different attributes can have a run in common.
            let sources: HashSet<_> =
                parts.iter().map(|part| part.indexed.as_ref().map(|(source, _)| *source)).collect();
            let mut counted = (sources.len() > 1).then(HashSet::new);
            for_each(reading, &bounds, &parts, |place, part| {
                let status = match query.condition.of(&key_facts(place, part.indexed.as_ref())) {
                    Truth::True => Some(i32::from(place.status)),
                    Truth::False | Truth::Null => None,
                    Truth::Unknown => reading.read(&query.condition, place.run)?.map(|info| info.status),
                };
                if let Some(status) = status
                    && counted.as_mut().is_none_or(|counted| counted.insert(place.run))
                {
                    *counts.entry(status).or_default() += 1;
                }
                Ok(())
            })?;
        }
    }
    Ok(counts)
}
