//! The committer: group commit, order, and what it does when a commit fails.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

use mainspring_store::{
    Batch, CommitResults, Committer, Fault, FaultStore, Key, MemoryStore, ShardId, Store, StoreError, limits,
};
use support::{SHARD, puts, submit_and_wait};

fn faulty() -> (Arc<FaultStore<MemoryStore>>, Committer) {
    let store = Arc::new(FaultStore::new(MemoryStore::new()));
    let committer = Committer::start(Arc::clone(&store) as Arc<dyn Store>);
    (store, committer)
}

#[test]
fn callbacks_run_in_submission_order_and_find_their_batch_committed() {
    let (store, committer) = faulty();
    let order = Arc::new(Mutex::new(Vec::new()));
    for n in 0..5_000usize {
        let (order, store) = (Arc::clone(&order), Arc::clone(&store));
        // Every tenth is a barrier.
        let batch = if n % 10 == 0 { Batch::new(SHARD, 0) } else { puts([(format!("{n:05}"), "x")]) };
        committer.submit(
            batch,
            Box::new(move |result| {
                result.unwrap();
                assert_eq!(store.get(format!("{n:05}").as_bytes()).unwrap().is_some(), n % 10 != 0);
                order.lock().unwrap().push(n);
            }),
        );
    }
    drop(committer);
    assert_eq!(*order.lock().unwrap(), (0..5_000).collect::<Vec<_>>());
}

/// A store that holds each commit until it is let go, and notes how many batches it had.
struct Held {
    inner: MemoryStore,
    gate: Barrier,
    groups: Mutex<Vec<usize>>,
}

impl Store for Held {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], reverse: bool, limit: usize) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.inner.scan(start, end, reverse, limit)
    }

    fn commit(&self, batches: &[Batch]) -> Result<CommitResults, StoreError> {
        self.groups.lock().unwrap().push(batches.len());
        self.gate.wait(); // the commit has begun
        self.gate.wait(); // and may end
        self.inner.commit(batches)
    }

    fn acquire_shard(&self, shard: ShardId) -> Result<u64, StoreError> {
        self.inner.acquire_shard(shard)
    }
}

fn held() -> (Arc<Held>, Committer) {
    let store = Arc::new(Held { inner: MemoryStore::new(), gate: Barrier::new(2), groups: Mutex::default() });
    let committer = Committer::start(Arc::clone(&store) as Arc<dyn Store>);
    (store, committer)
}

#[test]
fn what_is_submitted_during_a_commit_is_the_next_group() {
    let (store, committer) = held();
    let (send, receive) = mpsc::channel();
    let submit = |n: usize| {
        let send = send.clone();
        committer.submit(puts([(n.to_string(), "x")]), Box::new(move |_| send.send(n).unwrap()));
    };
    submit(0);
    store.gate.wait();
    (1..=100).for_each(submit);
    assert!(receive.try_recv().is_err(), "nothing is acknowledged before its commit returns");
    store.gate.wait();
    assert_eq!(receive.recv(), Ok(0));
    store.gate.wait();
    store.gate.wait();
    assert!((1..=100).all(|n| receive.recv() == Ok(n)));
    assert_eq!(*store.groups.lock().unwrap(), [1, 100]);
}

#[test]
fn a_full_queue_makes_writers_wait_and_callbacks_never() {
    let (store, committer) = held();
    let committer = Arc::new(committer);
    let (done, finished) = mpsc::channel();
    committer.submit(puts([("first", "x")]), Box::new(|_| ()));
    store.gate.wait();
    // The queue is filled by bytes; the last of these does not fit.
    let large = limits::QUEUE_BYTES / 4;
    let waiting = Arc::new(AtomicUsize::new(0));
    let writer = thread::spawn({
        let (committer, waiting) = (Arc::clone(&committer), Arc::clone(&waiting));
        move || {
            for n in 0..5 {
                let (done, again) = (done.clone(), Arc::downgrade(&committer));
                let callback = move |_| {
                    if n == 4
                        && let Some(committer) = again.upgrade()
                    {
                        // On the committer's own thread: must not wait, whatever the queue holds.
                        for _ in 0..3 {
                            committer.submit(Batch::new(SHARD, 0), Box::new(|_| ()));
                        }
                        done.send(()).unwrap();
                    }
                };
                committer.submit(puts([(n.to_string(), vec![0; large])]), Box::new(callback));
                waiting.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    while waiting.load(Ordering::SeqCst) < 3 {
        thread::yield_now();
    }
    assert!(!writer.is_finished());
    assert!(waiting.load(Ordering::SeqCst) < 4, "a batch was let in above the bound");
    // Let everything through: a group holds one such batch.
    store.gate.wait();
    for _ in 0..5 {
        store.gate.wait();
        store.gate.wait();
    }
    finished.recv().unwrap();
    writer.join().unwrap();
}

#[test]
fn a_failed_commit_acknowledges_nothing_and_everything_after_it_fails() {
    for fault in [Fault::Refuse, Fault::TornBatch { ops: 1 }, Fault::LostFlush] {
        let (store, committer) = faulty();
        submit_and_wait(&committer, puts([("before", "x")])).unwrap();
        let (send, told) = mpsc::channel();
        committer.on_failure(move |error| send.send(error).unwrap());
        store.fail_commit(1, fault);
        assert!(!committer.failed());
        let failed = submit_and_wait(&committer, puts([("a", "1"), ("b", "1")]));
        assert!(matches!(failed, Err(StoreError::Io { .. })), "{failed:?}");
        assert!(committer.failed());
        assert!(matches!(told.recv(), Ok(StoreError::Io { .. })));
        for batch in [puts([("c", "1")]), Batch::new(SHARD, 0)] {
            let later = submit_and_wait(&committer, batch);
            assert!(matches!(later, Err(StoreError::Stopped { .. })), "{later:?}");
        }
        let (send, told) = mpsc::channel();
        committer.on_failure(move |error| send.send(error).unwrap());
        assert!(told.recv().is_ok(), "whoever asks after the failure is told too");
        store.power_cut();
        assert!(store.get(b"before").unwrap().is_some());
        assert!(store.get(b"c").unwrap().is_none());
    }
}

#[test]
fn a_refused_batch_harms_neither_its_group_nor_what_follows() {
    let (store, committer) = faulty();
    let shard = ShardId(2);
    let old = store.acquire_shard(shard).unwrap();
    store.acquire_shard(shard).unwrap();
    let mut stale = Batch::new(shard, old);
    stale.put("stale", "x");
    assert!(matches!(submit_and_wait(&committer, stale), Err(StoreError::Fenced { .. })));
    submit_and_wait(&committer, puts([("fresh", "x")])).unwrap();
    assert!(!committer.failed());
}

#[test]
fn a_panicking_callback_stops_nobody_else() {
    let (_store, committer) = faulty();
    committer.submit(puts([("a", "1")]), Box::new(|_| panic!("on purpose")));
    submit_and_wait(&committer, puts([("b", "1")])).unwrap();
}

#[test]
fn the_last_handle_may_be_dropped_by_a_callback() {
    let (_store, committer) = faulty();
    let committer = Arc::new(committer);
    let (send, receive) = mpsc::channel();
    let last = Arc::new(Mutex::new(Some(Arc::clone(&committer))));
    let (go, wait) = mpsc::channel::<()>();
    committer.submit(
        puts([("a", "1")]),
        Box::new(move |_| {
            wait.recv().unwrap();
            drop(last.lock().unwrap().take());
            send.send(()).unwrap();
        }),
    );
    drop(committer);
    go.send(()).unwrap();
    receive.recv().unwrap();
}
