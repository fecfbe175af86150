//! The backend on disk: the only file that knows sled.
//!
//! sled 0.34.7 gives ordered rows and batches that recover whole. What it lacks is added around it:
//!
//! - **Durability.** Its `flush` ends in `sync_file_range`, which waits for neither the disk's cache nor the file's
//!   metadata: in simulated power cuts every write that it had acknowledged was lost. Each commit therefore ends in
//!   an fdatasync of our own, on a second descriptor of `db` that stays open, so that no failed write-back is missed
//!   because sled's background thread saw it first.
//! - **Integrity.** Its checksums cover its log, but recovery passes over a damaged part in silence. Each record has
//!   a checksum (`record.rs`), each commit writes what all records come to (`layout.rs`), and the last acknowledged
//!   commit is noted outside (`directory.rs`).
//! - **Containment.** It panics on some damaged files: every call into it is guarded.
//!
//! Its file is larger than its rows: measured, twice as large after appending, and five times (and steady) when 20 MiB
//! of rows were overwritten at random 1.4 million times; [`SledStore::disk_bytes`] tells. Its `mode` is not set, because
//! this version reads it nowhere.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use crate::directory::{Acknowledged, DatabaseId, Directory, RestoreMark};
use crate::layout::{self, State, chunk_key, row_key};
use crate::record::{Head, Record};
use crate::{
    Batch, CommitResults, Key, Op, ShardId, SledOptions, Store, StoreError, VerifyReport, limits, prefix_end,
    readable_key,
};

/// Rows on disk, in a directory of their own. One process at a time has it open.
pub struct SledStore {
    /// `None` only while it is dropped.
    db: Option<sled::Db>,
    /// The second descriptor of sled's file, for the fdatasync that sled does not do.
    data: File,
    /// Held by a reader over all its reads and by a commit while it applies, so that no reader sees half a batch.
    view: RwLock<()>,
    writer: Mutex<Writer>,
    syncer: Mutex<Syncer>,
    /// The number of the last commit that was applied. Changed only with `view` locked.
    applied: AtomicU64,
    /// Keeps sled's flush and a commit's changes of the tree apart: a flush would wait for a batch half way.
    log: Mutex<()>,
    /// Why the store has stopped, if it has.
    stopped: OnceLock<String>,
    options: SledOptions,
    /// Last, so that the lock is released after everything else is closed.
    dir: Directory,
}

/// What only the one who applies may touch.
struct Writer {
    epochs: HashMap<ShardId, u64>,
    state: State,
}

/// What only the one who syncs may touch.
struct Syncer {
    acknowledged: Acknowledged,
    synced_blobs: HashSet<OsString>,
}

/// Opens the database in `dir`, or creates it if the directory is new or empty.
///
/// # Errors
/// [`StoreError::Locked`] if another process has it; [`StoreError::Emptied`], [`StoreError::Mismatched`],
/// [`StoreError::Lost`] and [`StoreError::Corrupt`] if what is there is not what was acknowledged;
/// [`StoreError::Unfinished`] if a restore into it did not end;
/// [`StoreError::Version`] if a newer program wrote it.
pub fn open_sled(dir: &Path, options: SledOptions) -> Result<SledStore, StoreError> {
    RestoreMark::check(dir)?;
    open_unmarked(dir, options)
}

/// The same, in a directory that a restore is about to fill.
pub(crate) fn open_unmarked(dir: &Path, options: SledOptions) -> Result<SledStore, StoreError> {
    let dir = Directory::open(dir)?;
    let marker = dir.marker()?;
    if marker.is_some() && !dir.has_database()? {
        return Err(emptied(&dir, "the marker is there and the file `db` is missing or empty"));
    }
    dir.remove_unfinished_snapshots()?;
    let db = open_database(dir.path(), &options)?;
    let data_path = dir.database_path();
    let data = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&data_path)
        .map_err(|error| StoreError::io("open", &data_path, error))?;

    let id = match (marker, read_own(&db, layout::DATABASE_KEY)?) {
        (Some(marked), Some(id)) if marked == layout::database_id(&id)? => marked,
        (Some(marked), Some(id)) => {
            return Err(StoreError::Mismatched {
                what: format!("the marker names database {marked} and `db` is {}", layout::database_id(&id)?),
                dir: dir.path().to_owned(),
            });
        }
        (Some(_), None) => {
            return Err(emptied(&dir, "the marker is there and `db` recovers to nothing"));
        }
        (None, id) => create(&db, &data, &dir, id.as_deref())?,
    };
    // Recovery itself wrote a snapshot and renamed it; sled leaves the directory unsynced.
    dir.sync_all()?;

    let state = read_own(&db, layout::STATE_KEY)?
        .ok_or_else(|| StoreError::corrupt("the row that sums up the database is missing"))?;
    let state = State::decode(&state)?;
    let (acknowledged, last) = Acknowledged::open(&dir, id)?;
    if state.commit < last {
        return Err(StoreError::Lost { dir: dir.path().to_owned(), found: state.commit, acknowledged: last });
    }
    if state.commit > 0 && last == 0 {
        tracing::warn!(dir = %dir.path().display(), "the file mainspring.acknowledged was missing: lost commits would go unnoticed");
    }
    let store = SledStore {
        writer: Mutex::new(Writer { epochs: read_epochs(&db)?, state }),
        syncer: Mutex::new(Syncer { acknowledged, synced_blobs: dir.blobs()?.into_iter().collect() }),
        applied: AtomicU64::new(state.commit),
        log: Mutex::new(()),
        db: Some(db),
        data,
        view: RwLock::new(()),
        stopped: OnceLock::new(),
        options,
        dir,
    };
    if store.options.verify_on_open {
        store.verify()?.into_result()?;
    }
    Ok(store)
}

