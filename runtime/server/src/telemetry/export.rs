//! From a queue of a fixed length to the collector, in batches.

use std::{future::Future, time::Duration};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::TARGET;
use crate::limits;

/// Takes batches to the collector.
pub(super) trait Sink: Send + Sync + 'static {
    type Item: Send + 'static;

    /// Tries until it is taken, or gives up; says why.
    fn send(&self, batch: Vec<Self::Item>) -> impl Future<Output = Result<(), String>> + Send;
}

/// What waits to be sent.
pub(super) struct Queue<T> {
    sender: Sender<T>,
    dropped: Counter,
}

impl<T> Queue<T> {
    /// Never waits: what finds no room is dropped, and counted.
    pub fn push(&self, item: T) {
        if self.sender.try_send(item).is_err() {
            self.dropped.inc();
        }
    }
}

pub(super) fn queue<T>(length: usize, dropped: Counter) -> (Queue<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(length);
    (Queue { sender, dropped }, receiver)
}

pub(super) struct Counts {
    pub signal: &'static str,
    pub sent: Counter,
    /// Also of what did not find room in the queue.
    pub dropped: Counter,
}

/// Sends what comes, until `stop`; then what is there already. A batch is given up when `limit` has passed.
pub(super) async fn run<S: Sink>(
    sink: S,
    mut queue: Receiver<S::Item>,
    limit: Duration,
    counts: Counts,
    stop: CancellationToken,
) {
    let mut complaints = Complaints::new(counts.signal);
    while let Some(batch) = next(&mut queue, &stop).await {
        let size = batch.len() as u64;
        let taken = timeout(limit, sink.send(batch)).await;
        let problem = taken.unwrap_or_else(|_| Err(format!("the collector has not answered within {limit:?}"))).err();
        let counter = if problem.is_none() { &counts.sent } else { &counts.dropped };
        counter.inc_by(size);
        complaints.note(counts.dropped.get(), problem);
    }
}

/// The next batch: what is there, and what comes within a short time, up to a number. None when all is sent.
async fn next<T>(queue: &mut Receiver<T>, stop: &CancellationToken) -> Option<Vec<T>> {
    let mut batch = Vec::new();
    let mut until = None;
    loop {
        let room = limits::TELEMETRY_BATCH - batch.len();
        tokio::select! {
            more = queue.recv_many(&mut batch, room) => {
                let is_over = more == 0 || batch.len() == limits::TELEMETRY_BATCH;
                if is_over {
                    return Some(batch).filter(|batch| !batch.is_empty());
                }
                until.get_or_insert_with(|| Instant::now() + limits::TELEMETRY_LINGER);
            }
            () = stop.cancelled(), if !queue.is_closed() => queue.close(),
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return Some(batch),
        }
    }
}

/// Says that something was dropped: at once, and then once in a while.
struct Complaints {
    signal: &'static str,
    /// How many drops have been told of.
    told: u64,
    at: Option<Instant>,
}

impl Complaints {
    fn new(signal: &'static str) -> Complaints {
        Complaints { signal, told: 0, at: None }
    }

    /// Returns whether it was said.
    fn note(&mut self, dropped: u64, problem: Option<String>) -> bool {
        let is_quiet = self.at.is_some_and(|at| at.elapsed() < QUIET);
        if dropped == self.told || is_quiet {
            return false;
        }
        let problem =
            problem.unwrap_or_else(|| "the queue was full: the collector is slower than what there is".into());
        let (signal, more) = (self.signal, dropped - self.told);
        tracing::warn!(target: TARGET, signal, dropped = more, problem, "telemetry is dropped");
        (self.told, self.at) = (dropped, Some(Instant::now()));
        true
    }
}

/// Between two lines about what was dropped.
const QUIET: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Notes what it is sent; takes a batch only where `takes` says so, and never answers where it says none.
    struct Fake {
        takes: Option<bool>,
        batches: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl Sink for Fake {
        type Item = u32;

        async fn send(&self, batch: Vec<u32>) -> Result<(), String> {
            self.batches.lock().push(batch);
            match self.takes {
                Some(true) => Ok(()),
                Some(false) => Err("unavailable".into()),
                None => std::future::pending().await,
            }
        }
    }

    struct Running {
        queue: Queue<u32>,
        batches: Arc<Mutex<Vec<Vec<u32>>>>,
        sent: Counter,
        dropped: Counter,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    fn start(length: usize, takes: Option<bool>) -> Running {
        let (sent, dropped, stop) = (Counter::default(), Counter::default(), CancellationToken::new());
        let batches = Arc::default();
        let (queue, receiver) = queue(length, dropped.clone());
        let sink = Fake { takes, batches: Arc::clone(&batches) };
        let counts = Counts { signal: "spans", sent: sent.clone(), dropped: dropped.clone() };
        let task = tokio::spawn(run(sink, receiver, LIMIT, counts, stop.clone()));
        Running { queue, batches, sent, dropped, stop, task }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_together_is_sent_together() {
        let running = start(10_000, Some(true));
        let all = u32::try_from(limits::TELEMETRY_BATCH).unwrap() + 3;
        (0..all).for_each(|item| running.queue.push(item));
        running.stop.cancel();
        running.task.await.unwrap();
        let sizes: Vec<usize> = running.batches.lock().iter().map(Vec::len).collect();
        assert_eq!(sizes, [limits::TELEMETRY_BATCH, 3]);
        assert_eq!((running.sent.get(), running.dropped.get()), (u64::from(all), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_one_does_not_wait_for_others_for_long() {
        let running = start(10, Some(true));
        running.queue.push(1);
        let began = Instant::now();
        while running.sent.get() == 0 {
            advance(Duration::from_millis(10)).await;
            tokio::task::yield_now().await;
        }
        assert!(began.elapsed() <= limits::TELEMETRY_LINGER + Duration::from_millis(100));
        assert!(!running.task.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn who_tells_something_never_waits_for_a_collector_that_does_not_answer() {
        let running = start(4, None);
        running.queue.push(0);
        tokio::time::sleep(2 * limits::TELEMETRY_LINGER).await;
        assert_eq!(running.batches.lock().len(), 1);
        (0..10).for_each(|item| running.queue.push(item));
        assert_eq!((running.sent.get(), running.dropped.get()), (0, 6));
        // The batch that it does not answer is given up, and the next one is its turn.
        tokio::time::sleep(LIMIT + 2 * limits::TELEMETRY_LINGER).await;
        assert_eq!((running.batches.lock().len(), running.dropped.get()), (2, 7));
        running.task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_collector_does_not_take_is_counted() {
        let running = start(100, Some(false));
        (0..7).for_each(|item| running.queue.push(item));
        running.stop.cancel();
        running.task.await.unwrap();
        assert_eq!((running.sent.get(), running.dropped.get()), (0, 7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_is_gone_is_mentioned_now_and_then() {
        let mut complaints = Complaints::new("spans");
        assert!(!complaints.note(0, None));
        assert!(complaints.note(5, Some("unavailable".into())));
        assert!(!complaints.note(500, Some("unavailable".into())));
        advance(2 * QUIET).await;
        assert!(complaints.note(500, None));
        advance(2 * QUIET).await;
        assert!(!complaints.note(500, None));
    }
}
