//! A run in Temporal's own words, for lists and descriptions.

use std::collections::HashMap;

use mainspring_api::{
    activity::ActivityOptions,
    enums::{EventType, PendingActivityState, PendingWorkflowTaskState},
    taskqueue::TaskQueue,
    workflow::{
        PendingActivityInfo, PendingChildExecutionInfo, PendingWorkflowTaskInfo, RequestIdInfo,
        WorkflowExecutionConfig, WorkflowExecutionExtendedInfo, WorkflowExecutionInfo,
    },
};

use crate::{
    RunState, Time,
    activity::{Activity, Phase},
    child, retry, time,
};

impl RunState {
    /// What lists show of the run, and what its visibility row holds.
    pub fn execution_info(&self) -> WorkflowExecutionInfo {
        let execution_time = self.execution_time();
        WorkflowExecutionInfo {
            execution: Some(self.execution()),
            r#type: self.started.workflow_type.clone(),
            start_time: Some(self.start_time.to_proto()),
            close_time: self.close_time.map(Time::to_proto),
            status: self.status.into(),
            history_length: self.history_length(),
            history_size_bytes: self.history_bytes,
            execution_time: Some(execution_time.to_proto()),
            execution_duration: self.close_time.map(|close| time::to_proto(close.since(execution_time))),
            memo: self.memo.clone(),
            search_attributes: self.search_attributes.clone(),
            task_queue: self.task_queue().to_owned(),
            state_transition_count: self.transitions,
            most_recent_worker_version_stamp: Some(self.module_or_build_id()).filter(|id| !id.is_empty()).map(|id| {
                mainspring_api::common::WorkerVersionStamp { build_id: id.to_owned(), use_versioning: false }
            }),
            parent_namespace_id: self.started.parent_workflow_namespace_id.clone(),
            parent_execution: self.started.parent_workflow_execution.clone(),
            // Without a parent it is its own root, which the history does not spell out.
            root_execution: self.started.root_workflow_execution.clone().or_else(|| Some(self.execution())),
            first_run_id: self.started.first_execution_run_id.clone(),
            priority: self.started.priority.clone(),
            ..Default::default()
        }
    }

    pub fn execution_config(&self) -> WorkflowExecutionConfig {
        WorkflowExecutionConfig {
            task_queue: self.started.task_queue.clone(),
            workflow_execution_timeout: self.started.workflow_execution_timeout,
            workflow_run_timeout: self.started.workflow_run_timeout,
            default_workflow_task_timeout: self.started.workflow_task_timeout,
            user_metadata: self.user_metadata.clone(),
        }
    }

    pub fn extended_info(&self) -> WorkflowExecutionExtendedInfo {
        WorkflowExecutionExtendedInfo {
            execution_expiration_time: self.execution_expiration().map(Time::to_proto),
            run_expiration_time: self.run_expiration().map(Time::to_proto),
            cancel_requested: self.cancel_requested,
            last_reset_time: self.reset.as_ref().map(|reset| reset.time.to_proto()),
            original_start_time: Some(self.original_start_time.to_proto()),
            reset_run_id: self.reset_run_id.clone(),
            request_id_infos: self.request_id_infos(),
            ..Default::default()
        }
    }

    /// Which request has started the run.
    fn request_id_infos(&self) -> HashMap<String, RequestIdInfo> {
        let started =
            RequestIdInfo { event_type: EventType::WorkflowExecutionStarted.into(), event_id: 1, buffered: false };
        HashMap::from([(self.start_request_id.clone(), started)])
    }

    pub fn pending_activities(&self) -> Vec<PendingActivityInfo> {
        self.activities.values().filter(|activity| activity.phase != Phase::Ended).map(Activity::pending_info).collect()
    }

    pub fn pending_children(&self) -> Vec<PendingChildExecutionInfo> {
        let open = self.children.values().filter(|child| child.phase != child::Phase::Ended);
        open.map(|child| PendingChildExecutionInfo {
            workflow_id: child.initiated.workflow_id.clone(),
            run_id: child.run_id.clone(),
            workflow_type_name: child::type_name(child.initiated.workflow_type.as_ref()),
            initiated_id: child.initiated_event_id,
            parent_close_policy: child.initiated.parent_close_policy,
        })
        .collect()
    }

    pub fn pending_workflow_task(&self) -> Option<PendingWorkflowTaskInfo> {
        self.workflow_task.as_ref().map(|task| PendingWorkflowTaskInfo {
            state: match task.started_time {
                Some(_) => PendingWorkflowTaskState::Started,
                None => PendingWorkflowTaskState::Scheduled,
            }
            .into(),
            scheduled_time: Some(task.scheduled_time.to_proto()),
            original_scheduled_time: Some(task.scheduled_time.to_proto()),
            started_time: task.started_time.map(Time::to_proto),
            attempt: task.attempt,
        })
    }
}

impl Activity {
    fn pending_info(&self) -> PendingActivityInfo {
        let state = match (self.phase, self.cancel_requested_event_id) {
            (Phase::Started, Some(_)) => PendingActivityState::CancelRequested,
            (Phase::Started, None) => PendingActivityState::Started,
            _ => PendingActivityState::Scheduled,
        };
        let policy = self.scheduled.retry_policy.clone().unwrap_or_default();
        let backing_off = self.phase == Phase::Backoff;
        PendingActivityInfo {
            activity_id: self.scheduled.activity_id.clone(),
            activity_type: self.scheduled.activity_type.clone(),
            state: state.into(),
            heartbeat_details: self.heartbeat_details.clone(),
            last_heartbeat_time: self.heartbeat_time.map(Time::to_proto),
            last_started_time: self.started_time.map(Time::to_proto),
            attempt: self.attempt,
            maximum_attempts: policy.maximum_attempts,
            scheduled_time: Some(self.attempt_scheduled_time.to_proto()),
            expiration_time: self.expiration().map(Time::to_proto),
            last_failure: self.last_failure.clone(),
            last_worker_identity: self.worker_identity.clone(),
            current_retry_interval: backing_off
                .then(|| time::to_proto(retry::interval(&policy, self.attempt.saturating_sub(1)))),
            last_attempt_complete_time: self.last_attempt_end.map(Time::to_proto),
            next_attempt_schedule_time: backing_off.then(|| self.attempt_scheduled_time.to_proto()),
            activity_options: Some(self.options()),
            ..Default::default()
        }
    }

    fn options(&self) -> ActivityOptions {
        let scheduled = &self.scheduled;
        ActivityOptions {
            task_queue: Some(TaskQueue {
                name: self.task_queue().to_owned(),
                normal_name: self.task_queue().to_owned(),
                ..Default::default()
            }),
            schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
            schedule_to_start_timeout: scheduled.schedule_to_start_timeout,
            start_to_close_timeout: scheduled.start_to_close_timeout,
            heartbeat_timeout: scheduled.heartbeat_timeout,
            retry_policy: scheduled.retry_policy.clone(),
            priority: scheduled.priority.clone(),
            ..Default::default()
        }
    }
}
