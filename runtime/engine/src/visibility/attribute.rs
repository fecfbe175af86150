//! What runs can be found by: Temporal's standard attributes, and where each one's value comes from.

use std::borrow::Cow;

use mainspring_api::{
    Timestamp,
    common::{Payload, WorkflowExecution},
    enums::IndexedValueType::{self, Bool, Datetime, Int, Keyword, KeywordList},
    workflow::WorkflowExecutionInfo,
};
use mainspring_core::{Time, time};

use super::index::{Place, micros};

/// An attribute that every run has, if often without a value.
#[derive(Debug, PartialEq)]
pub struct Attribute {
    pub name: &'static str,
    pub value_type: IndexedValueType,
    pub(super) source: Source,
}

/// Where an attribute's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    WorkflowId,
    RunId,
    WorkflowType,
    TaskQueue,
    Status,
    StartTime,
    ExecutionTime,
    CloseTime,
    Duration,
    HistoryLength,
    HistorySize,
    Transitions,
    ParentWorkflowId,
    ParentRunId,
    RootWorkflowId,
    RootRunId,
    /// Among the run's own search attributes, under the attribute's name; most of them only where something sets them.
    Carried,
}

/// All of them, as `temporal operator search-attribute list` shows them.
pub static ATTRIBUTES: [Attribute; 33] = [
    carried("BatcherNamespace", Keyword),
    carried("BatcherUser", Keyword),
    carried("BinaryChecksums", KeywordList),
    carried("BuildIds", KeywordList),
    attribute("CloseTime", Datetime, Source::CloseTime),
    attribute("ExecutionDuration", Int, Source::Duration),
    attribute("ExecutionStatus", Keyword, Source::Status),
    attribute("ExecutionTime", Datetime, Source::ExecutionTime),
    attribute("HistoryLength", Int, Source::HistoryLength),
    attribute("HistorySizeBytes", Int, Source::HistorySize),
    attribute("ParentRunId", Keyword, Source::ParentRunId),
    attribute("ParentWorkflowId", Keyword, Source::ParentWorkflowId),
    attribute("RootRunId", Keyword, Source::RootRunId),
    attribute("RootWorkflowId", Keyword, Source::RootWorkflowId),
    attribute("RunId", Keyword, Source::RunId),
    attribute("StartTime", Datetime, Source::StartTime),
    attribute("StateTransitionCount", Int, Source::Transitions),
    attribute("TaskQueue", Keyword, Source::TaskQueue),
    carried("TemporalChangeVersion", KeywordList),
    carried("TemporalExternalPayloadCount", Int),
    carried("TemporalExternalPayloadSizeBytes", Int),
    carried("TemporalNamespaceDivision", Keyword),
    carried("TemporalPauseInfo", KeywordList),
    carried("TemporalReportedProblems", KeywordList),
    carried("TemporalSchedulePaused", Bool),
    carried("TemporalScheduledById", Keyword),
    carried("TemporalScheduledStartTime", Datetime),
    carried("TemporalUsedWorkerDeploymentVersions", KeywordList),
    carried("TemporalWorkerDeployment", Keyword),
    carried("TemporalWorkerDeploymentVersion", Keyword),
    carried("TemporalWorkflowVersioningBehavior", Keyword),
    attribute("WorkflowId", Keyword, Source::WorkflowId),
    attribute("WorkflowType", Keyword, Source::WorkflowType),
];

const fn attribute(name: &'static str, value_type: IndexedValueType, source: Source) -> Attribute {
    Attribute { name, value_type, source }
}

const fn carried(name: &'static str, value_type: IndexedValueType) -> Attribute {
    attribute(name, value_type, Source::Carried)
}

/// What is known of one attribute of one run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fact<'a> {
    /// The index does not tell: the run's row must be read.
    Unknown,
    Null,
    Text(Cow<'a, str>),
    /// A number; times in microseconds since 1970, durations in nanoseconds, the status by its number.
    Int(i64),
    Bool(bool),
    List(Vec<String>),
}

impl Attribute {
    pub fn named(name: &str) -> Option<&'static Attribute> {
        ATTRIBUTES.iter().find(|attribute| attribute.name == name)
    }

    /// The type as Temporal's messages write it.
    pub(super) fn type_name(&self) -> String {
        format!("{:?}", self.value_type)
    }
}

/// A run, as far as somebody knows it.
pub(super) trait Facts {
    fn of(&self, attribute: &Attribute) -> Fact<'_>;
}

