//! The journal of a backup: what became durable since it was asked last.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::{Op, StoreError, limits};

/// Changes on their way from the committer into a backup.
#[derive(Default)]
pub(crate) struct Journal {
    changes: Mutex<Changes>,
}

#[derive(Default)]
struct Changes {
    ops: Vec<Op>,
    bytes: usize,
    overflowed: bool,
}

impl Journal {
    pub(crate) fn note(&self, ops: Vec<Op>) {
        let mut changes = self.changes.lock();
        changes.bytes += ops.iter().map(Op::byte_size).sum::<usize>();
        changes.overflowed |= changes.bytes > limits::BACKUP_JOURNAL_BYTES;
        if changes.overflowed {
            changes.ops = Vec::new();
        } else {
            changes.ops.extend(ops);
        }
    }

    /// What was noted since the last call, in the order of the commits.
    pub(crate) fn take(&self) -> Result<Vec<Op>, StoreError> {
        let mut changes = self.changes.lock();
        if changes.overflowed {
            return Err(StoreError::BackupTooSlow { bytes: limits::BACKUP_JOURNAL_BYTES });
        }
        Ok(std::mem::take(&mut *changes).ops)
    }
}

/// Where the committer finds the journal of the backup under way, if there is one.
#[derive(Default)]
pub(crate) struct JournalSlot(Mutex<Weak<Journal>>);

impl JournalSlot {
    /// Begins a journal; it lasts until the backup lets go of it.
    pub(crate) fn begin(&self) -> Result<Arc<Journal>, StoreError> {
        let mut slot = self.0.lock();
        if slot.strong_count() > 0 {
            return Err(StoreError::BackupUnderWay);
        }
        let journal = Arc::default();
        *slot = Arc::downgrade(&journal);
        Ok(journal)
    }

    pub(crate) fn current(&self) -> Option<Arc<Journal>> {
        self.0.lock().upgrade()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(bytes: usize) -> Vec<Op> {
        vec![Op::Put { key: b"k".to_vec(), value: vec![0; bytes - 1] }]
    }

    #[test]
    fn what_is_not_fetched_in_time_ends_the_backup_and_not_the_memory() {
        let journal = Journal::default();
        journal.note(change(limits::BACKUP_JOURNAL_BYTES));
        assert_eq!(journal.take().unwrap().len(), 1);
        journal.note(change(limits::BACKUP_JOURNAL_BYTES));
        journal.note(change(1));
        assert!(journal.changes.lock().ops.is_empty());
        assert!(matches!(journal.take(), Err(StoreError::BackupTooSlow { .. })));
    }

    #[test]
    fn a_second_journal_begins_when_the_first_is_let_go() {
        let slot = JournalSlot::default();
        assert!(slot.current().is_none());
        let first = slot.begin().unwrap();
        assert!(matches!(slot.begin(), Err(StoreError::BackupUnderWay)));
        drop(first);
        assert!(slot.current().is_none());
        slot.begin().unwrap();
    }
}
