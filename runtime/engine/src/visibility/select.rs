//! Going through all runs that fit a filter, a page at a time: for what looks at many of them.

use std::sync::Arc;

use mainspring_api::{enums::WorkflowExecutionStatus as Status, workflow::WorkflowExecutionInfo};
use mainspring_core::{Rejection, limits::temporal};
use mainspring_store::Store;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Query,
    attribute::Attribute,
    condition::{Condition, Test, Value},
    count,
    index::micros,
    list::{self, Resume},
    order::Order,
    reading::{Effort, Reading},
};
use crate::{EngineError, clock};

/// Which runs to go through. What is empty asks for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RunFilter<'a> {
    pub task_queue: &'a str,
    pub workflow_type: &'a str,
    /// A filter as lists take it, without an order.
    pub query: &'a str,
    /// Open runs, or else closed ones.
    pub open: bool,
}

/// Runs in the order of lists: the open ones by start, the closed ones by close, the latest first. They are as of the
/// time when this was made. What is read need not be durable yet.
pub(crate) struct Selector {
    store: Arc<dyn Store>,
    namespace: Uuid,
    query: Query,
    resume: Option<Resume>,
}

impl Selector {
    /// # Errors
    /// Where the filter cannot be read, or asks for an order or for groups.
    pub fn new(store: Arc<dyn Store>, namespace: Uuid, filter: &RunFilter<'_>) -> Result<Selector, EngineError> {
        let asked = Query::parse(filter.query).map_err(EngineError::InvalidQuery)?;
        if asked.order != Order::Listed || asked.group_by.is_some() {
            return Err(Rejection::invalid("The query chooses runs: ORDER BY and GROUP BY mean nothing here.").into());
        }
        let is = |name: &str, value: Value| Some(Condition::Is(Attribute::named(name)?, Test::Equal(value)));
        let text = |name: &str, text: &str| if text.is_empty() { None } else { is(name, Value::Text(text.to_owned())) };
        let running = is("ExecutionStatus", Value::Int(i64::from(i32::from(Status::Running))));
        let status = match filter.open {
            true => running,
            false => running.map(|running| Condition::Not(Box::new(running))),
        };
        let ours = [text("TaskQueue", filter.task_queue), text("WorkflowType", filter.workflow_type), status];
        let condition = Condition::And(ours.into_iter().flatten().chain([asked.condition]).collect());
        let query = Query { condition, order: Order::Listed, group_by: None };
        let resume = Some(Resume { as_of: micros(clock::now()), after: None });
        Ok(Selector { store, namespace, query, resume })
    }

    /// The next page, which may be empty; none where there are no more.
    pub fn next_page(
        &mut self,
        dropped: &CancellationToken,
    ) -> Result<Option<Vec<WorkflowExecutionInfo>>, EngineError> {
        let Some(resume) = self.resume.take() else { return Ok(None) };
        let page = list::list(self.reading(dropped), &self.query, resume, temporal::LIST_PAGE)?;
        self.resume = page.next;
        Ok(Some(page.executions))
    }

    /// How many runs fit now.
    pub fn count(&self, dropped: &CancellationToken) -> Result<u64, EngineError> {
        let counts = count::count(self.reading(dropped), &self.query)?;
        Ok(u64::try_from(counts.values().sum::<i64>()).unwrap_or(0))
    }

    fn reading<'a>(&'a self, dropped: &'a CancellationToken) -> Reading<'a> {
        Reading { store: &*self.store, namespace: self.namespace, dropped, effort: Effort::default() }
    }
}
