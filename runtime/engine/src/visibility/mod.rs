//! Lists and counts of runs, served from an index: no history is read.
//!
//! A filter is text, then a form ([`reader`]), then a [`Condition`] on attributes ([`resolve`]). [`plan`] says within
//! which rows of the [`index`] all runs that fit must be, [`reading`] chooses among them, and [`list`] and [`count`] hold
//! what they find against the condition; [`select`] goes through all of it. [`row`] is what a run's steps write.

mod attribute;
mod condition;
mod count;
pub(crate) mod index;
mod list;
mod order;
mod plan;
mod reader;
mod reading;
mod resolve;
pub(crate) mod row;
pub(crate) mod select;
#[cfg(test)]
mod tests;
mod token;
mod tokens;

use std::sync::Arc;

use mainspring_api::enums::WorkflowExecutionStatus;
use mainspring_core::{Rejection, Time, limits::temporal};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use attribute::Source;
pub use attribute::{ATTRIBUTES, Attribute};
use condition::{Condition, Test, Value};
use index::micros;
use list::Resume;
use order::Order;
use reading::{Effort, Reading};

use crate::{Engine, EngineError, ListPage, clock, limits, politeness, shard::Request};

/// A filter that has been read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    condition: Condition,
    order: Order,
    group_by: Option<&'static Attribute>,
}

impl Query {
    /// Reads a filter.
    ///
    /// # Errors
    /// In Temporal's words; where the form is wrong, with the position (a character, from 1) and what was expected.
    pub(crate) fn parse(text: &str) -> Result<Query, String> {
        resolve::query(reader::read(text)?)
    }
}

/// What can be asked for without a filter's text, as older clients do. Nothing is asked for that is not set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListFilter {
    /// Closed runs, instead of open ones.
    pub closed: bool,
    pub earliest_start: Option<Time>,
    pub latest_start: Option<Time>,
    pub workflow_id: Option<String>,
    pub workflow_type: Option<String>,
    pub status: Option<WorkflowExecutionStatus>,
}

impl ListFilter {
    fn query(&self) -> Query {
        let is = |name: &str, test: Test| Attribute::named(name).map(|attribute| Condition::Is(attribute, test));
        let not = |condition: Option<Condition>| condition.map(|condition| Condition::Not(Box::new(condition)));
        let text = |text: &Option<String>| text.clone().map(|text| Test::Equal(Value::Text(text)));
        let time = |time: Option<Time>| time.map(|time| Value::Int(micros(time)));
        let running = Test::Equal(Value::Int(i64::from(i32::from(WorkflowExecutionStatus::Running))));
        let status = self.status.map(|status| Test::Equal(Value::Int(i64::from(i32::from(status)))));
        let open = is("ExecutionStatus", running);
        let parts = [
            if self.closed { not(open) } else { open },
            time(self.earliest_start).and_then(|earliest| not(is("StartTime", Test::Less(earliest)))),
            time(self.latest_start).and_then(|latest| not(is("StartTime", Test::Greater(latest)))),
            text(&self.workflow_id).and_then(|test| is("WorkflowId", test)),
            text(&self.workflow_type).and_then(|test| is("WorkflowType", test)),
            status.and_then(|test| is("ExecutionStatus", test)),
        ];
        Query { condition: Condition::And(parts.into_iter().flatten().collect()), order: Order::Listed, group_by: None }
    }
}

/// How many runs fit a filter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkflowCount {
    pub count: i64,
    /// The number for each value that was asked for with GROUP BY.
    pub groups: Vec<(String, i64)>,
}

/// Lists and counts that are read at once; more wait. Each takes a thread, and what it reads competes with the steps.
static AT_ONCE: Semaphore = Semaphore::const_new(limits::LISTS_AT_ONCE);

impl Engine {
    /// The runs that fit a filter (an empty one fits all), a page at a time: in the order that it asks for, or else
    /// open ones first, the latest first. What pages promise is said in `list.rs`. A page token is good for the same
    /// filter only.
    pub async fn list_workflows(
        &self,
        namespace: &str,
        query: &str,
        page_size: usize,
        page_token: &[u8],
    ) -> Result<ListPage, EngineError> {
        let asked = Query::parse(query).map_err(EngineError::InvalidQuery)?;
        self.page(namespace, asked, query.as_bytes(), page_size, page_token).await
    }

    /// The same for what can be asked for without a filter.
    pub async fn list_workflows_by(
        &self,
        namespace: &str,
        filter: &ListFilter,
        page_size: usize,
        page_token: &[u8],
    ) -> Result<ListPage, EngineError> {
        self.page(namespace, filter.query(), format!("{filter:?}").as_bytes(), page_size, page_token).await
    }

