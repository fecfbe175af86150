//! From a backup to a data directory.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use super::format::{BackupInfo, Next, Reader};
use crate::directory::RestoreMark;
use crate::sled::open_unmarked;
use crate::{Batch, ShardId, SledOptions, Store, StoreError, VerifyReport, limits};

/// What a restored directory holds.
#[derive(Debug, Clone)]
pub struct Restored {
    pub backup: BackupInfo,
    /// Of all records of the new database, read once more.
    pub records: VerifyReport,
}

/// Reads a backup to its end and checks that it is complete and as it was written.
///
/// # Errors
/// [`StoreError::BadBackup`] says what is wrong; [`StoreError::Version`] if a newer program wrote it.
pub fn check_backup(file: &Path) -> Result<BackupInfo, StoreError> {
    read(file, |_| Ok(()))
}

/// Makes a new database in `dir`, which must be empty or not there, with the rows of a backup. The backup is read to
/// its end and checked before anything is written, and what was written is read again and checked.
///
/// Until it has finished the directory carries a mark, with which no store opens.
///
/// # Errors
/// Those of [`check_backup`]; [`StoreError::NotEmpty`]; whatever writing to a store can say.
pub fn restore(file: &Path, dir: &Path, options: SledOptions) -> Result<Restored, StoreError> {
    check_empty(dir)?;
    check_backup(file)?;
    let mark = RestoreMark::set(dir)?;
    let store = open_unmarked(dir, SledOptions { verify_on_open: false, ..options })?;
    let mut waiting = Batch::new(ShardId(0), 0);
    let backup = read(file, |ops| {
        waiting.ops.extend(ops);
        if waiting.byte_size() < limits::GROUP_BYTES {
            return Ok(());
        }
        commit(&store, &mut waiting)
    })?;
    commit(&store, &mut waiting)?;
    let records = store.verify()?.into_result()?;
    drop(store);
    mark.remove()?;
    Ok(Restored { backup, records })
}

fn read(file: &Path, mut each: impl FnMut(Vec<crate::Op>) -> Result<(), StoreError>) -> Result<BackupInfo, StoreError> {
    let input = File::open(file).map_err(|error| StoreError::io("open", file, error))?;
    let mut reader = Reader::start(BufReader::with_capacity(limits::BACKUP_BYTES, input))?;
    loop {
        match reader.next()? {
            Next::Ops(ops) => each(ops)?,
            Next::End(info) => return Ok(info),
        }
    }
}

/// Commits the batch in pieces below the limit of one, and leaves it empty.
fn commit(store: &dyn Store, batch: &mut Batch) -> Result<(), StoreError> {
    let mut piece = Batch::new(batch.shard, batch.epoch);
    let mut bytes = 0;
    let mut pieces = Vec::new();
    for op in batch.ops.drain(..) {
        let size = op.byte_size();
        if bytes > 0 && bytes + size > limits::GROUP_BYTES {
            let next = Batch::new(batch.shard, batch.epoch);
            pieces.push(std::mem::replace(&mut piece, next));
            bytes = 0;
        }
        bytes += size;
        piece.ops.push(op);
    }
    pieces.push(piece);
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        store.commit(&[piece])?.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(())
}

fn check_empty(dir: &Path) -> Result<(), StoreError> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(StoreError::NotEmpty { dir: dir.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("read", dir, error)),
    }
}