fn open_database(dir: &Path, options: &SledOptions) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(options.cache_bytes)
        .segment_size(limits::SEGMENT_BYTES)
        .flush_every_ms(Some(limits::BACKGROUND_FLUSH_MS));
    // A store that this process closed a moment ago may still be held by sled's own threads, which let go of the file
    // when they are through. It cannot be another process: that one would have our lock.
    let deadline = Instant::now() + limits::LINGERING_LOCK;
    loop {
        match guarded(b"", || config.open()) {
            Err(StoreError::Io { source, .. }) if source.to_string().contains("could not acquire lock") => {
                if Instant::now() > deadline {
                    return Err(StoreError::Locked { dir: dir.to_owned() });
                }
                thread::sleep(limits::LINGERING_LOCK / 500);
            }
            opened => return opened,
        }
    }
}

/// Makes a new database durable, and only then its marker. A creation that a crash cut short is finished here: until
/// the marker is there, nothing was acknowledged.
fn create(db: &sled::Db, data: &File, dir: &Directory, id: Option<&[u8]>) -> Result<DatabaseId, StoreError> {
    let state = read_own(db, layout::STATE_KEY)?.map(|state| State::decode(&state)).transpose()?;
    if state.is_some_and(|state| state.commit > 0) || (id.is_none() && !guarded(b"", || Ok(db.is_empty()))?) {
        return Err(StoreError::Mismatched {
            dir: dir.path().to_owned(),
            what: "`db` holds data and the marker `mainspring.marker` is missing".into(),
        });
    }
    let id = match id {
        Some(id) => layout::database_id(id)?,
        None => DatabaseId::new_v4(),
    };
    let id_record = Record::Inline(id.as_bytes()).encode(layout::DATABASE_KEY);
    let mut state = State::default();
    state.add(&id_record);
    let state_record = Record::Inline(&state.encode()).encode(layout::STATE_KEY);
    let mut batch = sled::Batch::default();
    batch.insert(layout::DATABASE_KEY, id_record);
    batch.insert(layout::STATE_KEY, state_record);
    guarded(b"", || db.apply_batch(batch).and_then(|()| db.flush()))?;
    data.sync_all().map_err(|error| StoreError::io("fsync", &dir.database_path(), error))?;
    Acknowledged::open(dir, id)?;
    dir.sync_all()?;
    dir.write_marker(id)?;
    Ok(id)
}

fn read_own(db: &sled::Db, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    match guarded(key, || db.get(key))? {
        Some(record) => inline(key, &record).map(Some),
        None => Ok(None),
    }
}

fn read_epochs(db: &sled::Db) -> Result<HashMap<ShardId, u64>, StoreError> {
    let rows = db.range(layout::EPOCH_PREFIX.to_vec()..prefix_end(layout::EPOCH_PREFIX));
    guarded(layout::EPOCH_PREFIX, || rows.collect::<sled::Result<Vec<_>>>())?
        .iter()
        .map(|(key, record)| {
            let shard = layout::shard_of_epoch_key(key)?;
            Ok((shard, layout::number(&inline(key, record)?)?))
        })
        .collect()
}

fn inline(key: &[u8], record: &[u8]) -> Result<Vec<u8>, StoreError> {
    match Record::decode(key, record)? {
        Record::Inline(value) => Ok(value.to_vec()),
        _ => Err(corrupt(key, "it should be a plain record")),
    }
}

