//! Commits per second of the sled backend, beside a bare file that is appended to and fdatasynced, in one run.
//!
//! ```text
//! cargo run --release -p mainspring-store --example commit_bench -- [--json] [--seconds N] [--dir DIR]
//! ```
//!
//! Both sides run behind the same committer with as many writers. A writer submits a step of four changes (about
//! 1 KiB) and waits until it is durable before its next. The bare side is the least that any journal must do: what
//! it reaches is what the disk and the threads allow. Each side is measured three times for N seconds, in turns. The directory must be on a real disk: tmpfs measures nothing.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mainspring_store::{Batch, CommitResults, Committer, Key, Op, ShardId, SledOptions, Store, StoreError, open_sled};

const WRITERS: [usize; 4] = [1, 8, 64, 512];
/// Threads that prepare the writers' batches, as the shards of a server would.
const DRIVERS: usize = 2;
/// How often each side is measured, in turns.
const ROUNDS: usize = 3;
const HISTORY_BYTES: usize = 640;
const STATE_BYTES: usize = 256;
const TASK_BYTES: usize = 64;

fn main() {
    let mut json = false;
    let mut seconds = 1;
    let mut dir = std::env::temp_dir();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => json = true,
            "--seconds" => seconds = args.next().and_then(|text| text.parse().ok()).expect("a number of seconds"),
            "--dir" => dir = PathBuf::from(args.next().expect("a directory")),
            other => panic!("unknown argument {other}"),
        }
    }
    let duration = Duration::from_secs(seconds);
    println!(
        "{:>7} | {:>9} {:>7} {:>8} | {:>9} {:>7} {:>8} | {:>5} | {:>12}",
        "writers", "sled/s", "group", "p99 ms", "bare/s", "group", "p99 ms", "ratio", "disk/logical"
    );
    let mut lines = Vec::new();
    for writers in WRITERS {
        // In turns, because the disk and the machine are rarely alone.
        let (mut bare, mut sled) = (Measured::default(), Measured::default());
        for _ in 0..ROUNDS {
            bare.add(measure(&dir, writers, duration, |dir| Box::new(BareFile::create(dir))));
            sled.add(measure(&dir, writers, duration, |dir| {
                Box::new(open_sled(dir, SledOptions::default()).expect("a new store"))
            }));
        }
        let ratio = sled.per_second() / bare.per_second();
        println!(
            "{writers:>7} | {:>9.0} {:>7.1} {:>8.2} | {:>9.0} {:>7.1} {:>8.2} | {ratio:>5.2} | {:>12.1}",
            sled.per_second(),
            sled.group_size(),
            sled.p99_ms,
            bare.per_second(),
            bare.group_size(),
            bare.p99_ms,
            sled.disk_bytes as f64 / sled.logical_bytes as f64,
        );
        lines.push(format!(
            r#"{{"writers":{writers},"sled_per_s":{:.0},"bare_per_s":{:.0},"ratio":{ratio:.3},"sled_group":{:.1},"bare_group":{:.1},"sled_p99_ms":{:.2},"bare_p99_ms":{:.2},"disk_bytes":{},"logical_bytes":{}}}"#,
            sled.per_second(),
            bare.per_second(),
            sled.group_size(),
            bare.group_size(),
            sled.p99_ms,
            bare.p99_ms,
            sled.disk_bytes,
            sled.logical_bytes,
        ));
    }
    if json {
        println!("[{}]", lines.join(","));
    }
}

#[derive(Default)]
struct Measured {
    commits: u64,
    groups: u64,
    elapsed: Duration,
    p99_ms: f64,
    disk_bytes: u64,
    /// What the rows that remain come to.
    logical_bytes: u64,
}

impl Measured {
    fn add(&mut self, other: Measured) {
        self.commits += other.commits;
        self.groups += other.groups;
        self.elapsed += other.elapsed;
        self.p99_ms = self.p99_ms.max(other.p99_ms);
        self.disk_bytes += other.disk_bytes;
        self.logical_bytes += other.logical_bytes;
    }

    fn per_second(&self) -> f64 {
        self.commits as f64 / self.elapsed.as_secs_f64()
    }

    fn group_size(&self) -> f64 {
        self.commits as f64 / self.groups.max(1) as f64
    }
}

