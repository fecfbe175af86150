//! Task queues: activity tasks that are ready, and the polls that wait for them. In memory only: what is ready is
//! rebuilt from the activity rows.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mainspring_core::Time;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{Backlog, Poller, TaskQueueDescription, clock, keys::RunKey, limits};

/// One attempt of an activity that a worker may have.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadyTask {
    pub run: RunKey,
    pub scheduled_event_id: i64,
    pub attempt: i32,
    pub ready_since: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueueKey {
    pub namespace: Uuid,
    pub name: String,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<ReadyTask>,
    polls: VecDeque<oneshot::Sender<Lease>>,
    pollers: HashMap<String, Time>,
}

/// All task queues of a server.
#[derive(Clone, Default)]
pub struct Matching {
    queues: Arc<Mutex<HashMap<QueueKey, Queue>>>,
    /// The server stops: no poll gets a task any more.
    closed: Arc<AtomicBool>,
}

/// How much waits in all queues together.
#[derive(Default)]
pub struct Totals {
    pub queues: usize,
    pub polls: usize,
    /// Tasks by namespace.
    pub tasks: HashMap<Uuid, usize>,
}

/// A task in the hands of a poll. Dropped before it is taken, it goes back to the head of its queue.
pub struct Lease {
    task: Option<ReadyTask>,
    queue: QueueKey,
    matching: Matching,
}

impl Lease {
    /// The task is this poll's from here on.
    pub fn take(mut self) -> Option<ReadyTask> {
        self.task.take()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.matching.put(self.queue.clone(), task, true);
        }
    }
}

impl Matching {
    /// Adds a task: to the poll that has waited longest, or to the end of the queue.
    pub fn offer(&self, queue: QueueKey, task: ReadyTask) {
        self.put(queue, task, false);
    }

    fn put(&self, key: QueueKey, task: ReadyTask, first: bool) {
        let mut task = task;
        loop {
            let poll = {
                let mut queues = self.queues.lock();
                let queue = queues.entry(key.clone()).or_default();
                match queue.polls.pop_front() {
                    Some(poll) => poll,
                    None if first => return queue.tasks.push_front(task),
                    None => return queue.tasks.push_back(task),
                }
            };
            // Outside the lock: a lease that nobody receives any more must be able to come back.
            let lease = Lease { task: Some(task), queue: key.clone(), matching: self.clone() };
            match poll.send(lease) {
                Ok(()) => return,
                Err(mut lease) => match lease.task.take() {
                    Some(returned) => task = returned,
                    None => return,
                },
            }
        }
    }

    /// The next task of a queue, waiting for one at most this long.
    pub async fn poll(&self, key: QueueKey, identity: &str, wait: Duration) -> Option<Lease> {
        let receiver = {
            let mut queues = self.queues.lock();
            if !queues.contains_key(&key) && queues.len() >= limits::TASK_QUEUES {
                queues.retain(|_, queue| !queue.tasks.is_empty() || !queue.polls.is_empty());
            }
            if self.closed.load(Ordering::Acquire) {
                return None;
            }
            let queue = queues.entry(key.clone()).or_default();
            queue.note_poller(identity);
            if let Some(task) = queue.tasks.pop_front() {
                return Some(Lease { task: Some(task), queue: key, matching: self.clone() });
            }
            queue.polls.retain(|poll| !poll.is_closed());
            if queue.polls.len() >= limits::POLLS_PER_QUEUE {
                return None;
            }
            let (sender, receiver) = oneshot::channel();
            queue.polls.push_back(sender);
            receiver
        };
        tokio::time::timeout(wait, receiver).await.ok()?.ok()
    }

