//! The rows that lists are served from.
//!
//! One row holds what is shown of a run; it is keyed by the run's id. Beside it stand rows without a value, whose keys
//! are all that they tell: one for each [`Field`], and one by start time. A key ends in the run's [`Place`], so that the
//! runs of one value and one status stand in the order in which lists show them; the order over several statuses or
//! values is a merge. Five of these rows move when the run closes, a sixth if it has a parent. Lists do not use the rows by
//! module: deployments do.

use std::cmp::Reverse;

use mainspring_api::enums::WorkflowExecutionStatus as Status;
use mainspring_core::{RunState, Time};
use mainspring_sandbox::Digest;
use mainspring_store::Key;
use uuid::Uuid;

use super::attribute::Source;
use crate::keys;

/// What an index is of. The letters are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    /// Every run, in one part.
    All,
    WorkflowId,
    WorkflowType,
    TaskQueue,
    /// Of runs that have a parent only.
    ParentWorkflowId,
}

impl Field {
    fn letter(self) -> u8 {
        match self {
            Field::All => b'a',
            Field::WorkflowId => b'i',
            Field::WorkflowType => b't',
            Field::TaskQueue => b'q',
            Field::ParentWorkflowId => b'p',
        }
    }

    pub fn source(self) -> Option<Source> {
        match self {
            Field::All => None,
            Field::WorkflowId => Some(Source::WorkflowId),
            Field::WorkflowType => Some(Source::WorkflowType),
            Field::TaskQueue => Some(Source::TaskQueue),
            Field::ParentWorkflowId => Some(Source::ParentWorkflowId),
        }
    }

    pub fn of(source: Source) -> Option<Field> {
        let fields = [Field::WorkflowId, Field::WorkflowType, Field::TaskQueue, Field::ParentWorkflowId];
        fields.into_iter().find(|field| field.source() == Some(source))
    }

    /// The runs with this value.
    pub fn of_value(self, namespace: Uuid, value: &str) -> Key {
        let mut key = self.starting_with(namespace, value);
        key.extend_from_slice(&[0, END_OF_TEXT]);
        key
    }

    /// The runs with a value that starts like this.
    pub fn starting_with(self, namespace: Uuid, start: &str) -> Key {
        let mut key = keys::visibility_index(namespace, self.letter());
        write_text(&mut key, start);
        key
    }
}

fn write_text(key: &mut Key, text: &str) {
    for byte in text.bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(ESCAPED_ZERO);
        }
    }
}

/// A text ends in a zero and this; a zero in it is followed by the other one. So no text is a prefix of another one's
/// rows, and bytes stay in order.
const END_OF_TEXT: u8 = 1;
const ESCAPED_ZERO: u8 = 0xff;

const BY_START: u8 = b's';
/// The runs of a module, by task queue: how many a version still has. Of runs that are pinned to none yet, the digest
/// is all zeros.
const BY_MODULE: u8 = b'm';
const NO_MODULE: [u8; 32] = [0; 32];

/// The open statuses and the closed ones, by number.
pub(super) const OPEN: [u8; 1] = [Status::Running as u8];
pub(super) const CLOSED: [u8; 6] = [
    Status::Completed as u8,
    Status::Failed as u8,
    Status::Canceled as u8,
    Status::Terminated as u8,
    Status::ContinuedAsNew as u8,
    Status::TimedOut as u8,
];

/// Times in lists are cut to microseconds, as Temporal's are: what a client gets, it can ask for again.
pub(super) fn micros(time: Time) -> i64 {
    time.0.div_euclid(1_000).max(0)
}

pub(super) fn cut(time: Time) -> Time {
    Time(time.0 - time.0.rem_euclid(1_000))
}

/// Where a run stands in lists; times in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub status: u8,
    pub close: Option<i64>,
    pub start: i64,
    pub run: Uuid,
}

/// A run's place in the order in which lists show them: open ones first, then those that have closed last; the latest
/// start first among those that are open or have closed together.
///
/// It is the order as it was when the list began: a run that has closed since counts as open. So a run's position in a
/// list never changes while somebody turns its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub close: Reverse<i64>,
    pub start: Reverse<i64>,
    pub run: Uuid,
}

impl Position {
    pub const OPEN: Reverse<i64> = Reverse(i64::MAX);

    pub fn is_open(&self) -> bool {
        self.close == Position::OPEN
    }
}

impl Place {
    /// A length that every key of an index ends in.
    const BYTES: usize = 1 + 8 + 8 + 16;

    pub fn of(state: &RunState, run: Uuid) -> Place {
        Place {
            status: u8::try_from(i32::from(state.status)).unwrap_or_default(),
            close: state.close_time.map(micros),
            start: micros(state.start_time),
            run,
        }
    }

    pub fn position(&self, as_of: i64) -> Position {
        let close = self.close.filter(|close| *close <= as_of).map_or(Position::OPEN, Reverse);
        Position { close, start: Reverse(self.start), run: self.run }
    }

