//! Timers, and whatever else is due.

use mainspring_api::history::TimerFiredEventAttributes;

use crate::{Step, Time};

impl Step<'_> {
    /// Does everything whose time has come: timers, timeouts, retries, delays. Never anything early.
    pub fn advance(&mut self) {
        if !self.state.is_running() {
            return;
        }
        if self.state.run_expiration().is_some_and(|at| at <= self.now) {
            self.time_out_run();
            return;
        }
        if self.state.start_delay_end().is_some_and(|at| at <= self.now) {
            self.schedule_first_attempt();
        }
        self.advance_workflow_task();
        self.fire_timers();
        self.advance_activities();
    }

    fn advance_workflow_task(&mut self) {
        if self.state.workflow_task_deadline().is_none_or(|at| at > self.now) {
            return;
        }
        if self.state.has_started_workflow_task() {
            self.time_out_workflow_task();
        } else if !self.state.has_durable_workflow_task() {
            self.time_out_speculative_workflow_task();
        } else {
            self.retry_workflow_task_now();
        }
    }

    fn fire_timers(&mut self) {
        let mut due: Vec<(Time, i64, String)> = self
            .state
            .timers
            .iter()
            .filter(|(_, timer)| timer.fires_at <= self.now)
            .map(|(id, timer)| (timer.fires_at, timer.started_event_id, id.clone()))
            .collect();
        due.sort();
        for (_, started_event_id, timer_id) in due {
            // While a workflow task runs, the event is buffered; the timer must not fire again then.
            self.state.timers.remove(&timer_id);
            self.record_or_buffer(TimerFiredEventAttributes { timer_id, started_event_id }.into());
            self.schedule_workflow_task();
        }
    }
}
