//! Which rows have to be looked at for a filter.
//!
//! Whatever is found here only narrows: a run that fits the filter is always within the [`Bounds`], and each run within
//! them is still held against the filter. So nothing but speed depends on how clever this is.

use uuid::Uuid;

use super::{
    attribute::{Attribute, Fact, Facts, Source},
    condition::{Condition, Test, Truth, Value},
    index::{CLOSED, Field, OPEN},
};
use crate::limits;

/// Times from `low` to `high`, both included, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub low: i64,
    pub high: i64,
}

impl Span {
    pub const ALL: Span = Span { low: 0, high: i64::MAX };

    pub fn and(self, other: Span) -> Span {
        Span { low: self.low.max(other.low), high: self.high.min(other.high) }
    }

    fn or(self, other: Span) -> Span {
        Span { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    pub fn contains(self, time: i64) -> bool {
        self.low <= time && time <= self.high
    }
}

/// A set of statuses, a bit for each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Statuses(u16);

impl Statuses {
    const ALL: Statuses = Statuses(u16::MAX);

    fn those(numbers: impl IntoIterator<Item = u8>) -> Statuses {
        Statuses(numbers.into_iter().fold(0, |set, number| set | 1 << number))
    }

    fn without(self) -> Statuses {
        Statuses(!self.0)
    }

    pub fn contains(self, status: u8) -> bool {
        u32::from(status) < u16::BITS && self.0 & (1 << status) != 0
    }

    pub fn open(self) -> impl Iterator<Item = u8> {
        OPEN.into_iter().filter(move |status| self.contains(*status))
    }

    pub fn closed(self) -> impl Iterator<Item = u8> {
        CLOSED.into_iter().filter(move |status| self.contains(*status))
    }
}

/// Rows of an index that hold all runs with a property.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Piece {
    Run(Uuid),
    /// Those with this value stand in the order of lists.
    Value(Field, String),
    /// Those whose value starts like this do not.
    Prefix(Field, String),
}

impl Piece {
    /// How few runs a piece promises to have: the fewest first.
    fn rank(&self) -> u8 {
        match self {
            Piece::Run(_) => 0,
            Piece::Value(Field::WorkflowId, _) => 1,
            Piece::Value(Field::ParentWorkflowId, _) => 2,
            Piece::Prefix(..) => 3,
            Piece::Value(..) => 4,
        }
    }
}

/// What is known of all runs that fit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bounds {
    pub statuses: Statuses,
    /// Of the closed ones.
    pub close: Span,
    pub start: Span,
    /// Each of these is enough by itself: it holds all runs that fit. The one that promises the fewest comes first.
    pub choices: Vec<Vec<Piece>>,
}

impl Bounds {
    fn everything() -> Bounds {
        Bounds { statuses: Statuses::ALL, close: Span::ALL, start: Span::ALL, choices: Vec::new() }
    }

    pub fn of(condition: &Condition) -> Bounds {
        let mut bounds = within(condition, false);
        // Nothing closes before it starts.
        bounds.close.low = bounds.close.low.max(bounds.start.low);
        for choice in &mut bounds.choices {
            // One that is named twice is read, and counted, once.
            choice.sort();
            choice.dedup();
        }
        bounds.choices.sort_by_key(|choice| choice.iter().map(Piece::rank).max());
        bounds
    }

    fn and(mut self, other: Bounds) -> Bounds {
        self.choices.extend(other.choices);
        Bounds {
            statuses: Statuses(self.statuses.0 & other.statuses.0),
            close: self.close.and(other.close),
            start: self.start.and(other.start),
            choices: self.choices,
        }
    }

    fn or(self, other: Bounds) -> Bounds {
        let best =
            |choices: Vec<Vec<Piece>>| choices.into_iter().min_by_key(|choice| choice.iter().map(Piece::rank).max());
        let union = match (best(self.choices), best(other.choices)) {
            (Some(mut one), Some(another)) => {
                one.extend(another);
                (one.len() <= limits::LIST_PARTS).then_some(one)
            }
            _ => None,
        };
        Bounds {
            statuses: Statuses(self.statuses.0 | other.statuses.0),
            close: self.close.or(other.close),
            start: self.start.or(other.start),
            choices: union.into_iter().collect(),
        }
    }
}