    fn write(&self, key: &mut Key) {
        key.push(self.status);
        key.extend_from_slice(&inverted(self.close.unwrap_or(i64::MAX)));
        key.extend_from_slice(&inverted(self.start));
        key.extend_from_slice(self.run.as_bytes());
    }

    /// Reads the end of an index row's key.
    pub fn read(key: &[u8]) -> Option<Place> {
        let end = key.len().checked_sub(Place::BYTES)?;
        let (status, rest) = key[end..].split_first()?;
        let (close, rest) = rest.split_first_chunk::<8>()?;
        let (start, run) = rest.split_first_chunk::<8>()?;
        let (close, start) = (upright(*close), upright(*start));
        let close = (close != i64::MAX).then_some(close);
        Some(Place { status: *status, close, start, run: Uuid::from_slice(run).ok()? })
    }
}

/// The bound of the rows of a status (under an index's prefix) that close and start at or after these times, latest
/// first; everything before the key comes earlier in the list.
pub(super) fn bound(prefix: &[u8], status: u8, close: Option<i64>, start: i64) -> Key {
    let mut key = prefix.to_vec();
    key.push(status);
    key.extend_from_slice(&inverted(close.unwrap_or(i64::MAX)));
    key.extend_from_slice(&inverted(start));
    key
}

pub(super) fn key_at(prefix: &[u8], place: &Place) -> Key {
    let mut key = prefix.to_vec();
    place.write(&mut key);
    key
}

/// The rows by start time, the latest first, whatever has become of the runs.
pub(super) fn starts(namespace: Uuid) -> Key {
    keys::visibility_index(namespace, BY_START)
}

/// Where the runs begin that started at this time or before.
pub(super) fn starts_from(namespace: Uuid, start: i64) -> Key {
    let mut key = starts(namespace);
    key.extend_from_slice(&inverted(start));
    key
}

pub(super) fn start(namespace: Uuid, start: i64, run: Uuid) -> Key {
    let mut key = starts_from(namespace, start);
    key.extend_from_slice(run.as_bytes());
    key
}

pub(super) fn read_start(key: &[u8]) -> Option<(i64, Uuid)> {
    let (start, run) = key.get(key.len().checked_sub(24)?..)?.split_first_chunk::<8>()?;
    Some((upright(*start), Uuid::from_slice(run).ok()?))
}

/// The rows by module of a namespace.
pub(crate) fn modules(namespace: Uuid) -> Key {
    keys::visibility_index(namespace, BY_MODULE)
}

/// The runs of a module, or of none.
pub(crate) fn of_module(namespace: Uuid, module: Option<&Digest>) -> Key {
    let mut key = modules(namespace);
    key.extend_from_slice(module.map_or(NO_MODULE.as_slice(), |module| module.as_bytes()));
    key
}

/// Those of them that are of this task queue.
fn of_module_on(namespace: Uuid, module: Option<&Digest>, task_queue: &str) -> Key {
    let mut key = of_module(namespace, module);
    write_text(&mut key, task_queue);
    key.extend_from_slice(&[0, END_OF_TEXT]);
    key
}

/// Reads the key of a row by module: the module, the task queue, and how long the part of the key is that says so.
pub(crate) fn read_module_row(key: &[u8]) -> Option<(Option<Digest>, String, usize)> {
    let (module, rest) = key.get(18..)?.split_first_chunk::<32>()?;
    let text = rest.get(..rest.len().checked_sub(Place::BYTES + 2)?)?;
    // A zero is followed by its escape, which is no byte of UTF-8.
    let task_queue: Vec<u8> = text.iter().copied().filter(|byte| *byte != ESCAPED_ZERO).collect();
    let module = (*module != NO_MODULE).then(|| Digest::from_bytes(*module));
    Some((module, String::from_utf8(task_queue).ok()?, key.len() - Place::BYTES))
}

/// Whether the key is of a row by module.
pub(crate) fn is_module_row(key: &[u8]) -> bool {
    key.first() == Some(&b'x') && key.get(17) == Some(&BY_MODULE)
}

/// The range of the open runs, under the part of a key that says which runs.
pub(crate) fn open_runs(prefix: &[u8]) -> (Key, Key) {
    let open: Key = prefix.iter().copied().chain(OPEN).collect();
    let end = mainspring_store::prefix_end(&open);
    (open, end)
}

/// The ranges of the runs that have closed at this time or later.
pub(crate) fn closed_since(prefix: &[u8], since: Time) -> impl Iterator<Item = (Key, Key)> {
    CLOSED.into_iter().map(move |status| {
        let all: Key = prefix.iter().copied().chain([status]).collect();
        // What closed one microsecond earlier comes after all of them.
        let end = bound(prefix, status, Some(micros(since).saturating_sub(1)), i64::MAX);
        (all, end)
    })
}

