//! The index against the truth: lists and counts are what one gets by going through all runs.

use std::collections::{BTreeMap, BTreeSet};

use mainspring_api::{
    common::{Payload, SearchAttributes, WorkflowExecution, WorkflowType},
    enums::WorkflowExecutionStatus as Status,
    taskqueue::TaskQueue,
    workflow::WorkflowExecutionInfo,
};
use mainspring_core::{RunState, Time};
use mainspring_store::{Batch, MemoryStore, ShardId, Store, prefix_end};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Query, count,
    index::Place,
    list::{self, Resume},
    order::Order,
    reading::{Effort, Reading},
    row::{self, Shown},
    token,
};
use crate::keys::{self, RunKey, WorkflowKey};

const NAMESPACE: Uuid = Uuid::from_u128(1);

/// Runs whose rows are in a store, written as steps write them.
#[derive(Default)]
struct Runs {
    store: MemoryStore,
    runs: BTreeMap<u128, (RunKey, RunState, Shown)>,
    /// Microseconds.
    now: i64,
}

impl Runs {
    fn apply(&mut self, change: &Change) {
        self.now += 1;
        match change {
            Change::Start { run, id, kind, queue, parent, same_time } => {
                if *same_time {
                    self.now -= 1;
                }
                self.start(*run, id, kind, queue, parent.as_deref());
            }
            Change::Close { run, status } => self.change(*run, |state, now| {
                state.status = *status;
                state.close_time = Some(now);
                state.next_event_id = 5;
            }),
            Change::Build { run, build } => self.change(*run, |state, _| state.build_id.clone_from(build)),
            Change::Delete { run } => {
                if let Some((key, state, shown)) = self.runs.remove(run) {
                    let mut batch = Batch::new(ShardId(0), 0);
                    shown.keys(&key, &state).into_iter().for_each(|key| batch.delete(key));
                    self.store.commit(&[batch]).unwrap();
                }
            }
        }
    }

    fn start(&mut self, run: u128, id: &str, kind: &str, queue: &str, parent: Option<&str>) {
        let uuid = Uuid::from_u128(run);
        let key = RunKey { workflow: WorkflowKey { namespace: NAMESPACE, workflow_id: id.into() }, run: uuid };
        let mut state = RunState::new(&uuid.to_string());
        state.started.workflow_id = id.into();
        state.started.workflow_type = Some(WorkflowType { name: kind.into() });
        state.started.task_queue = Some(TaskQueue { name: queue.into(), ..TaskQueue::default() });
        state.started.parent_workflow_execution =
            parent.map(|id| WorkflowExecution { workflow_id: id.into(), run_id: "parent".into() });
        state.start_time = Time(self.now * 1_000);
        state.next_event_id = 3;
        if !self.runs.contains_key(&run) {
            self.write(key, state, None);
        }
    }

    fn change(&mut self, run: u128, change: impl FnOnce(&mut RunState, Time)) {
        let Some((key, mut state, shown)) = self.runs.remove(&run) else { return };
        if state.close_time.is_none() {
            change(&mut state, Time(self.now * 1_000 + 999));
        }
        self.write(key, state, Some(shown));
    }

    fn write(&mut self, key: RunKey, state: RunState, before: Option<Shown>) {
        let mut batch = Batch::new(ShardId(0), 0);
        let shown = row::write(&key, &state, before.as_ref(), false, &mut batch);
        self.store.commit(&[batch]).unwrap();
        self.runs.insert(key.run.as_u128(), (key, state, shown));
    }

    fn reading<'a>(&'a self, effort: Effort, dropped: &'a CancellationToken) -> Reading<'a> {
        Reading { store: &self.store, namespace: NAMESPACE, dropped, effort }
    }

    /// What fits, by going through all of them, in the order that is asked for.
    fn naive(&self, query: &Query) -> Vec<WorkflowExecutionInfo> {
        let infos = self.runs.values().map(|(key, state, _)| (key.run, row::complete(row::info(state)), state));
        let mut fitting: Vec<_> = infos.filter(|(_, info, _)| query.condition.fits(info)).collect();
        fitting.sort_by_key(|(run, info, state)| query.order.mark(info, &Place::of(state, *run), i64::MAX));
        fitting.into_iter().map(|(_, info, _)| info).collect()
    }