fn measure(base: &Path, writers: usize, duration: Duration, open: impl Fn(&Path) -> Box<dyn Store>) -> Measured {
    let dir = tempfile::tempdir_in(base).expect("a directory to measure in");
    let store = Arc::new(Counting { inner: open(dir.path()), groups: AtomicU64::new(0) });
    let committer = Committer::start(Arc::clone(&store) as Arc<dyn Store>);
    let latencies = Mutex::new(Vec::new());
    let commits = AtomicU64::new(0);
    let started = Instant::now();
    thread::scope(|scope| {
        for driver in 0..DRIVERS {
            let mine: Vec<usize> = (0..writers).filter(|writer| writer % DRIVERS == driver).collect();
            let (committer, latencies, commits) = (&committer, &latencies, &commits);
            scope.spawn(move || {
                let measured = drive(committer, &mine, started + duration);
                commits.fetch_add(measured.len() as u64, Ordering::Relaxed);
                latencies.lock().unwrap().extend(measured);
            });
        }
    });
    let elapsed = started.elapsed();
    drop(committer);
    let mut latencies = latencies.into_inner().unwrap();
    latencies.sort_unstable();
    let commits = commits.into_inner();
    Measured {
        commits,
        groups: store.groups.load(Ordering::Relaxed),
        elapsed,
        p99_ms: latencies[latencies.len() * 99 / 100].as_secs_f64() * 1e3,
        disk_bytes: size_of_dir(dir.path()),
        logical_bytes: commits * (HISTORY_BYTES as u64 + 32) + writers as u64 * (STATE_BYTES + TASK_BYTES + 48) as u64,
    }
}

/// Keeps each of the writers at one batch in flight until the time is up; the answer is how long each batch took.
fn drive(committer: &Committer, writers: &[usize], until: Instant) -> Vec<Duration> {
    type Event = (usize, u64, Instant);
    let (durable, events): (Sender<Event>, Receiver<Event>) = mpsc::channel();
    let submit = |writer: usize, step: u64| {
        let durable = durable.clone();
        let submitted = Instant::now();
        committer.submit(
            batch(writer, step),
            Box::new(move |result| {
                result.expect("a durable batch");
                let _ = durable.send((writer, step, submitted));
            }),
        );
    };
    writers.iter().for_each(|&writer| submit(writer, 0));
    let mut in_flight = writers.len();
    let mut latencies = Vec::new();
    while in_flight > 0 {
        let (writer, step, submitted) = events.recv().expect("an answer for each batch");
        let now = Instant::now();
        latencies.push(now - submitted);
        if now < until {
            submit(writer, step + 1);
        } else {
            in_flight -= 1;
        }
    }
    latencies
}

/// A step of a run: an event of its history, its state, its next task, and the end of the task before.
fn batch(writer: usize, step: u64) -> Batch {
    let mut batch = Batch::new(ShardId((writer % 64) as u16), 0);
    batch.put(format!("history/{writer:06}/{step:010}"), noise(writer, step, HISTORY_BYTES));
    batch.put(format!("state/{writer:06}"), noise(writer, step, STATE_BYTES));
    batch.put(format!("task/{writer:06}/{step:010}"), noise(writer, step, TASK_BYTES));
    batch.delete(format!("task/{writer:06}/{:010}", step.wrapping_sub(1)));
    batch
}

fn noise(writer: usize, step: u64, bytes: usize) -> Vec<u8> {
    let mut state = (writer as u64) << 32 | step | 1;
    let next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn size_of_dir(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("the directory").flatten();
    entries.map(|entry| entry.metadata().map_or(0, |metadata| metadata.len())).sum()
}

/// Counts the groups on their way to a store.
struct Counting {
    inner: Box<dyn Store>,
    groups: AtomicU64,
}

impl Store for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], reverse: bool, limit: usize) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.inner.scan(start, end, reverse, limit)
    }

    fn commit(&self, batches: &[Batch]) -> Result<CommitResults, StoreError> {
        self.inner.commit(batches)
    }

    fn apply(&self, batches: &[Batch]) -> Result<CommitResults, StoreError> {
        self.inner.apply(batches)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.inner.sync()
    }

    fn acquire_shard(&self, shard: ShardId) -> Result<u64, StoreError> {
        self.inner.acquire_shard(shard)
    }
}

/// The floor: the batches' bytes at the end of a file, and one fdatasync.
struct BareFile(File);

impl BareFile {
    fn create(dir: &Path) -> BareFile {
        BareFile(File::create(dir.join("bare")).expect("a file"))
    }
}

impl Store for BareFile {
    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        unreachable!("the bench only writes")
    }

    fn scan(&self, _: &[u8], _: &[u8], _: bool, _: usize) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        unreachable!("the bench only writes")
    }

    fn commit(&self, batches: &[Batch]) -> Result<CommitResults, StoreError> {
        let results = self.apply(batches)?;
        self.sync()?;
        Ok(results)
    }

    fn apply(&self, batches: &[Batch]) -> Result<CommitResults, StoreError> {
        let mut bytes = Vec::new();
        for op in batches.iter().flat_map(|batch| &batch.ops) {
            bytes.extend(op.key());
            if let Op::Put { value, .. } = op {
                bytes.extend(value);
            }
        }
        let mut file = &self.0;
        file.write_all(&bytes).expect("an appended group");
        Ok(vec![Ok(()); batches.len()])
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.0.sync_data().expect("an fdatasync");
        Ok(())
    }

    fn acquire_shard(&self, _: ShardId) -> Result<u64, StoreError> {
        Ok(0)
    }
}