    pub fn describe(&self, key: &QueueKey) -> TaskQueueDescription {
        let now = clock::now();
        let queues = self.queues.lock();
        let Some(queue) = queues.get(key) else { return TaskQueueDescription::default() };
        let mut pollers: Vec<Poller> = queue
            .pollers
            .iter()
            .filter(|(_, last_access)| now.since(**last_access) < limits::POLLER_SHOWN)
            .map(|(identity, last_access)| Poller { identity: identity.clone(), last_access: *last_access })
            .collect();
        pollers.sort_by(|a, b| b.last_access.cmp(&a.last_access).then_with(|| a.identity.cmp(&b.identity)));
        let oldest = queue.tasks.iter().map(|task| task.ready_since).min();
        let age = oldest.map(|oldest| now.since(oldest)).unwrap_or_default();
        TaskQueueDescription { pollers, backlog: Backlog { tasks: queue.tasks.len(), age } }
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub fn totals(&self) -> Totals {
        let queues = self.queues.lock();
        let mut totals = Totals { queues: queues.len(), ..Totals::default() };
        for (key, queue) in &*queues {
            totals.polls += queue.polls.iter().filter(|poll| !poll.is_closed()).count();
            if !queue.tasks.is_empty() {
                *totals.tasks.entry(key.namespace).or_default() += queue.tasks.len();
            }
        }
        totals
    }

    /// Answers every poll empty, those that wait and those to come.
    pub fn close(&self) {
        let mut queues = self.queues.lock();
        self.closed.store(true, Ordering::Release);
        for queue in queues.values_mut() {
            queue.polls.clear();
        }
    }
}

impl Queue {
    fn note_poller(&mut self, identity: &str) {
        let now = clock::now();
        if self.pollers.len() >= limits::POLLERS_SHOWN && !self.pollers.contains_key(identity) {
            self.pollers.retain(|_, last_access| now.since(*last_access) < limits::POLLER_SHOWN);
            if self.pollers.len() >= limits::POLLERS_SHOWN {
                return;
            }
        }
        self.pollers.insert(identity.to_owned(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::WorkflowKey;

    fn queue() -> QueueKey {
        QueueKey { namespace: Uuid::nil(), name: "orders".into() }
    }

    fn task(number: i64) -> ReadyTask {
        let workflow = WorkflowKey { namespace: Uuid::nil(), workflow_id: "w".into() };
        let run = RunKey { workflow, run: Uuid::nil() };
        ReadyTask { run, scheduled_event_id: number, attempt: 1, ready_since: Time(0) }
    }

    async fn next(matching: &Matching) -> Option<i64> {
        let lease = matching.poll(queue(), "worker", Duration::from_millis(10)).await?;
        lease.take().map(|task| task.scheduled_event_id)
    }

    #[tokio::test]
    async fn tasks_leave_in_the_order_in_which_they_came() {
        let matching = Matching::default();
        matching.offer(queue(), task(1));
        matching.offer(queue(), task(2));
        assert_eq!((next(&matching).await, next(&matching).await, next(&matching).await), (Some(1), Some(2), None));
    }

    #[tokio::test]
    async fn a_task_whose_poll_is_gone_comes_back_at_once() {
        let matching = Matching::default();
        let poll = tokio::spawn({
            let matching = matching.clone();
            async move { matching.poll(queue(), "gone", Duration::from_secs(60)).await.map(drop) }
        });
        while matching.queues.lock().get(&queue()).is_none_or(|queue| queue.polls.is_empty()) {
            tokio::task::yield_now().await;
        }
        poll.abort();
        assert!(poll.await.unwrap_err().is_cancelled());
        matching.offer(queue(), task(1));
        assert_eq!(next(&matching).await, Some(1));
    }

    #[tokio::test]
    async fn a_lease_that_is_not_taken_goes_back_to_the_head() {
        let matching = Matching::default();
        matching.offer(queue(), task(1));
        matching.offer(queue(), task(2));
        drop(matching.poll(queue(), "worker", Duration::ZERO).await);
        assert_eq!(next(&matching).await, Some(1));
    }

    #[tokio::test]
    async fn pollers_and_backlog_are_described() {
        let matching = Matching::default();
        matching.offer(queue(), task(1));
        matching.offer(queue(), task(2));
        next(&matching).await;
        let description = matching.describe(&queue());
        assert_eq!(description.backlog.tasks, 1);
        assert_eq!(description.pollers[0].identity, "worker");
    }
}
