//! A backup of a store that is in use: all rows, as they are at one moment, while commits go on.
//!
//! Rows are read in key order, a page at a time, so that no page is of the moment of another. What makes them one
//! moment is the journal: from before the first page until after the last one every batch that becomes durable is
//! noted, too, and written into the stream behind the page that was read last. A change of a row that has been read is
//! thus in the stream behind it; one of a row that has not been read yet is in its page. Changes say what a row *is*
//! and not what happens to it, so whoever applies pages and changes in the stream's order ends with exactly the rows
//! that the store had when the journal was closed, which is after a barrier of the committer: each batch that was
//! acknowledged before the backup began is in it, and each batch is in it whole or not at all.
//!
//! Commits never wait for a backup. A reader that is slower than the commits loses its backup instead, once
//! [`limits::BACKUP_JOURNAL_BYTES`](crate::limits::BACKUP_JOURNAL_BYTES) of changes wait for it.

mod format;
mod journal;
mod restore;

use std::collections::VecDeque;
use std::sync::{Arc, mpsc};

pub use format::BackupInfo;
use format::Writer;
pub(crate) use journal::{Journal, JournalSlot};
pub use restore::{Restored, check_backup, restore};

use crate::{Batch, Committer, Key, Op, ShardId, Store, StoreError, limits, prefix_end};

/// A backup under way: an iterator over its bytes, of which the last ones say that it is complete. Each step blocks on
/// the disk. Dropped before its end it leaves nothing behind.
pub struct Backup {
    store: Arc<dyn Store>,
    committer: Arc<Committer>,
    journal: Arc<Journal>,
    writer: Writer,
    /// Where the next page begins; all rows before it have been read.
    start: Key,
    /// Written, and not taken yet.
    ready: VecDeque<Vec<u8>>,
    ended: bool,
}

impl Backup {
    /// Begins a backup of the store that the committer writes to.
    ///
    /// # Errors
    /// [`StoreError::BackupUnderWay`] while there is another one of the same committer.
    pub fn start(store: Arc<dyn Store>, committer: Arc<Committer>) -> Result<Backup, StoreError> {
        let journal = committer.keep_journal()?;
        // A group that was being applied when the journal began is not in it: it must be readable before the first page.
        wait_for_commits(&committer)?;
        let (writer, header) = Writer::start();
        Ok(Backup { store, committer, journal, writer, start: Key::new(), ready: [header].into(), ended: false })
    }

    fn step(&mut self) -> Result<(), StoreError> {
        let page = self.store.scan_some(&self.start, &prefix_end(&[]), limits::BACKUP_ROWS, limits::BACKUP_BYTES)?;
        let Some((last, _)) = page.last() else { return self.end() };
        // The smallest key behind it.
        self.start = [last, &[0][..]].concat();
        let rows = page.into_iter().map(|(key, value)| Op::Put { key, value }).collect();
        self.ready.push_back(self.writer.rows(rows));
        let mut changes = self.journal.take()?;
        changes.retain(|change| change.key() < &self.start[..]);
        self.write_changes(changes);
        Ok(())
    }

    /// All rows have been read: what the pages have seen becomes durable, and with it the journal is complete.
    fn end(&mut self) -> Result<(), StoreError> {
        wait_for_commits(&self.committer)?;
        let changes = self.journal.take()?;
        self.write_changes(changes);
        self.ready.push_back(self.writer.end());
        self.ended = true;
        Ok(())
    }

    fn write_changes(&mut self, changes: Vec<Op>) {
        if !changes.is_empty() {
            self.ready.push_back(self.writer.changes(changes));
        }
    }
}

impl Iterator for Backup {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.ended {
            if let Err(error) = self.step() {
                self.ended = true;
                self.ready.clear();
                return Some(Err(error));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

/// Waits until all that was handed to the committer before is durable.
fn wait_for_commits(committer: &Committer) -> Result<(), StoreError> {
    let (durable, wait) = mpsc::channel();
    let done = move |result| {
        // The receiver waits below.
        let _ = durable.send(result);
    };
    committer.submit(Batch::new(ShardId(0), 0), Box::new(done));
    wait.recv().unwrap_or_else(|_| Err(StoreError::Stopped { cause: "the committer has ended".into() }))
}
