//! One page of a list.
//!
//! **What is promised.** Pages of a list show each run at most once, and every run that was there when the first page
//! was asked for, fits the filter all the time and is not deleted before its page comes. A run that starts after the
//! first page is on none of them, or (where it starts in the same microsecond) once. This holds for the order of lists
//! and for orders by start time, because a run's position in them does not change while the pages are turned: see
//! [`Position`]. It holds as long as the server's clock does not run backwards. In the other orders a run whose value
//! changes between two pages may be missed or shown twice.
//!
//! A page may have fewer runs than were asked for, and still have a successor: a filter that no index serves is not
//! looked for without end.

use std::collections::BTreeMap;

use mainspring_api::workflow::WorkflowExecutionInfo;
use mainspring_core::Time;
use uuid::Uuid;

use super::{
    Query,
    index::{self, Place, Position, micros},
    order::{Mark, Order},
    plan::{Bounds, Span},
    reading::{Access, Merge, Part, Reading, Rows, started_range},
};
use crate::{EngineError, limits};

/// Where a page begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resume {
    /// When the first page was asked for, in microseconds since 1970.
    pub as_of: i64,
    /// The last run before the page.
    pub after: Option<Mark>,
}

#[derive(Debug)]
pub(super) struct Page {
    pub executions: Vec<WorkflowExecutionInfo>,
    /// Where the next page begins, if there can be one.
    pub next: Option<Resume>,
}

struct Listing<'a> {
    reading: Reading<'a>,
    query: &'a Query,
    bounds: Bounds,
    as_of: i64,
    after: Option<Mark>,
    size: usize,
}

pub(super) fn list(reading: Reading<'_>, query: &Query, resume: Resume, size: usize) -> Result<Page, EngineError> {
    let bounds = Bounds::of(&query.condition);
    let access = reading.choose(&bounds)?;
    let Resume { as_of, after } = resume;
    let listing = Listing { reading, query, bounds, as_of, after, size };
    match (access, &query.order) {
        (Access::Runs(runs), _) => listing.of_runs(runs),
        (Access::Ordered(parts), Order::Listed) => listing.merged(&parts),
        (Access::Ordered(_), Order::Start { descends }) => listing.started(*descends),
        (Access::Ordered(parts), Order::By(_)) => listing.sorted(&parts),
    }
}

type Found = (Mark, WorkflowExecutionInfo);