/// Bounds of the runs for which the condition is true, or (`negated`) certainly false.
fn within(condition: &Condition, negated: bool) -> Bounds {
    match condition {
        Condition::Not(part) => within(part, !negated),
        Condition::And(parts) if !negated => all(parts, negated),
        Condition::Or(parts) if negated => all(parts, negated),
        Condition::And(parts) | Condition::Or(parts) => {
            let any = parts.iter().map(|part| within(part, negated)).reduce(Bounds::or);
            any.unwrap_or_else(Bounds::everything)
        }
        Condition::Is(attribute, test) => match attribute.source {
            Source::Status => by_status(condition, negated),
            Source::CloseTime => by_close(test, negated),
            Source::StartTime => Bounds { start: span(test, negated), ..Bounds::everything() },
            source => by_value(source, test, negated),
        },
    }
}

fn all(parts: &[Condition], negated: bool) -> Bounds {
    parts.iter().map(|part| within(part, negated)).fold(Bounds::everything(), Bounds::and)
}

fn by_status(condition: &Condition, negated: bool) -> Bounds {
    let fitting = OPEN.into_iter().chain(CLOSED).filter(|status| {
        let facts = StatusOnly(*status);
        condition.of(&facts) == Truth::True
    });
    let statuses = Statuses::those(fitting);
    let statuses = if negated { statuses.without() } else { statuses };
    Bounds { statuses, ..Bounds::everything() }
}

/// A run of which nothing but the status is known.
struct StatusOnly(u8);

impl Facts for StatusOnly {
    fn of(&self, attribute: &Attribute) -> Fact<'_> {
        if attribute.source == Source::Status { Fact::Int(i64::from(self.0)) } else { Fact::Unknown }
    }
}

fn by_close(test: &Test, negated: bool) -> Bounds {
    let is_open = *test == Test::Null && !negated;
    // What has no time of close fits no comparison with one, nor the opposite.
    let statuses = if is_open { Statuses::those(OPEN) } else { Statuses::those(CLOSED) };
    Bounds { statuses, close: span(test, negated), ..Bounds::everything() }
}

fn span(test: &Test, negated: bool) -> Span {
    let before =
        |value: &Value| time(value).map_or(Span::ALL, |time| Span { high: time.saturating_sub(1), ..Span::ALL });
    let until = |value: &Value| time(value).map_or(Span::ALL, |time| Span { high: time, ..Span::ALL });
    let after = |value: &Value| time(value).map_or(Span::ALL, |time| Span { low: time.saturating_add(1), ..Span::ALL });
    let from = |value: &Value| time(value).map_or(Span::ALL, |time| Span { low: time, ..Span::ALL });
    match (test, negated) {
        (Test::Less(value), false) => before(value),
        (Test::Less(value), true) => from(value),
        (Test::Greater(value), false) => after(value),
        (Test::Greater(value), true) => until(value),
        (Test::Equal(value), false) => from(value).and(until(value)),
        (Test::Between(low, high), false) => from(low).and(until(high)),
        (Test::In(values), false) => {
            let each = values.iter().map(|value| from(value).and(until(value)));
            each.reduce(Span::or).unwrap_or(Span::ALL)
        }
        _ => Span::ALL,
    }
}

fn time(value: &Value) -> Option<i64> {
    match value {
        Value::Int(time) => Some(*time),
        _ => None,
    }
}

