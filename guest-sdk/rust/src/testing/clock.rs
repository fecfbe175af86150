//! Time that passes because the test says so.

use std::time::{Duration, SystemTime};

use super::{Event, TestRun};
use crate::host::Operation;

/// Far more than a test has patience for: a workflow that is still going then goes on for ever.
const MAX_TIMERS_TO_THE_END: usize = 100_000;

impl TestRun {
    /// The workflow's clock, which begins at 2026-01-01T00:00:00Z unless [`TestConfig::info`](super::TestConfig::info)
    /// says otherwise.
    pub fn now(&self) -> SystemTime {
        self.host.now.get()
    }

    /// How long the run has been going by its own clock.
    pub fn elapsed(&self) -> Duration {
        self.now().duration_since(self.circumstances.info.start_time).unwrap_or_default()
    }

    /// Lets this much time pass, in no time: each timer that is due meanwhile fires at its moment, and the workflow goes
    /// on from there. Where the run ends meanwhile its clock stops.
    ///
    /// ```
    /// # use mainspring_workflow::{prelude::*, testing::TestRun};
    /// #[workflow]
    /// async fn reminder() -> WorkflowResult<String> {
    ///     sleep(Duration::from_secs(90 * 24 * 3600)).await?;
    ///     Ok("three months later".into())
    /// }
    /// let mut run = TestRun::start::<reminder>([(); 0]);
    /// run.skip_time(Duration::from_secs(89 * 24 * 3600));
    /// assert!(run.is_blocked());
    /// run.skip_time(Duration::from_secs(24 * 3600));
    /// assert_eq!(run.result::<String>().unwrap(), "three months later");
    /// ```
    pub fn skip_time(&mut self, duration: Duration) {
        let until = self.now() + duration;
        while let Some((timer, due)) = self.next_timer() {
            if due > until {
                break;
            }
            self.fire_at(timer, due);
        }
        if self.is_blocked() {
            self.host.now.set(until);
        }
    }

    /// Lets time pass until the run has ended.
    ///
    /// # Panics
    /// Where it waits for something other than time, or sets one timer after another without an end.
    #[track_caller]
    pub fn skip_to_end(&mut self) {
        for _ in 0..MAX_TIMERS_TO_THE_END {
            if !self.is_blocked() {
                return;
            }
            match self.next_timer() {
                Some((timer, due)) => self.fire_at(timer, due),
                None => panic!("no time brings the run to its end:\n{}", self.runtime.stack_trace()),
            }
        }
        panic!("the run has not ended after {MAX_TIMERS_TO_THE_END} timers:\n{}", self.runtime.stack_trace());
    }

    /// Moves the clock to when the timer is due, unless that has passed, and fires it.
    ///
    /// # Panics
    /// Where there is no such timer.
    #[track_caller]
    pub fn fire_timer(&mut self, timer: Operation) {
        let due = self.host.due.borrow().get(&timer).copied();
        self.fire_at(timer, due.expect("no such timer"));
    }

    fn fire_at(&mut self, timer: Operation, due: SystemTime) {
        self.host.now.set(self.now().max(due));
        self.resume([Event::TimerFired(timer)]);
    }

    /// The timer that fires next, and when; of several the one that was started first.
    fn next_timer(&self) -> Option<(Operation, SystemTime)> {
        if !self.is_blocked() {
            return None;
        }
        let (due, over) = (self.host.due.borrow(), self.host.over.borrow());
        let open = due.iter().filter(|(timer, _)| !over.contains(timer));
        open.min_by_key(|(timer, due)| (**due, **timer)).map(|(timer, due)| (*timer, *due))
    }
}