impl Listing<'_> {
    fn page(&self, mut found: Vec<Found>, given_up_at: Option<Mark>) -> Page {
        found.truncate(self.size);
        let after = if found.len() == self.size { found.last().map(|(mark, _)| mark.clone()) } else { given_up_at };
        let next = after.map(|after| Resume { as_of: self.as_of, after: Some(after) });
        Page { executions: found.into_iter().map(|(_, info)| info).collect(), next }
    }

    fn of_runs(&self, runs: Vec<Uuid>) -> Result<Page, EngineError> {
        let mut first = First::new(self.size, self.after.as_ref());
        for run in runs {
            self.reading.check_wanted()?;
            if let Some(info) = self.reading.read(&self.query.condition, run)? {
                first.offer(self.mark(&info, run), || Ok(Some(info)))?;
            }
        }
        Ok(self.page(first.sorted(), None))
    }

    fn mark(&self, info: &WorkflowExecutionInfo, run: Uuid) -> Mark {
        let time = |time: Option<&mainspring_api::Timestamp>| time.map(|time| micros(Time::from_proto(time)));
        let place = Place {
            status: u8::try_from(info.status).unwrap_or_default(),
            close: time(info.close_time.as_ref()),
            start: time(info.start_time.as_ref()).unwrap_or_default(),
            run,
        };
        self.query.order.mark(info, &place, self.as_of)
    }

    /// In the order of lists: first what was open when the list began, then what had closed.
    fn merged(&self, parts: &[Part]) -> Result<Page, EngineError> {
        let after = match &self.after {
            Some(Mark::Listed(position)) => Some(*position),
            _ => None,
        };
        let mut budget = self.reading.effort.rows;
        let mut found: Vec<Found> = Vec::new();
        if after.is_none_or(|after| after.is_open()) {
            let open = self.bounds.statuses.open().collect::<Vec<u8>>();
            let spans = (self.bounds.close, self.bounds.start);
            let mut live = Merge::new(self.reading, parts, open.into_iter(), spans, (self.as_of, after))?;
            let given_up_at = self.take(&mut live, &mut found, &mut budget)?;
            // Only now, so that what closes meanwhile is met here if it was not met there.
            found.extend(self.late(parts, after)?);
            found.sort_by(|(one, _), (another, _)| one.cmp(another));
            found.dedup_by(|(one, _), (another, _)| one == another);
            if let Some(mark) = &given_up_at {
                found.retain(|(other, _)| other <= mark);
            }
            if found.len() >= self.size || given_up_at.is_some() {
                return Ok(self.page(found, given_up_at));
            }
        }
        let closed = self.bounds.statuses.closed().collect::<Vec<u8>>();
        let close = self.bounds.close.and(Span { low: 0, high: self.as_of });
        let after = after.filter(|after| !after.is_open());
        let mut rest =
            Merge::new(self.reading, parts, closed.into_iter(), (close, self.bounds.start), (self.as_of, after))?;
        let given_up_at = self.take(&mut rest, &mut found, &mut budget)?;
        Ok(self.page(found, given_up_at))
    }

    /// Fills the page from rows in order. Where it gives up, it says at which row.
    fn take(
        &self,
        rows: &mut Merge<'_>,
        found: &mut Vec<Found>,
        budget: &mut usize,
    ) -> Result<Option<Mark>, EngineError> {
        while found.len() < self.size {
            let Some((place, part)) = rows.next()? else { break };
            let mark = Mark::Listed(place.position(self.as_of));
            if let Some(info) = self.reading.look(&self.query.condition, &place, part.indexed.as_ref())? {
                found.push((mark, info));
            } else {
                *budget = budget.saturating_sub(1);
                if *budget == 0 {
                    return Ok(Some(mark));
                }
            }
        }
        Ok(None)
    }

    /// What has closed since the list began, and so still stands where it stood when it was open.
    fn late(&self, parts: &[Part], after: Option<Position>) -> Result<Vec<Found>, EngineError> {
        let after = after.map(Mark::Listed);
        let mut first = First::new(self.size, after.as_ref());
        let close = self.bounds.close.and(Span { low: self.as_of.saturating_add(1), high: i64::MAX });
        for part in parts {
            for status in self.bounds.statuses.closed() {
                let mut rows = Rows::new(self.reading, part.range(status, close, self.bounds.start));
                while let Some(place) = rows.next()? {
                    let mark = Mark::Listed(place.position(self.as_of));
                    first.offer(mark, || self.reading.look(&self.query.condition, &place, part.indexed.as_ref()))?;
                }
            }
        }
        Ok(first.sorted())
    }

    /// By start time, which never changes.
    fn started(&self, descends: bool) -> Result<Page, EngineError> {
        let (mut from, mut end) = started_range(self.reading.namespace, self.bounds.start);
        let after = match &self.after {
            Some(Mark::Listed(position)) | Some(Mark::Ascending(std::cmp::Reverse(position))) => {
                Some(index::start(self.reading.namespace, position.start.0, position.run))
            }
            _ => None,
        };
        match after {
            Some(mut key) if descends => {
                key.push(0);
                from = from.max(key);
            }
            Some(key) => end = end.min(key),
            None => {}
        }
        let (mut found, mut budget) = (Vec::new(), self.reading.effort.rows);
        while from < end {
            self.reading.check_wanted()?;
            let rows = self.reading.store.scan(&from, &end, !descends, limits::SCAN_ROWS)?;
            let Some((last, _)) = rows.last() else { break };
            if descends {
                from.clone_from(last);
                from.push(0);
            } else {
                end.clone_from(last);
            }
            for (start, run) in rows.iter().filter_map(|(key, _)| index::read_start(key)) {
                let mark = Order::started(start, run, descends);
                match self.reading.read(&self.query.condition, run)? {
                    Some(info) => found.push((mark, info)),
                    None if budget == 1 => return Ok(self.page(found, Some(mark))),
                    None => budget -= 1,
                }
                if found.len() == self.size {
                    return Ok(self.page(found, None));
                }
            }
        }
        Ok(self.page(found, None))
    }

    /// In an order that no index has: all of them are looked at, and the first ones kept.
    fn sorted(&self, parts: &[Part]) -> Result<Page, EngineError> {
        let mut first = First::new(self.size, self.after.as_ref());
        let mut looked_at = 0;
        for_each(self.reading, &self.bounds, parts, |place, part| {
            looked_at += 1;
            if looked_at > limits::SORT_ROWS {
                return Err(EngineError::InvalidQuery(format!(
                    "operation is not supported: 'ORDER BY' clause other than by StartTime, over more than {} executions",
                    limits::SORT_ROWS
                )));
            }
            if let Some(info) = self.reading.look(&self.query.condition, place, part.indexed.as_ref())? {
                first.offer(self.mark(&info, place.run), || Ok(Some(info)))?;
            }
            Ok(())
        })?;
        Ok(self.page(first.sorted(), None))
    }
}

/// Visits every row within bounds, in no particular order; a run that is in several parts more than once.
pub(super) fn for_each(
    reading: Reading<'_>,
    bounds: &Bounds,
    parts: &[Part],
    mut visit: impl FnMut(&Place, &Part) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    for part in parts {
        // Open ones first: what closes meanwhile is met twice rather than never.
        for status in bounds.statuses.open().chain(bounds.statuses.closed()) {
            let mut rows = Rows::new(reading, part.range(status, bounds.close, bounds.start));
            while let Some(place) = rows.next()? {
                visit(&place, part)?;
            }
        }
    }
    Ok(())
}

/// The first so many, after a mark, of what is offered in any order; each once.
struct First<'a> {
    size: usize,
    after: Option<&'a Mark>,
    kept: BTreeMap<Mark, WorkflowExecutionInfo>,
}

impl First<'_> {
    fn new(size: usize, after: Option<&Mark>) -> First<'_> {
        First { size, after, kept: BTreeMap::new() }
    }

    /// What costs something to read is read only if it would be kept.
    fn offer(
        &mut self,
        mark: Mark,
        read: impl FnOnce() -> Result<Option<WorkflowExecutionInfo>, EngineError>,
    ) -> Result<(), EngineError> {
        let full = self.kept.len() >= self.size;
        let too_late = full && self.kept.last_key_value().is_some_and(|(last, _)| *last <= mark);
        if too_late || self.after.is_some_and(|after| mark <= *after) {
            return Ok(());
        }
        if let Some(info) = read()? {
            self.kept.insert(mark, info);
            if self.kept.len() > self.size {
                self.kept.pop_last();
            }
        }
        Ok(())
    }

    fn sorted(self) -> Vec<Found> {
        self.kept.into_iter().collect()
    }
}