fn by_value(source: Source, test: &Test, negated: bool) -> Bounds {
    let piece = |value: &Value| match value {
        Value::Text(text) if source == Source::RunId => Uuid::try_parse(text).ok().map(Piece::Run),
        Value::Text(text) => Field::of(source).map(|field| Piece::Value(field, text.clone())),
        _ => None,
    };
    let indexed = source == Source::RunId || Field::of(source).is_some();
    let choice: Option<Vec<Piece>> = match test {
        _ if !indexed => None,
        // A run id that is none is nobody's.
        Test::Equal(value) if !negated => Some(piece(value).into_iter().collect()),
        Test::In(values) if !negated => Some(values.iter().filter_map(piece).collect()),
        Test::StartsWith(start) if !negated => Field::of(source).map(|field| vec![Piece::Prefix(field, start.clone())]),
        // Every row of this index is of a run that has one.
        Test::Null if negated && source == Source::ParentWorkflowId => {
            Some(vec![Piece::Prefix(Field::ParentWorkflowId, String::new())])
        }
        _ => None,
    };
    let choices = choice.into_iter().filter(|choice| choice.len() <= limits::LIST_PARTS).collect();
    Bounds { choices, ..Bounds::everything() }
}

#[cfg(test)]
mod tests {
    use mainspring_api::enums::WorkflowExecutionStatus as Status;

    use super::{super::Query, *};

    fn bounds(filter: &str) -> Bounds {
        Bounds::of(&Query::parse(filter).unwrap().condition)
    }

    fn id(text: &str) -> Piece {
        Piece::Value(Field::WorkflowId, text.into())
    }

    fn statuses(filter: &str) -> Vec<u8> {
        let statuses = bounds(filter).statuses;
        statuses.open().chain(statuses.closed()).collect()
    }

    #[test]
    fn statuses_are_found_however_they_are_asked_for() {
        let (running, failed) = (Status::Running as u8, Status::Failed as u8);
        assert_eq!(statuses("ExecutionStatus = 'Failed'"), [failed]);
        assert_eq!(statuses("NOT ExecutionStatus != 'Failed' AND WorkflowId != 'x'"), [failed]);
        assert_eq!(statuses("ExecutionStatus IN ('Running', 'Failed')"), [running, failed]);
        assert_eq!(statuses("ExecutionStatus <= 1 OR ExecutionStatus = 'Failed'"), [running, failed]);
        assert_eq!(statuses("CloseTime IS NULL"), [running]);
        assert_eq!(statuses("CloseTime IS NOT NULL"), CLOSED);
        assert_eq!(statuses("NOT CloseTime > '2023-01-01T00:00:00Z'"), CLOSED);
        assert!(statuses("ExecutionStatus = 'Failed' AND CloseTime IS NULL").is_empty());
        assert_eq!(statuses("ExecutionStatus = 'Failed' OR WorkflowId = 'x'").len(), 7);
    }

    #[test]
    fn the_most_promising_index_comes_first() {
        let kind = Piece::Value(Field::WorkflowType, "T".into());
        assert_eq!(bounds("WorkflowType = 'T' AND WorkflowId = 'a'").choices, [vec![id("a")], vec![kind.clone()]]);
        assert_eq!(bounds("WorkflowId = 'a' OR WorkflowId IN ('b', 'c')").choices, [[id("a"), id("b"), id("c")]]);
        assert_eq!(bounds("WorkflowId IN ('b', 'a', 'b')").choices, [[id("a"), id("b")]]);
        assert_eq!(bounds("WorkflowId = 'a' OR WorkflowType = 'T'").choices, [[id("a"), kind]]);
        assert_eq!(bounds("WorkflowId = 'a' OR HistoryLength > 3").choices, Vec::<Vec<Piece>>::new());
        assert_eq!(bounds("NOT WorkflowId = 'a'").choices, Vec::<Vec<Piece>>::new());
        assert_eq!(bounds("RunId = 'no run id'").choices, [Vec::<Piece>::new()]);
    }

    #[test]
    fn spans_of_time_are_cut_from_both_sides() {
        let of = |filter: &str| {
            let bounds = bounds(filter);
            (bounds.start, bounds.close)
        };
        let span = |low, high| Span { low, high };
        assert_eq!(of("StartTime BETWEEN 5000 AND 9000"), (span(5, 9), span(5, i64::MAX)));
        assert_eq!(of("CloseTime >= 5000 AND CloseTime < 9000"), (Span::ALL, span(5, 8)));
        assert_eq!(of("StartTime > 5000 OR StartTime < 2000"), (Span::ALL, Span::ALL));
        assert_eq!(of("StartTime = 5000 OR StartTime = 7000").0, span(5, 7));
    }
}