impl SledStore {
    /// Bytes that the database takes on disk. sled's file is a few times larger than its rows.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.dir.used_bytes()
    }

    /// Reads every record and checks its version, its checksum, that each value's chunks are complete, and that all
    /// of them together are what the last commit left. Commits wait meanwhile.
    ///
    /// # Errors
    /// What is wrong with the data is in the report; an error means that the reading itself could not go on.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.check_running()?;
        let writer = self.writer.lock();
        let mut report = VerifyReport { commit: writer.state.commit, ..VerifyReport::default() };
        let mut found = State { commit: writer.state.commit, ..State::default() };
        let mut chunks_expected = 0;
        let mut records = self.db().iter();
        loop {
            let (key, record) = match guarded(b"", || records.next().transpose()) {
                Ok(Some(row)) => row,
                Ok(None) => break,
                // A page that cannot be read: what follows it cannot be found.
                Err(fault) => {
                    report.add_fault(fault);
                    return Ok(report);
                }
            };
            if key != layout::STATE_KEY {
                found.add(&record);
            }
            match self.verify_record(&key, &record, &mut report) {
                Ok(chunks) => chunks_expected += chunks,
                Err(fault) => report.add_fault(fault),
            }
        }
        if report.faults.is_empty() && report.chunks != chunks_expected {
            report.add_fault(StoreError::corrupt(format!(
                "there are {} chunk rows and the values need {chunks_expected}",
                report.chunks
            )));
        }
        if report.faults.is_empty() && found != writer.state {
            report.add_fault(StoreError::corrupt(format!(
                "rows are missing or older than the last commit left them: {} records with sum {:016x}, should be {} with sum {:016x}",
                found.records, found.sum, writer.state.records, writer.state.sum
            )));
        }
        Ok(report)
    }

    /// Checks one record and counts it; the answer is how many chunk rows its value needs.
    fn verify_record(&self, key: &[u8], record: &[u8], report: &mut VerifyReport) -> Result<u64, StoreError> {
        let decoded = Record::decode(key, record)?;
        match (key.split_first(), decoded) {
            (Some((&layout::ROW, row)), Record::Inline(value)) => {
                report.count_row(row, value.len());
                Ok(0)
            }
            (Some((&layout::ROW, row)), Record::Head(head)) => {
                report.count_row(row, self.assemble(row, head)?.len());
                Ok(head.chunks())
            }
            (Some((&layout::CHUNK, _)), Record::Chunk(_)) => {
                report.chunks += 1;
                Ok(0)
            }
            (Some((&layout::OWN, _)), Record::Inline(_)) => {
                report.shards += u64::from(key.starts_with(layout::EPOCH_PREFIX));
                Ok(0)
            }
            _ => Err(corrupt(key, "a record of this kind does not belong under this key")),
        }
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("it is there until the store is dropped")
    }

    fn check_running(&self) -> Result<(), StoreError> {
        match self.stopped.get() {
            None => Ok(()),
            Some(cause) => Err(StoreError::Stopped { cause: cause.clone() }),
        }
    }

    /// The value of a row's record.
    fn value(&self, key: &[u8], record: &[u8]) -> Result<Vec<u8>, StoreError> {
        let row = row_key(key);
        match Record::decode(&row, record)? {
            Record::Inline(value) => Ok(value.to_vec()),
            Record::Head(head) => self.assemble(key, head),
            Record::Chunk(_) => Err(corrupt(&row, "a chunk does not belong under this key")),
        }
    }

    fn assemble(&self, key: &[u8], head: Head) -> Result<Vec<u8>, StoreError> {
        let mut value = Vec::new();
        for index in 0..head.chunks() {
            let chunk_key = chunk_key(key, index);
            let record = guarded(&chunk_key, || self.db().get(&chunk_key))?
                .ok_or_else(|| corrupt(&chunk_key, "this chunk of a value is missing"))?;
            match Record::decode(&chunk_key, &record)? {
                Record::Chunk(part) => value.extend(part),
                _ => return Err(corrupt(&chunk_key, "it should be a chunk")),
            }
        }
        if Head::of(&value) == head {
            Ok(value)
        } else {
            Err(corrupt(&row_key(key), "the chunks of the value do not belong together"))
        }
    }

    /// Rows in order, at most `limit` of them and none after the one with which they come to `bytes`.
    fn read_rows(
        &self,
        start: &[u8],
        end: &[u8],
        reverse: bool,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.check_running()?;
        if end <= start {
            return Ok(Vec::new());
        }
        let _reading = self.view.read();
        let mut range = self.db().range(row_key(start)..row_key(end));
        let (mut rows, mut read) = (Vec::new(), 0);
        while rows.len() < limit && read < bytes {
            let next = guarded(start, || {
                let next = if reverse { range.next_back() } else { range.next() };
                next.transpose()
            })?;
            let Some((row, record)) = next else { break };
            let key = row[1..].to_vec();
            let value = self.value(&key, &record)?;
            read += key.len() + value.len();
            rows.push((key, value));
        }
        Ok(rows)
    }

    /// Applies the changes with the state that they lead to. The caller holds the writer's lock.
    fn apply_changes(&self, writer: &mut Writer, changes: Changes<'_>) -> Result<(), StoreError> {
        let (state, batch) = changes.finish();
        let _log = self.log.lock();
        let _applying = self.view.write();
        guarded(b"", || self.db().apply_batch(batch))?;
        writer.state = state;
        self.applied.store(state.commit, Ordering::SeqCst);
        Ok(())
    }

    /// Writes out what is applied, makes it durable, and notes that it is.
    fn sync_applied(&self) -> Result<(), StoreError> {
        let mut syncer = self.syncer.lock();
        let commit = {
            let _log = self.log.lock();
            guarded(b"", || self.db().flush())?;
            self.applied.load(Ordering::SeqCst)
        };
        self.sync_blobs(&mut syncer)?;
        self.data.sync_data().map_err(|error| StoreError::io("fdatasync", &self.dir.database_path(), error))?;
        syncer.acknowledged.write(commit)
    }

    /// Passes a write's result on, and stops the store if it failed for good.
    fn stop_on_failure<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.inspect_err(|error| {
            if !error.is_refusal() {
                let _ = self.stopped.set(error.to_string());
            }
        })
    }

    fn apply_batches(&self, batches: &[Batch]) -> Result<CommitResults, StoreError> {
        let mut writer = self.writer.lock();
        let results: CommitResults = batches
            .iter()
            .map(|batch| {
                batch.check_fence(writer.epochs.get(&batch.shard).copied())?;
                batch.check_limits()
            })
            .collect();
        // The last change of a key is all that has to be written: a run's state row is in each of its batches.
        let mut last: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
        let accepted = batches.iter().zip(&results).filter(|(_, result)| result.is_ok());
        for op in accepted.flat_map(|(batch, _)| &batch.ops) {
            let value = match op {
                Op::Put { value, .. } => Some(&value[..]),
                Op::Delete { .. } => None,
            };
            last.insert(op.key(), value);
        }
        if !last.is_empty() {
            let mut changes = Changes::new(self.db(), writer.state);
            for (key, value) in last {
                changes.change_row(key, value)?;
            }
            self.check_space(changes.bytes)?;
            self.apply_changes(&mut writer, changes)?;
        }
        Ok(results)
    }

    fn raise_epoch(&self, shard: ShardId) -> Result<u64, StoreError> {
        let mut writer = self.writer.lock();
        let epoch = writer.epochs.get(&shard).copied().unwrap_or(0) + 1;
        let mut changes = Changes::new(self.db(), writer.state);
        let (key, value) = (layout::epoch_key(shard), epoch.to_le_bytes());
        changes.put(&key, Record::Inline(&value))?;
        self.check_space(changes.bytes)?;
        self.apply_changes(&mut writer, changes)?;
        writer.epochs.insert(shard, epoch);
        Ok(epoch)
    }

    /// Syncs what sled put into files of its own, which the limits should prevent.
    fn sync_blobs(&self, syncer: &mut Syncer) -> Result<(), StoreError> {
        let present: HashSet<OsString> = self.dir.blobs()?.into_iter().collect();
        for name in present.difference(&syncer.synced_blobs) {
            tracing::warn!(?name, "sled wrote a tree node to a file of its own");
            self.dir.sync_blob(name)?;
        }
        syncer.synced_blobs = present;
        Ok(())
    }

    fn check_space(&self, bytes: u64) -> Result<(), StoreError> {
        let free_bytes = self.dir.free_bytes()?;
        let needed_bytes =
            self.options.free_bytes_min.saturating_add(bytes.saturating_mul(limits::WRITE_AMPLIFICATION));
        if free_bytes >= needed_bytes {
            return Ok(());
        }
        Err(StoreError::Full { dir: self.dir.path().to_owned(), free_bytes, needed_bytes })
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.check_running()?;
        let _reading = self.view.read();
        let row = row_key(key);
        match guarded(&row, || self.db().get(&row))? {
            Some(record) => self.value(key, &record).map(Some),
            None => Ok(None),
        }
    }

    fn scan(&self, start: &[u8], end: &[u8], reverse: bool, limit: usize) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.read_rows(start, end, reverse, limit, usize::MAX)
    }

    fn scan_some(
        &self,
        start: &[u8],
        end: &[u8],
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.read_rows(start, end, false, limit, bytes)
    }

    fn commit(&self, batches: &[Batch]) -> Result<CommitResults, StoreError> {
        let results = self.apply(batches)?;
        self.sync()?;
        Ok(results)
    }

    fn apply(&self, batches: &[Batch]) -> Result<CommitResults, StoreError> {
        self.check_running()?;
        self.stop_on_failure(self.apply_batches(batches))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.check_running()?;
        self.stop_on_failure(self.sync_applied())
    }

    fn acquire_shard(&self, shard: ShardId) -> Result<u64, StoreError> {
        self.check_running()?;
        let epoch = self.stop_on_failure(self.raise_epoch(shard))?;
        self.sync()?;
        Ok(epoch)
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if self.stopped.get().is_some() {
            // Closing sled flushes once more, and after a failure that may panic or never return. What is on disk
            // is all that counts now; the next process recovers from it.
            mem::forget(self.db.take());
            return;
        }
        let closed = guarded(b"", || {
            drop(self.db.take());
            Ok(())
        });
        let synced = closed.and_then(|()| self.syncer.lock().acknowledged.sync());
        if let Err(error) = synced {
            tracing::error!(%error, "closing the store failed; acknowledged data is safe");
        }
    }
}