/// The row by module of a run, made from what lists show of it: for directories of before there were such rows.
pub(crate) fn module_row(
    namespace: Uuid,
    run: Uuid,
    module: Option<&Digest>,
    info: &mainspring_api::workflow::WorkflowExecutionInfo,
) -> Key {
    let time = |time: &Option<mainspring_api::Timestamp>| time.as_ref().map(|time| micros(Time::from_proto(time)));
    let place = Place {
        status: u8::try_from(info.status).unwrap_or_default(),
        close: time(&info.close_time),
        start: time(&info.start_time).unwrap_or_default(),
        run,
    };
    key_at(&of_module_on(namespace, module, &info.task_queue), &place)
}

/// All index rows of a run.
pub(super) fn rows(namespace: Uuid, state: &RunState, place: &Place, module: Option<&Digest>) -> Vec<Key> {
    let parent = state.started.parent_workflow_execution.as_ref().map(|parent| parent.workflow_id.as_str());
    let fields = [
        (Field::WorkflowId, Some(state.workflow_id())),
        (Field::WorkflowType, Some(state.workflow_type())),
        (Field::TaskQueue, Some(state.task_queue())),
        (Field::ParentWorkflowId, parent),
    ];
    let mut rows = vec![
        start(namespace, place.start, place.run),
        key_at(&Field::All.starting_with(namespace, ""), place),
        key_at(&of_module_on(namespace, module, state.task_queue()), place),
    ];
    for (field, value) in fields {
        rows.extend(value.map(|value| key_at(&field.of_value(namespace, value), place)));
    }
    rows
}

/// Later times come first.
fn inverted(time: i64) -> [u8; 8] {
    (u64::MAX - u64::try_from(time).unwrap_or(0)).to_be_bytes()
}

fn upright(bytes: [u8; 8]) -> i64 {
    i64::try_from(u64::MAX - u64::from_be_bytes(bytes)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(status: Status, close: Option<i64>, start: i64, run: u128) -> Place {
        Place { status: status as u8, close, start, run: Uuid::from_u128(run) }
    }

    #[test]
    fn a_place_comes_back_from_its_key() {
        for place in [place(Status::Running, None, 7, 9), place(Status::Failed, Some(8), 7, 9)] {
            let key = key_at(&Field::WorkflowType.of_value(Uuid::nil(), "주문"), &place);
            assert_eq!(Place::read(&key), Some(place));
        }
        assert_eq!(read_start(&start(Uuid::nil(), 5, Uuid::from_u128(6))), Some((5, Uuid::from_u128(6))));
    }

    #[test]
    fn a_row_by_module_tells_its_module_and_task_queue() {
        let place = place(Status::Running, None, 7, 9);
        let module = Digest::from_bytes([0xab; 32]);
        for (module, task_queue) in [(Some(module), "orders"), (None, ""), (Some(module), "a\0주문\0")] {
            let prefix = of_module_on(Uuid::from_u128(4), module.as_ref(), task_queue);
            let key = key_at(&prefix, &place);
            assert!(is_module_row(&key));
            assert_eq!(read_module_row(&key), Some((module, task_queue.to_owned(), prefix.len())));
            let (open, end) = open_runs(&prefix);
            assert!(open <= key && key < end);
        }
    }

    #[test]
    fn what_has_closed_since_a_time_is_a_range() {
        let prefix = of_module_on(Uuid::nil(), None, "q");
        let is_since = |close: i64| {
            let key = key_at(&prefix, &place(Status::Failed, Some(close), 1, 9));
            closed_since(&prefix, Time(5_000)).any(|(start, end)| start <= key && key < end)
        };
        assert_eq!([3, 4, 5, 6, 1_000].map(is_since), [false, false, true, true, true]);
    }

    #[test]
    fn keys_of_a_status_are_in_the_order_of_lists() {
        let places = [
            place(Status::Completed, Some(9), 3, 1),
            place(Status::Completed, Some(9), 2, 1),
            place(Status::Completed, Some(9), 2, 2),
            place(Status::Completed, Some(8), 7, 0),
        ];
        assert!(places.map(|place| key_at(b"x", &place)).is_sorted());
        assert!(places.map(|place| place.position(10)).is_sorted());
    }

    #[test]
    fn a_run_that_closed_after_the_list_began_stands_with_the_open_ones() {
        let open = place(Status::Running, None, 3, 1).position(5);
        assert_eq!(place(Status::Completed, Some(6), 3, 1).position(5), open);
        assert!(place(Status::Completed, Some(5), 3, 1).position(5) > open);
    }

    #[test]
    fn no_value_is_a_prefix_of_another_ones_rows_and_texts_stay_in_order() {
        let texts = ["", "\0", "\0a", "a", "a\0", "a\0\u{1}", "ab", "b"];
        let rows = texts.map(|text| Field::WorkflowId.of_value(Uuid::nil(), text));
        assert!(rows.is_sorted());
        for (one, row) in rows.iter().enumerate() {
            assert!(rows.iter().enumerate().all(|(other, rows)| one == other || !rows.starts_with(row)), "{one}");
        }
    }
}
