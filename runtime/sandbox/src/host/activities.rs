//! `mainspring:workflow/activities`.

use mainspring_api::{
    command::{ScheduleActivityTaskCommandAttributes, command::Attributes},
    common::ActivityType,
    enums::{CommandType, TaskQueueKind},
    taskqueue::TaskQueue,
};

use super::HostState;
use crate::{
    bindings::{
        activities::{self, ActivityOptions},
        types::{Operation, Payload},
    },
    convert::{
        payload::{header_to_proto, payloads_to_proto, summary_to_proto},
        retry_policy_to_proto,
        time::duration_to_proto,
    },
    operations::{ActivityName, command},
};

impl activities::Host for HostState {
    fn schedule(
        &mut self,
        activity_type: String,
        input: Vec<Payload>,
        options: ActivityOptions,
    ) -> wasmtime::Result<Operation> {
        let run = self.commanding("activities.schedule")?;
        let task_queue = options
            .task_queue
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| run.started.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default());
        let activity_id = match options.activity_id.filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => self.operations.next_number()?.to_string(),
        };
        let name = ActivityName { activity_type: activity_type.clone(), activity_id: activity_id.clone() };
        let attributes = ScheduleActivityTaskCommandAttributes {
            activity_id,
            activity_type: Some(ActivityType { name: activity_type }),
            task_queue: Some(TaskQueue {
                name: task_queue,
                kind: TaskQueueKind::Normal.into(),
                normal_name: String::new(),
            }),
            header: header_to_proto(options.header),
            input: payloads_to_proto(input),
            schedule_to_close_timeout: options.schedule_to_close_timeout.map(duration_to_proto).transpose()?,
            schedule_to_start_timeout: options.schedule_to_start_timeout.map(duration_to_proto).transpose()?,
            start_to_close_timeout: options.start_to_close_timeout.map(duration_to_proto).transpose()?,
            heartbeat_timeout: options.heartbeat_timeout.map(duration_to_proto).transpose()?,
            retry_policy: options.retry_policy.map(retry_policy_to_proto).transpose()?,
            request_eager_execution: false,
            ..Default::default()
        };
        let command = command(
            CommandType::ScheduleActivityTask,
            Attributes::ScheduleActivityTaskCommandAttributes(attributes),
            summary_to_proto(options.summary),
        );
        Ok(self.operations.schedule_activity(command, name, options.cancellation_type, &self.limits)?)
    }

    fn cancel(&mut self, activity: Operation) -> wasmtime::Result<()> {
        self.commanding("activities.cancel")?;
        Ok(self.operations.cancel_activity(activity, &self.limits)?)
    }
}
