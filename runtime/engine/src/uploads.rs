//! Uploads that can be resumed: what has come of a module is kept in parts, until it is whole.
//!
//! A part is durable when the next one is asked for. An upload that breaks off leaves its parts, of a namespace only the
//! latest few, and for a day; who begins to upload the same module again is told where to go on. Nobody profits from what
//! another namespace has uploaded: who knows a digest need not have the module.

use std::{collections::HashMap, sync::Arc};

use mainspring_core::{Rejection, Time};
use mainspring_sandbox::Digest;
use mainspring_store::prefix_end;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Engine, EngineError, Module, clock, keys, limits,
    rows::{PartialRow, decode},
    run::for_each_row,
};

/// The uploads under way: one for a module of a namespace.
#[derive(Default)]
pub struct Uploads {
    under_way: Mutex<HashMap<(Uuid, Digest), UnderWay>>,
}

struct UnderWay {
    /// The one that writes the parts.
    writer: Arc<tokio::sync::Mutex<()>>,
    /// Canceled when another call goes on with the same upload: the one before has lost its client, most likely.
    taken_over: CancellationToken,
}

/// An upload under way.
pub struct Upload {
    engine: Engine,
    namespace: Uuid,
    namespace_name: String,
    digest: Digest,
    size_bytes: u64,
    /// What is durable.
    received_bytes: u64,
    /// What has come since.
    buffer: Vec<u8>,
    slot: Slot,
    _writer: OwnedMutexGuard<()>,
}

/// An entry among the uploads under way, until it is let go or taken over.
struct Slot {
    engine: Engine,
    of: (Uuid, Digest),
    taken_over: CancellationToken,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // One that has been taken over has no entry any more: it is the other one's.
        let mut under_way = self.engine.shared().modules.uploads.under_way.lock();
        if !self.taken_over.is_cancelled() {
            under_way.remove(&self.of);
        }
    }
}

/// What a client is told that wants to upload.
pub enum Begun {
    /// The namespace has the module.
    Known(Box<Module>),
    Upload(Box<Upload>),
}

impl Engine {
    /// Begins an upload, or goes on with one that has broken off. Another call that uploads the same module to the same
    /// namespace is cut off.
    pub async fn begin_upload(&self, namespace: &str, digest: Digest, size_bytes: u64) -> Result<Begun, EngineError> {
        let shared = self.shared();
        let id = shared.namespaces.id(namespace)?;
        if let Some(module) = shared.modules.module(id, &digest)? {
            return Ok(Begun::Known(Box::new(module)));
        }
        let taken_over = CancellationToken::new();
        let writer = {
            let mut under_way = shared.modules.uploads.under_way.lock();
            let before = under_way.remove(&(id, digest));
            let writer = before.map_or_else(Arc::default, |before| {
                before.taken_over.cancel();
                before.writer
            });
            let own = UnderWay { writer: Arc::clone(&writer), taken_over: taken_over.clone() };
            under_way.insert((id, digest), own);
            writer
        };
        let slot = Slot { engine: self.clone(), of: (id, digest), taken_over };
        let mut upload = Upload {
            engine: self.clone(),
            namespace: id,
            namespace_name: namespace.to_owned(),
            digest,
            size_bytes,
            received_bytes: 0,
            buffer: Vec::new(),
            slot,
            // When the one before has written what it had.
            _writer: writer.lock_owned().await,
        };
        self.forget_partial_uploads(id, limits::PARTIAL_UPLOADS - 1).await?;
        let key = keys::partial(id, &digest);
        if let Some(row) = shared.store.get(&key)? {
            let row: PartialRow = decode("partial upload", &key, &row)?;
            match row.size_bytes == size_bytes {
                true => upload.received_bytes = row.received_bytes,
                // One of the two was wrong: this one may be right.
                false => upload.give_up().await?,
            }
        }
        Ok(Begun::Upload(Box::new(upload)))
    }

    /// Deletes what is left of uploads that nobody has gone on with for a day, in all namespaces.
    pub async fn expire_uploads(&self) -> Result<(), EngineError> {
        for namespace in self.shared().namespaces.ids() {
            self.forget_partial_uploads(namespace, limits::PARTIAL_UPLOADS).await?;
        }
        Ok(())
    }