/// Changes of records that are gathered for one commit, with the state that they lead to. Each key is changed once.
struct Changes<'a> {
    db: &'a sled::Db,
    state: State,
    batch: sled::Batch,
    bytes: u64,
}

impl<'a> Changes<'a> {
    fn new(db: &'a sled::Db, state: State) -> Changes<'a> {
        Changes { db, state, batch: sled::Batch::default(), bytes: 0 }
    }

    /// Writes (or with `None` removes) a row with all of its chunks.
    fn change_row(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let row = row_key(key);
        let (old, new_chunks) = match value {
            None => (self.delete(&row)?, 0),
            Some(value) if value.len() <= limits::CHUNK_BYTES => (self.put(&row, Record::Inline(value))?, 0),
            Some(value) => {
                let parts = value.chunks(limits::CHUNK_BYTES);
                let count = parts.len() as u64;
                for (index, part) in (0..).zip(parts) {
                    self.put(&chunk_key(key, index), Record::Chunk(part))?;
                }
                (self.put(&row, Record::Head(Head::of(value)))?, count)
            }
        };
        let old_chunks = match old.as_deref().map(|old| Record::decode(&row, old)).transpose()? {
            Some(Record::Head(head)) => head.chunks(),
            _ => 0,
        };
        for index in new_chunks..old_chunks {
            self.delete(&chunk_key(key, index))?;
        }
        Ok(())
    }

    fn put(&mut self, key: &[u8], record: Record<'_>) -> Result<Option<sled::IVec>, StoreError> {
        let record = record.encode(key);
        let old = self.forget(key)?;
        self.state.add(&record);
        self.bytes += (key.len() + record.len()) as u64;
        self.batch.insert(key, record);
        Ok(old)
    }

    fn delete(&mut self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        let old = self.forget(key)?;
        if old.is_some() {
            self.batch.remove(key);
        }
        Ok(old)
    }

    /// Takes what is under the key now out of the state.
    fn forget(&mut self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        let old = guarded(key, || self.db.get(key))?;
        if let Some(old) = &old {
            self.state.remove(old);
        }
        Ok(old)
    }

    fn finish(mut self) -> (State, sled::Batch) {
        self.state.commit += 1;
        let record = Record::Inline(&self.state.encode()).encode(layout::STATE_KEY);
        self.batch.insert(layout::STATE_KEY, record);
        (self.state, self.batch)
    }
}

/// Runs a call into sled: its errors and its panics become ours, at the key.
fn guarded<T>(key: &[u8], call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => Err(StoreError::io("read or write", Path::new("db"), error)),
        Ok(Err(error)) => Err(corrupt(key, &format!("the database says: {error}"))),
        Err(panic) => {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(corrupt(key, &format!("the database panicked: {message}")))
        }
    }
}

fn corrupt(key: &[u8], what: &str) -> StoreError {
    StoreError::Corrupt { key: readable_key(key), what: what.to_owned() }
}

fn emptied(dir: &Directory, what: &str) -> StoreError {
    StoreError::Emptied { dir: dir.path().to_owned(), what: what.to_owned() }
}
