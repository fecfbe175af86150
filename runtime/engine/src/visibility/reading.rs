//! Reading the index: rows of one value and status as they stand, and several of them merged.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
};

use mainspring_api::workflow::WorkflowExecutionInfo;
use mainspring_store::{Key, Store, prefix_end};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    attribute::{KeyFacts, Source},
    condition::{Condition, Truth},
    index::{self, Field, Place, Position},
    plan::{Bounds, Piece, Span},
    row,
};
use crate::{EngineError, limits};

/// One request's look at the index. What it reads need not be durable yet: the caller waits for that.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub store: &'a dyn Store,
    pub namespace: Uuid,
    /// Nobody waits for the answer any more.
    pub dropped: &'a CancellationToken,
    pub effort: Effort,
}

/// How much a request may look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// See [`limits::LIST_CANDIDATES`].
    pub candidates: usize,
    /// See [`limits::LIST_ROWS`].
    pub rows: usize,
}

impl Default for Effort {
    fn default() -> Effort {
        Effort { candidates: limits::LIST_CANDIDATES, rows: limits::LIST_ROWS }
    }
}

/// Rows of one index, up to their status; and what all of their runs have in common.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    prefix: Key,
    pub indexed: Option<(Source, String)>,
}

impl Part {
    /// The rows of a status, between times: of start for an open status, else of close.
    pub fn range(&self, status: u8, close: Span, start: Span) -> (Key, Key) {
        range(&self.prefix, status, close, start)
    }
}

/// How the runs within some bounds can be come by.
#[derive(Debug, PartialEq)]
pub(super) enum Access {
    /// They are few, and known.
    Runs(Vec<Uuid>),
    /// They are read in the order of lists.
    Ordered(Vec<Part>),
}

impl<'a> Reading<'a> {
    /// The index that has the fewest rows within the bounds, as far as a few look-ups can tell.
    pub fn choose(&self, bounds: &Bounds) -> Result<Access, EngineError> {
        let bounded_start = bounds.start.high < i64::MAX;
        let ordered = |choice: &[Piece]| choice.iter().map(|piece| self.part(piece)).collect::<Option<Vec<Part>>>();
        if let [choice] = &bounds.choices[..]
            && !bounded_start
            && !choice.is_empty()
            && let Some(parts) = ordered(choice)
        {
            return Ok(Access::Ordered(parts));
        }
        let mut fewest: Option<BTreeSet<Uuid>> = None;
        let limit = |fewest: &Option<BTreeSet<Uuid>>| fewest.as_ref().map_or(self.effort.candidates, BTreeSet::len);
        for choice in &bounds.choices {
            if let Some(runs) = self.gather(choice, bounds, limit(&fewest))? {
                fewest = Some(runs);
            }
        }
        if bounded_start && let Some(runs) = self.gather_started(bounds.start, limit(&fewest))? {
            fewest = Some(runs);
        }
        if let Some(runs) = fewest {
            return Ok(Access::Runs(runs.into_iter().collect()));
        }
        let parts = bounds.choices.iter().find_map(|choice| ordered(choice));
        Ok(Access::Ordered(parts.unwrap_or_else(|| vec![self.all()])))
    }

    fn all(&self) -> Part {
        Part { prefix: Field::All.starting_with(self.namespace, ""), indexed: None }
    }

    fn part(&self, piece: &Piece) -> Option<Part> {
        match piece {
            Piece::Value(field, value) => Some(Part {
                prefix: field.of_value(self.namespace, value),
                indexed: field.source().map(|source| (source, value.clone())),
            }),
            Piece::Run(_) | Piece::Prefix(..) => None,
        }
    }

    /// The runs of these pieces, unless there are more than so many.
    fn gather(&self, pieces: &[Piece], bounds: &Bounds, limit: usize) -> Result<Option<BTreeSet<Uuid>>, EngineError> {
        let mut runs = BTreeSet::new();
        for piece in pieces {
            match piece {
                Piece::Run(run) => {
                    runs.insert(*run);
                }
                Piece::Value(field, value) => {
                    let prefix = field.of_value(self.namespace, value);
                    for status in bounds.statuses.open().chain(bounds.statuses.closed()) {
                        let mut rows = Rows::new(*self, range(&prefix, status, bounds.close, bounds.start));
                        while let Some(place) = rows.next()? {
                            runs.insert(place.run);
                            if runs.len() > limit {
                                return Ok(None);
                            }
                        }
                    }
                }
                Piece::Prefix(field, start) => {
                    let prefix = field.starting_with(self.namespace, start);
                    let mut rows = Rows::new(*self, (prefix.clone(), prefix_end(&prefix)));
                    let mut looked_at = 0;
                    while let Some(place) = rows.next()? {
                        looked_at += 1;
                        if within(&place, bounds) {
                            runs.insert(place.run);
                        }
                        if looked_at > limit {
                            return Ok(None);
                        }
                    }
                }
            }
        }
        Ok((runs.len() <= limit).then_some(runs))
    }

    fn gather_started(&self, start: Span, limit: usize) -> Result<Option<BTreeSet<Uuid>>, EngineError> {
        let (from, end) = started_range(self.namespace, start);
        let rows = if from < end { self.store.scan(&from, &end, false, limit + 1)? } else { Vec::new() };
        let runs = rows.iter().filter_map(|(key, _)| index::read_start(key)).map(|(_, run)| run).collect();
        Ok((rows.len() <= limit).then_some(runs))
    }