    /// Keeps the latest of a namespace's broken-off uploads, at most so many, and none that is too old.
    async fn forget_partial_uploads(&self, namespace: Uuid, keep: usize) -> Result<(), EngineError> {
        let shared = self.shared();
        let mut partials: Vec<(Time, Digest)> = Vec::new();
        let prefix = keys::partials(namespace);
        for_each_row(&*shared.store, &prefix, &prefix_end(&prefix), |key, value| {
            let row: PartialRow = decode("partial upload", key, value)?;
            partials.extend(keys::read_digest(key).map(|digest| (Time(row.touched), digest)));
            Ok(())
        })?;
        {
            let under_way = shared.modules.uploads.under_way.lock();
            partials.retain(|(_, digest)| !under_way.contains_key(&(namespace, *digest)));
        }
        partials.sort_by_key(|(touched, _)| std::cmp::Reverse(*touched));
        let now = clock::now();
        let kept =
            partials.iter().take(keep).take_while(|(touched, _)| now < touched.after(limits::PARTIAL_UPLOAD_KEPT));
        for (_, digest) in &partials[kept.count()..] {
            let mut batch = self.home_batch();
            self.write_end_of_upload(namespace, digest, &mut batch)?;
            self.commit(batch).await?;
        }
        Ok(())
    }
}

impl Upload {
    /// Where the client is to go on, in bytes from the beginning.
    pub fn offset(&self) -> u64 {
        self.received_bytes + self.buffer.len() as u64
    }

    /// What is durable, in bytes from the beginning: a client that breaks off goes on here at the latest.
    pub fn durable(&self) -> u64 {
        self.received_bytes
    }

    /// Resolves when another call goes on with the upload.
    pub async fn taken_over(&self) {
        self.slot.taken_over.cancelled().await;
    }

    /// Takes the next bytes. Each part that is full is durable before this returns.
    pub async fn append(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        if self.offset() + bytes.len() as u64 > self.size_bytes {
            let message = format!("the upload has more than the {} bytes that it said it has", self.size_bytes);
            return Err(Rejection::InvalidArgument(message).into());
        }
        self.buffer.extend_from_slice(bytes);
        match self.buffer.len() >= limits::UPLOAD_PART_BYTES {
            true => self.write_part().await,
            false => Ok(()),
        }
    }

    async fn write_part(&mut self) -> Result<(), EngineError> {
        let part = std::mem::take(&mut self.buffer);
        let received_bytes = self.received_bytes + part.len() as u64;
        let row = PartialRow { size_bytes: self.size_bytes, received_bytes, touched: clock::now().0 };
        let mut batch = self.engine.home_batch();
        batch.put(keys::part(self.namespace, &self.digest, self.received_bytes), part);
        batch.put(keys::partial(self.namespace, &self.digest), row.encode_to_vec());
        self.engine.commit(batch).await?;
        self.received_bytes = received_bytes;
        Ok(())
    }

    /// The upload has broken off: what has come is kept.
    pub async fn break_off(mut self) -> Result<(), EngineError> {
        match self.buffer.is_empty() {
            true => Ok(()),
            false => self.write_part().await,
        }
    }

    /// Forgets what has come.
    async fn give_up(&mut self) -> Result<(), EngineError> {
        let mut batch = self.engine.home_batch();
        self.engine.write_end_of_upload(self.namespace, &self.digest, &mut batch)?;
        self.received_bytes = 0;
        self.engine.commit(batch).await
    }

    /// The client has sent everything: the module is taken, or refused. Nothing is kept of one that is refused for what it
    /// is.
    pub async fn finish(mut self, identity: &str) -> Result<Module, EngineError> {
        if self.offset() < self.size_bytes {
            let (has, wants) = (self.offset(), self.size_bytes);
            self.break_off().await?;
            let message = format!(
                "The upload is truncated: it has {has} of the {wants} bytes that it said it has. They are kept: upload \
                 the module again to go on."
            );
            return Err(Rejection::InvalidArgument(message).into());
        }
        let bytes = self.whole().await?;
        let taken = self.engine.take_module(&self.namespace_name, Some(self.digest), bytes, identity).await;
        let may_heal = matches!(&taken, Err(error) if error.is_transient());
        if may_heal {
            self.break_off().await?;
        } else if self.received_bytes > 0 {
            self.give_up().await?;
        }
        taken
    }

    async fn whole(&self) -> Result<Vec<u8>, EngineError> {
        if self.received_bytes == 0 {
            return Ok(self.buffer.clone());
        }
        let (shared, prefix) = (Arc::clone(self.engine.shared()), keys::parts(self.namespace, &self.digest));
        let size = usize::try_from(self.size_bytes).unwrap_or_default();
        let read = tokio::task::spawn_blocking(move || -> Result<Vec<u8>, EngineError> {
            let mut bytes = Vec::with_capacity(size);
            for_each_row(&*shared.store, &prefix, &prefix_end(&prefix), |_, part| {
                bytes.extend_from_slice(part);
                Ok(())
            })?;
            Ok(bytes)
        });
        let mut bytes = read.await.map_err(|error| EngineError::Unavailable(error.to_string()))??;
        bytes.extend_from_slice(&self.buffer);
        Ok(bytes)
    }
}