    /// All pages; between them something may happen.
    fn pages(&mut self, text: &str, size: usize, effort: Effort, between: &[Change]) -> Vec<WorkflowExecutionInfo> {
        let query = Query::parse(text).unwrap();
        let mut resume = Resume { as_of: self.now, after: None };
        let mut changes = between.iter();
        let mut listed = Vec::new();
        for _ in 0..10_000 {
            let page = list::list(self.reading(effort, &CancellationToken::new()), &query, resume, size).unwrap();
            assert!(page.executions.len() <= size);
            listed.extend(page.executions);
            let Some(next) = page.next else { return listed };
            let sealed = token::seal(&next, NAMESPACE, text.as_bytes());
            resume = token::open(&sealed, &query.order, NAMESPACE, text.as_bytes()).unwrap();
            if let Some(change) = changes.next() {
                self.apply(change);
            }
        }
        panic!("the list has no end");
    }
}

#[derive(Clone, Debug)]
enum Change {
    Start { run: u128, id: String, kind: String, queue: String, parent: Option<String>, same_time: bool },
    Close { run: u128, status: Status },
    Build { run: u128, build: String },
    Delete { run: u128 },
}

const RUNS: u128 = 40;

fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    let ids = prop::sample::select(vec!["a", "ab", "a\0", "order-1", "order-2", "order-22", "주문"]);
    let few = |names: [&'static str; 3]| prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    let closed = prop::sample::select(vec![
        Status::Completed,
        Status::Failed,
        Status::Canceled,
        Status::Terminated,
        Status::ContinuedAsNew,
        Status::TimedOut,
    ]);
    let start = (
        0..RUNS,
        ids,
        few(["A", "B", "AB"]),
        few(["q", "r", "s"]),
        prop::option::of(few(["a", "p", "ab"])),
        any::<bool>(),
    )
        .prop_map(|(run, id, kind, queue, parent, same_time)| Change::Start {
            run,
            id: id.to_owned(),
            kind,
            queue,
            parent,
            same_time,
        });
    let close = (0..RUNS, closed).prop_map(|(run, status)| Change::Close { run, status });
    let build = (0..RUNS, few(["x", "y", "z"])).prop_map(|(run, build)| Change::Build { run, build });
    let delete = (0..RUNS).prop_map(|run| Change::Delete { run });
    prop::collection::vec(prop_oneof![6 => start, 3 => close, 1 => build, 1 => delete], 0..most)
}

/// A comparison, with values that some run may have.
fn comparison() -> impl Strategy<Value = String> {
    let status = prop::sample::select(vec!["Running", "Completed", "Failed", "TimedOut"]);
    let time = || (0_i64..60).prop_map(|micros| micros * 1_000);
    let operator = || prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
    let text = || prop::sample::select(vec!["a", "ab", "order-1", "A", "B", "q", "r", "주문", "", "order-"]);
    let field =
        || prop::sample::select(vec!["WorkflowId", "WorkflowType", "TaskQueue", "ParentWorkflowId", "RootWorkflowId"]);
    let times = || prop::sample::select(vec!["StartTime", "CloseTime", "ExecutionTime"]);
    prop_oneof![
        (operator(), status.clone()).prop_map(|(operator, status)| format!("ExecutionStatus {operator} '{status}'")),
        status.prop_map(|status| format!("ExecutionStatus IN ('Running', '{status}')")),
        (field(), operator(), text()).prop_map(|(field, operator, text)| format!("{field} {operator} '{text}'")),
        (field(), text(), text()).prop_map(|(field, one, two)| format!("{field} IN ('{one}', '{two}')")),
        (field(), text()).prop_map(|(field, text)| format!("{field} STARTS_WITH '{text}'")),
        (field(), text(), text()).prop_map(|(field, one, two)| format!("{field} BETWEEN '{one}' AND '{two}'")),
        field().prop_map(|field| format!("{field} IS NOT NULL")),
        (times(), operator(), time()).prop_map(|(name, operator, time)| format!("{name} {operator} {time}")),
        (times(), time(), time()).prop_map(|(name, low, high)| format!("{name} BETWEEN {low} AND {high}")),
        (times(), time(), time()).prop_map(|(name, one, two)| format!("{name} IN ({one}, {two})")),
        times().prop_map(|name| format!("{name} IS NULL")),
        (0..RUNS).prop_map(|run| format!("RunId = '{}'", Uuid::from_u128(run))),
        prop::sample::select(vec!["=", "!="]).prop_map(|operator| format!("BuildIds {operator} 'unversioned:x'")),
        Just("HistoryLength > 3".to_owned()),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    comparison().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" AND "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" OR "))),
            inner.prop_map(|part| format!("NOT {part}")),
        ]
    })
}