    /// Reads a run, if the filter does not rule it out by what the index tells already.
    pub fn look(
        &self,
        condition: &Condition,
        place: &Place,
        indexed: Option<&(Source, String)>,
    ) -> Result<Option<WorkflowExecutionInfo>, EngineError> {
        match condition.of(&key_facts(place, indexed)) {
            Truth::False | Truth::Null => Ok(None),
            Truth::True | Truth::Unknown => self.read(condition, place.run),
        }
    }

    /// Reads a run, if it is there and fits.
    pub fn read(&self, condition: &Condition, run: Uuid) -> Result<Option<WorkflowExecutionInfo>, EngineError> {
        let info = row::read(self.store, self.namespace, run)?;
        Ok(info.map(row::complete).filter(|info| condition.fits(info)))
    }

    pub fn check_wanted(&self) -> Result<(), EngineError> {
        match self.dropped.is_cancelled() {
            true => Err(EngineError::Unavailable("nobody waits for this list any more".into())),
            false => Ok(()),
        }
    }
}

pub(super) fn key_facts<'a>(place: &'a Place, indexed: Option<&'a (Source, String)>) -> KeyFacts<'a> {
    KeyFacts { place, indexed: indexed.map(|(source, value)| (*source, value.as_str())) }
}

fn within(place: &Place, bounds: &Bounds) -> bool {
    bounds.statuses.contains(place.status)
        && bounds.start.contains(place.start)
        && place.close.is_none_or(|close| bounds.close.contains(close))
}

fn range(prefix: &[u8], status: u8, close: Span, start: Span) -> (Key, Key) {
    let bound = |close: Option<i64>, start: i64| index::bound(prefix, status, close, start);
    if index::OPEN.contains(&status) {
        return (bound(None, start.high), prefix_end(&bound(None, start.low)));
    }
    // The last time but one is the last: the very last stands for none.
    let last = bound(Some(close.low), 0);
    (bound(Some(close.high.min(i64::MAX - 1)), i64::MAX), prefix_end(&last))
}

/// The rows by start time between times.
pub(super) fn started_range(namespace: Uuid, start: Span) -> (Key, Key) {
    (index::starts_from(namespace, start.high), prefix_end(&index::starts_from(namespace, start.low)))
}

/// Index rows as they stand, read a few at a time, and more at a time the more are wanted.
pub(super) struct Rows<'a> {
    reading: Reading<'a>,
    from: Key,
    end: Key,
    waiting: VecDeque<Place>,
    at_once: usize,
}

impl<'a> Rows<'a> {
    const FIRST: usize = 16;

    pub fn new(reading: Reading<'a>, (from, end): (Key, Key)) -> Rows<'a> {
        Rows { reading, from, end, waiting: VecDeque::new(), at_once: Rows::FIRST }
    }

    pub fn next(&mut self) -> Result<Option<Place>, EngineError> {
        if self.waiting.is_empty() && self.from < self.end {
            self.reading.check_wanted()?;
            let rows = self.reading.store.scan(&self.from, &self.end, false, self.at_once)?;
            match rows.last() {
                Some((last, _)) if rows.len() == self.at_once => {
                    self.from.clone_from(last);
                    self.from.push(0);
                    self.at_once = (self.at_once * 4).min(limits::SCAN_ROWS);
                }
                _ => self.from.clone_from(&self.end),
            }
            for (key, _) in &rows {
                let place = Place::read(key).ok_or_else(|| {
                    EngineError::Damaged(format!("visibility index {}", mainspring_store::readable_key(key)))
                })?;
                self.waiting.push_back(place);
            }
        }
        Ok(self.waiting.pop_front())
    }
}

/// Rows of several parts and statuses in the order of lists, each run once.
pub(super) struct Merge<'a> {
    as_of: i64,
    sources: Vec<(Rows<'a>, &'a Part)>,
    heads: BinaryHeap<Reverse<Head>>,
    last: Option<Uuid>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    position: Position,
    source: usize,
    status: u8,
    /// Told apart from the position, in which late ones count as open.
    close: Option<i64>,
}

impl<'a> Merge<'a> {
    /// The rows of these statuses that come after a position, if one is given.
    pub fn new(
        reading: Reading<'a>,
        parts: &'a [Part],
        statuses: impl Iterator<Item = u8> + Clone,
        (close, start): (Span, Span),
        (as_of, after): (i64, Option<Position>),
    ) -> Result<Merge<'a>, EngineError> {
        let mut merge = Merge { as_of, sources: Vec::new(), heads: BinaryHeap::new(), last: None };
        for part in parts {
            for status in statuses.clone() {
                let (mut from, end) = part.range(status, close, start);
                if let Some(after) = after {
                    let place = Place {
                        status,
                        close: (!after.is_open()).then_some(after.close.0),
                        start: after.start.0,
                        run: after.run,
                    };
                    let mut next = index::key_at(&part.prefix, &place);
                    next.push(0);
                    from = from.max(next);
                }
                merge.sources.push((Rows::new(reading, (from, end)), part));
                merge.advance(merge.sources.len() - 1)?;
            }
        }
        Ok(merge)
    }

    fn advance(&mut self, source: usize) -> Result<(), EngineError> {
        if let Some(place) = self.sources[source].0.next()? {
            let position = place.position(self.as_of);
            self.heads.push(Reverse(Head { position, source, status: place.status, close: place.close }));
        }
        Ok(())
    }

    pub fn next(&mut self) -> Result<Option<(Place, &'a Part)>, EngineError> {
        while let Some(Reverse(head)) = self.heads.pop() {
            self.advance(head.source)?;
            let Position { start, run, .. } = head.position;
            if self.last.replace(run) != Some(run) {
                let place = Place { status: head.status, close: head.close, start: start.0, run };
                return Ok(Some((place, self.sources[head.source].1)));
            }
        }
        Ok(None)
    }
}