    async fn page(
        &self,
        namespace: &str,
        query: Query,
        question: &[u8],
        page_size: usize,
        page_token: &[u8],
    ) -> Result<ListPage, EngineError> {
        let namespace = self.shared().namespaces.id(namespace)?;
        let page_size = if page_size == 0 { temporal::LIST_PAGE } else { page_size.min(temporal::LIST_PAGE) };
        let resume = match page_token {
            [] => self.first_page(namespace).await,
            token => token::open(token, &query.order, namespace, question)
                .ok_or_else(|| Rejection::invalid("Invalid NextPageToken."))?,
        };
        let page = self.read_lists(namespace, move |reading| list::list(reading, &query, resume, page_size)).await?;
        let next = page.next.map(|next| token::seal(&next, namespace, question));
        Ok(ListPage { executions: page.executions, next_page_token: next.unwrap_or_default() })
    }

    /// A list is as of a moment whose steps can all be seen: what had closed by then must not be met as open. Steps that
    /// are decided later have later times.
    async fn first_page(&self, namespace: uuid::Uuid) -> Resume {
        let as_of = micros(clock::now());
        let mut settling = Vec::new();
        for shard in &self.shared().shards {
            let (done, settled) = oneshot::channel();
            // One that takes no requests is as settled as it will be.
            if shard.request(Request::Settle { namespace, done }).is_ok() {
                settling.push(settled);
            }
        }
        let all = async {
            for settled in settling {
                let _ = settled.await;
            }
        };
        // Where requests queue up, the step that was being decided is long through when this time has passed.
        let _ = tokio::time::timeout(limits::STEP_SETTLES, all).await;
        self.barrier().await;
        Resume { as_of, after: None }
    }

    /// How many runs fit a filter.
    pub async fn count_workflows(&self, namespace: &str, query: &str) -> Result<WorkflowCount, EngineError> {
        let namespace = self.shared().namespaces.id(namespace)?;
        let query = Query::parse(query).map_err(EngineError::InvalidQuery)?;
        let group_by = query.group_by;
        let counts = self.read_lists(namespace, move |reading| count::count(reading, &query)).await?;
        let count = counts.values().sum();
        let groups = match group_by {
            None => Vec::new(),
            Some(attribute) if attribute.source == Source::Status => {
                counts.into_iter().map(|(status, count)| (resolve::status_name(i64::from(status)), count)).collect()
            }
            // No run of ours has a division.
            Some(_) if count == 0 => Vec::new(),
            Some(_) => vec![(String::new(), count)],
        };
        Ok(WorkflowCount { count, groups })
    }

    /// Reads the store away from the asynchronous threads, and no longer than somebody waits for it. What was read is
    /// durable when it is returned.
    async fn read_lists<T: Send + 'static>(
        &self,
        namespace: uuid::Uuid,
        read: impl FnOnce(Reading<'_>) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let permit = AT_ONCE.acquire().await.map_err(|error| EngineError::Unavailable(error.to_string()))?;
        let dropped = CancellationToken::new();
        let guard = dropped.clone().drop_guard();
        let store = Arc::clone(&self.shared().store);
        let (sender, receiver) = oneshot::channel();
        // A thread of its own, which gives way: a page that takes a second must not be a second of somebody's workflows.
        politeness::spawn("list".into(), move || {
            let _permit = permit;
            // Nobody may want it any more.
            let _ =
                sender.send(read(Reading { store: &*store, namespace, dropped: &dropped, effort: Effort::default() }));
        })?;
        let result = receiver.await.map_err(|_| EngineError::Unavailable("reading the list has failed".into()))??;
        guard.disarm();
        self.barrier().await;
        Ok(result)
    }
}

#[cfg(fuzzing)]
pub mod fuzzing {
    use uuid::Uuid;

    use super::{Order, Query, token};

    /// Reads a filter.
    pub fn filter(text: &str) {
        if let Err(problem) = Query::parse(text) {
            assert!(!problem.is_empty() && problem.len() < 8 * 1024, "{} bytes", problem.len());
        }
    }

    /// Opens a page token, as it came and with its seal made right.
    pub fn page_token(bytes: &[u8]) {
        let orders = [Order::Listed, Order::Start { descends: true }, Order::Start { descends: false }];
        let sealed = token::sealed(bytes, Uuid::nil(), b"question");
        for token in [bytes, &sealed] {
            for order in &orders {
                if let Some(resume) = token::open(token, order, Uuid::nil(), b"question") {
                    let again = token::seal(&resume, Uuid::nil(), b"question");
                    assert_eq!(token::open(&again, order, Uuid::nil(), b"question"), Some(resume));
                }
            }
        }
    }
}