impl Facts for WorkflowExecutionInfo {
    fn of(&self, attribute: &Attribute) -> Fact<'_> {
        let id = |execution: &'_ Option<WorkflowExecution>| text(execution.as_ref().map(|it| it.workflow_id.clone()));
        let run = |execution: &'_ Option<WorkflowExecution>| text(execution.as_ref().map(|it| it.run_id.clone()));
        // Temporal knows these of closed runs only.
        let once_closed = |number: i64| if self.close_time.is_some() { Fact::Int(number) } else { Fact::Null };
        match attribute.source {
            Source::WorkflowId => borrowed(self.execution.as_ref().map(|it| it.workflow_id.as_str())),
            Source::RunId => borrowed(self.execution.as_ref().map(|it| it.run_id.as_str())),
            Source::WorkflowType => borrowed(self.r#type.as_ref().map(|it| it.name.as_str())),
            Source::TaskQueue => borrowed(Some(&self.task_queue)),
            Source::Status => Fact::Int(i64::from(self.status)),
            Source::StartTime => moment(self.start_time.as_ref()),
            Source::ExecutionTime => moment(self.execution_time.as_ref()),
            Source::CloseTime => moment(self.close_time.as_ref()),
            Source::Duration => self.execution_duration.as_ref().map_or(Fact::Null, |duration| {
                let nanos = time::duration(Some(duration)).as_nanos();
                once_closed(i64::try_from(nanos).unwrap_or(i64::MAX))
            }),
            Source::HistoryLength => once_closed(self.history_length),
            Source::HistorySize => once_closed(self.history_size_bytes),
            Source::Transitions => once_closed(self.state_transition_count),
            Source::ParentWorkflowId => id(&self.parent_execution),
            Source::ParentRunId => run(&self.parent_execution),
            // Without a root it is its own, which the row does not spell out.
            Source::RootWorkflowId => {
                id(if self.root_execution.is_some() { &self.root_execution } else { &self.execution })
            }
            Source::RootRunId => {
                run(if self.root_execution.is_some() { &self.root_execution } else { &self.execution })
            }
            Source::Carried => {
                let carried = self.search_attributes.as_ref().and_then(|it| it.indexed_fields.get(attribute.name));
                carried.map_or(Fact::Null, |payload| carried_fact(attribute.value_type, payload))
            }
        }
    }
}

/// What the key of an index row tells: where the run stands, and the value that it is indexed by.
pub(super) struct KeyFacts<'a> {
    pub place: &'a Place,
    pub indexed: Option<(Source, &'a str)>,
}

impl Facts for KeyFacts<'_> {
    fn of(&self, attribute: &Attribute) -> Fact<'_> {
        match attribute.source {
            Source::Status => Fact::Int(i64::from(self.place.status)),
            Source::StartTime => Fact::Int(self.place.start),
            Source::CloseTime => self.place.close.map_or(Fact::Null, Fact::Int),
            Source::RunId => text(Some(self.place.run.to_string())),
            source => match self.indexed {
                Some((indexed, value)) if indexed == source => borrowed(Some(value)),
                _ => Fact::Unknown,
            },
        }
    }
}

fn borrowed(value: Option<&str>) -> Fact<'_> {
    value.map_or(Fact::Null, |value| Fact::Text(Cow::Borrowed(value)))
}

fn text(value: Option<String>) -> Fact<'static> {
    value.map_or(Fact::Null, |value| Fact::Text(Cow::Owned(value)))
}

fn moment(time: Option<&Timestamp>) -> Fact<'static> {
    time.map_or(Fact::Null, |time| Fact::Int(micros(Time::from_proto(time))))
}

/// A value that is not of the attribute's type counts as none: it was set by a workflow, and none is worth a failed list.
fn carried_fact(value_type: IndexedValueType, payload: &Payload) -> Fact<'static> {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(&payload.data) else { return Fact::Null };
    match (value_type, json) {
        (KeywordList, serde_json::Value::String(one)) => Fact::List(vec![one]),
        (KeywordList, serde_json::Value::Array(items)) => {
            Fact::List(items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
        }
        (Keyword, serde_json::Value::String(value)) => text(Some(value)),
        (Datetime, serde_json::Value::String(value)) => {
            value.parse::<Timestamp>().map_or(Fact::Null, |time| moment(Some(&time)))
        }
        (Int, serde_json::Value::Number(number)) => number.as_i64().map_or(Fact::Null, Fact::Int),
        (Bool, serde_json::Value::Bool(value)) => Fact::Bool(value),
        _ => Fact::Null,
    }
}