fn order() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "",
        " ORDER BY StartTime",
        " ORDER BY StartTime DESC",
        " ORDER BY CloseTime DESC, StartTime DESC",
        " ORDER BY WorkflowId DESC, CloseTime",
        " ORDER BY WorkflowType, TaskQueue DESC",
    ])
}

/// From next to nothing, so that every way of reading is taken, to what is usual.
fn effort() -> impl Strategy<Value = Effort> {
    (prop::sample::select(vec![0, 2, 1_000]), prop::sample::select(vec![1, 3, 50_000]))
        .prop_map(|(candidates, rows)| Effort { candidates, rows })
}

fn id(info: &WorkflowExecutionInfo) -> String {
    info.execution.clone().unwrap_or_default().run_id
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn lists_and_counts_are_what_going_through_all_runs_gives(
        changes in changes(120), filter in filter(), order in order(), size in 1_usize..8, effort in effort(),
    ) {
        let mut runs = Runs::default();
        changes.iter().for_each(|change| runs.apply(change));
        let text = format!("{filter}{order}");
        let query = Query::parse(&text).unwrap();
        let expected = runs.naive(&query);
        prop_assert_eq!(&runs.pages(&text, size, effort, &[]), &expected, "{}", text);

        let counted = count::count(runs.reading(effort, &CancellationToken::new()), &query).unwrap();
        let mut by_status: BTreeMap<i32, i64> = BTreeMap::new();
        expected.iter().for_each(|info| *by_status.entry(info.status).or_default() += 1);
        prop_assert_eq!(counted, by_status, "{}", text);
    }

    #[test]
    fn no_page_repeats_a_run_and_none_is_missed_whatever_happens_between_the_pages(
        before in changes(80), between in changes(40), filter in filter(),
        order in prop::sample::select(vec!["", " ORDER BY StartTime", " ORDER BY StartTime DESC"]),
        size in 1_usize..5, effort in effort(),
    ) {
        let mut runs = Runs::default();
        before.iter().for_each(|change| runs.apply(change));
        let text = format!("{filter}{order}");
        let query = Query::parse(&text).unwrap();
        let at_first: BTreeSet<String> = runs.naive(&query).iter().map(id).collect();
        let deleted: BTreeSet<String> = between.iter().filter_map(|change| match change {
            Change::Delete { run } => Some(Uuid::from_u128(*run).to_string()),
            _ => None,
        }).collect();

        let listed: Vec<String> = runs.pages(&text, size, effort, &between).iter().map(id).collect();
        let once: BTreeSet<String> = listed.iter().cloned().collect();
        // A run that is deleted and made again under the same id cannot be told from itself; no such thing exists.
        let listed_for_sure = listed.iter().filter(|run| !deleted.contains(*run)).count();
        prop_assert_eq!(listed_for_sure, once.difference(&deleted).count(), "{}: {:?}", text, listed);

        let at_last: BTreeSet<String> = runs.naive(&query).iter().map(id).collect();
        for run in at_first.intersection(&at_last).filter(|run| !deleted.contains(*run)) {
            // Time goes one way: a condition on it that holds at first and at last has held all the time. One on the
            // rest may have been false meanwhile only if it was about what a change of build or a close has changed.
            prop_assert!(once.contains(run) || filter.contains("BuildIds"), "{}: {} is missing in {:?}", text, run, listed);
        }
    }

    #[test]
    fn every_row_of_a_run_goes_with_it(changes in changes(80)) {
        let mut runs = Runs::default();
        changes.iter().for_each(|change| runs.apply(change));
        let expected: BTreeSet<Vec<u8>> =
            runs.runs.values().flat_map(|(key, state, shown)| shown.keys(key, state)).collect();
        let found = runs.store.scan(b"", &prefix_end(b""), false, usize::MAX).unwrap();
        prop_assert_eq!(found.into_iter().map(|(key, _)| key).collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn no_filter_makes_the_reader_stumble(text in "(WorkflowId|StartTime|NOT|AND|OR|IN|BETWEEN|IS|NULL|ORDER BY|GROUP BY|=|<|'|\\(|\\)|,|`|[0-9.eE+-]|[a-zé가 ]){0,24}") {
        let _ = Query::parse(&text);
    }
}

fn run_with(change: impl FnOnce(&mut RunState)) -> WorkflowExecutionInfo {
    let mut state = RunState::new("r");
    state.started.workflow_id = "order-1001".into();
    state.started.workflow_type = Some(WorkflowType { name: "OrderWorkflow".into() });
    state.started.task_queue = Some(TaskQueue { name: "orders".into(), ..TaskQueue::default() });
    state.start_time = Time(1_700_000_000_000_000_000);
    change(&mut state);
    row::complete(row::info(&state))
}

#[test]
fn conditions_are_read_with_their_precedence() {
    for (query, fits) in [
        ("", true),
        ("WorkflowId = 'order-1001'", true),
        ("WorkflowId = \"other\"", false),
        ("WorkflowType = 'A' OR WorkflowType = 'OrderWorkflow' AND TaskQueue = 'orders'", true),
        ("(WorkflowType = 'A' OR WorkflowType = 'OrderWorkflow') AND TaskQueue != 'orders'", false),
        ("NOT WorkflowId = 'x' AND ExecutionStatus = 'Running'", true),
        ("NOT NOT WorkflowId = 'order-1001' && ExecutionStatus = 'WORKFLOW_EXECUTION_STATUS_RUNNING'", true),
        ("ExecutionStatus IN ('Completed', 'Failed')", false),
        ("`WorkflowId` STARTS_WITH 'order-'", true),
        ("WorkflowId NOT STARTS_WITH 'order-'", false),
        ("WorkflowId starts_with 'Order-'", false),
        ("StartTime > '2023-01-01T00:00:00Z'", true),
        ("StartTime = 1700000000000000000", true),
        ("StartTime BETWEEN '2023-01-01T00:00:00Z' AND '2023-02-01T00:00:00Z'", false),
        ("CloseTime IS NULL", true),
        ("RootWorkflowId = WorkflowId OR RootWorkflowId = 'order-1001'", false),
    ] {
        let fitting = Query::parse(query).map(|query| query.condition.fits(&run_with(|_| {})));
        assert_eq!(fitting.unwrap_or(false), fits, "{query}");
    }
}

#[test]
fn what_has_no_value_fits_no_comparison_and_not_the_opposite_either() {
    for (query, fits) in [
        ("CloseTime != '2023-01-01T00:00:00Z'", false),
        ("NOT CloseTime > '2023-01-01T00:00:00Z'", false),
        ("ParentWorkflowId NOT IN ('x')", false),
        ("NOT (ParentWorkflowId = 'x' AND WorkflowId = 'order-1001')", false),
        ("NOT (ParentWorkflowId = 'x' AND WorkflowId = 'another')", true),
        ("HistoryLength >= 0", false),
        ("ExecutionDuration IS NULL", true),
        // A list without entries has none that is equal.
        ("BuildIds != 'x'", true),
        ("NOT BuildIds = 'x'", true),
        ("BuildIds IS NULL", true),
        ("TemporalScheduledById IS NULL", true),
    ] {
        assert_eq!(Query::parse(query).unwrap().condition.fits(&run_with(|_| {})), fits, "{query}");
    }
}

#[test]
fn a_run_is_found_by_what_it_carries() {
    let info = run_with(|state| {
        state.build_id = "abc".into();
        let payload = Payload { data: br#"["one-1","two-1"]"#.to_vec(), ..Payload::default() };
        let fields = [("TemporalChangeVersion".to_owned(), payload)].into();
        state.search_attributes = Some(SearchAttributes { indexed_fields: fields });
        state.close_time = Some(Time(1_700_000_005_000_000_000));
        state.status = Status::Completed;
        state.next_event_id = 12;
    });
    for query in [
        "BuildIds = 'unversioned:abc'",
        "TemporalChangeVersion IN ('x', 'two-1')",
        "ExecutionDuration BETWEEN '4s' AND '6s' AND ExecutionDuration = 5000000000",
        "HistoryLength = 11 AND HistoryLength < 11.5 AND HistoryLength = 11.0",
    ] {
        assert!(Query::parse(query).unwrap().condition.fits(&info), "{query}");
    }
}

#[test]
fn what_cannot_be_read_is_named_with_its_position() {
    for (query, complaint) in [
        ("WorkflowId =", "position 13: expected a value: a text in quotes, a number, true or false, found the end"),
        (
            "WorkflowId",
            "position 11: expected one of =, !=, <, <=, >, >=, IN, BETWEEN, STARTS_WITH and IS, found the end",
        ),
        ("'x' = WorkflowId", "position 1: expected the name of a search attribute, found the text \"x\""),
        ("WorkflowId = 'x' WorkflowId", "position 18: expected AND, OR or the end, found \"WorkflowId\""),
        ("WorkflowId = '주문' AND", "position 22: expected the name of a search attribute, found the end"),
        ("(WorkflowId = 'x'", "position 18: expected \")\", found the end"),
        ("WorkflowId = 'x", "position 14: the text that begins here has no end"),
        ("WorkflowId ; 'x'", "position 12: ';' has no meaning here"),
        ("WorkflowId NOT = 'x'", "position 16: expected IN, BETWEEN or STARTS_WITH, found \"=\""),
        ("WorkflowId IS TRUE", "position 15: expected NULL or NOT NULL, found \"TRUE\""),
        ("WorkflowId BETWEEN 'a' OR 'b'", "position 24: expected AND, found \"OR\""),
        ("HistoryLength > 5x", "position 17: \"5x\" is no number"),
        ("ORDER StartTime", "position 7: expected BY, found \"StartTime\""),
    ] {
        let error = Query::parse(query).unwrap_err();
        assert_eq!(error, format!("malformed SQL query: syntax error at {complaint}"), "{query}");
    }
    assert!(Query::parse(&"(".repeat(1_000)).unwrap_err().contains("nested more than"));
}

#[test]
fn what_makes_no_sense_is_refused_in_temporals_words() {
    for (query, complaint) in [
        ("Colour = 'red'", "invalid search attribute: Colour"),
        ("workflowid = 'x'", "invalid search attribute: workflowid"),
        ("ExecutionStatus = 'running'", "invalid expression: invalid ExecutionStatus value 'running'"),
        ("StartTime > 'yesterday'", "invalid expression: unable to parse datetime 'yesterday'"),
        (
            "WorkflowId = 1",
            "invalid expression: invalid value type for search attribute WorkflowId of type Keyword: 1 (type: int64)",
        ),
        (
            "HistoryLength STARTS_WITH 3",
            "operation is not supported: operator 'STARTS_WITH' not supported for Int type search attribute 'HistoryLength'",
        ),
        (
            "BuildIds BETWEEN 'x' AND 'y'",
            "invalid expression: cannot do range condition on search attribute 'BuildIds' of type KeywordList",
        ),
        (
            "WorkflowId = WorkflowType",
            "operation is not supported: column name on the right side of comparison expression (did you forget to quote \"WorkflowType\"?)",
        ),
        (
            "GROUP BY WorkflowType",
            "operation is not supported: 'GROUP BY' clause is not supported for search attribute WorkflowType",
        ),
        ("WorkflowId = 'x' LIMIT 3", "operation is not supported: 'LIMIT' clause"),
    ] {
        assert_eq!(Query::parse(query).unwrap_err(), complaint, "{query}");
    }
}

#[test]
fn the_order_of_lists_can_be_asked_for_by_name() {
    let order = |text: &str| Query::parse(text).unwrap().order;
    assert_eq!(order("ORDER BY CloseTime DESC, StartTime DESC"), Order::Listed);
    assert_eq!(order("WorkflowId = 'x' ORDER BY StartTime ASC"), Order::Start { descends: false });
    assert!(matches!(order("ORDER BY CloseTime"), Order::By(_)));
}

#[test]
fn an_index_row_that_is_damaged_is_named() {
    let runs = Runs::default();
    let mut batch = Batch::new(ShardId(0), 0);
    // Among the open runs, and too short.
    let key = [keys::visibility_index(NAMESPACE, b'a'), vec![1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x90]].concat();
    batch.put(key, Vec::new());
    runs.store.commit(&[batch]).unwrap();
    let query = Query::parse("").unwrap();
    let resume = Resume { as_of: 0, after: None };
    let error = list::list(runs.reading(Effort::default(), &CancellationToken::new()), &query, resume, 1).unwrap_err();
    assert!(error.to_string().contains("visibility index"), "{error}");
}
