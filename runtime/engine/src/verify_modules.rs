//! Checks modules and deployments: the bytes against their digests, and that nothing names a module that is not there.

use std::collections::HashSet;

use mainspring_sandbox::Digest;
use mainspring_store::readable_key;
use uuid::Uuid;

use crate::{
    EngineError, keys,
    rows::{DeploymentRow, ModuleRow, PartialRow, UploadRow, decode},
    verify::Check,
    versions::Versions,
};

impl Check<'_> {
    pub fn modules(&mut self) -> Result<(), EngineError> {
        let mut whole = HashSet::new();
        for key in self.rows(b'i')? {
            match self.module(&key) {
                Ok(digest) => drop(whole.insert(digest)),
                Err(error) => self.problem(format!("module {}: {error}", readable_key(&key))),
            }
        }
        let mut had = HashSet::new();
        for key in self.rows(b'u')? {
            match self.upload(&key) {
                Ok((namespace, digest)) if whole.contains(&digest) => drop(had.insert((namespace, digest))),
                Ok((_, digest)) => self.problem(format!("upload {}: no module {digest}", readable_key(&key))),
                Err(error) => self.problem(format!("upload {}: {error}", readable_key(&key))),
            }
        }
        let mut needed: Vec<_> = self.expected.modules.iter().copied().collect();
        needed.sort();
        for (namespace, digest) in needed {
            if !had.contains(&(namespace, digest)) {
                self.problem(format!("module {digest}: open runs of namespace {namespace} need it, and it is missing"));
            }
        }
        for key in self.rows(b'd')? {
            match self.deployment(&key, &had) {
                Ok(None) => {}
                Ok(Some(missing)) => self.problem(format!("deployment {}: no module {missing}", readable_key(&key))),
                Err(error) => self.problem(format!("deployment {}: {error}", readable_key(&key))),
            }
        }
        for key in self.rows(b'y')? {
            if let Err(error) = self.partial(&key) {
                self.problem(format!("partial upload {}: {error}", readable_key(&key)));
            }
        }
        Ok(())
    }

    fn module(&self, key: &[u8]) -> Result<Digest, EngineError> {
        let row: ModuleRow = decode("module", key, &self.store.get(key)?.unwrap_or_default())?;
        let digest = crate::versions::digest(&key[1..])?;
        let bytes = self.store.get(&keys::module_bytes(&digest))?;
        let bytes = bytes.ok_or_else(|| EngineError::Damaged("its bytes are missing".into()))?;
        let found = Digest::of(&bytes);
        match found == digest && bytes.len() as u64 == row.size_bytes {
            true => Ok(digest),
            false => Err(EngineError::Damaged(format!("its bytes are those of module {found}"))),
        }
    }

    fn upload(&self, key: &[u8]) -> Result<(Uuid, Digest), EngineError> {
        let _: UploadRow = decode("upload", key, &self.store.get(key)?.unwrap_or_default())?;
        namespace(key).zip(keys::read_digest(key)).ok_or_else(|| EngineError::Damaged("the key".into()))
    }

    /// The first module that the deployment has and the namespace has not.
    fn deployment(&self, key: &[u8], had: &HashSet<(Uuid, Digest)>) -> Result<Option<Digest>, EngineError> {
        let row: DeploymentRow = decode("deployment", key, &self.store.get(key)?.unwrap_or_default())?;
        let namespace = namespace(key).ok_or_else(|| EngineError::Damaged("the key".into()))?;
        let versions = Versions::from_row(row)?;
        let mut digests = versions.list().iter().map(|version| version.digest);
        Ok(digests.find(|digest| !had.contains(&(namespace, *digest))))
    }

    fn partial(&self, key: &[u8]) -> Result<(), EngineError> {
        let row: PartialRow = decode("partial upload", key, &self.store.get(key)?.unwrap_or_default())?;
        let of = namespace(key).zip(keys::read_digest(key));
        let (namespace, digest) = of.ok_or_else(|| EngineError::Damaged("the key".into()))?;
        let mut received = 0;
        while received < row.received_bytes {
            match self.store.get(&keys::part(namespace, &digest, received))? {
                Some(part) if !part.is_empty() => received += part.len() as u64,
                _ => return Err(EngineError::Damaged(format!("the part at {received} is missing"))),
            }
        }
        Ok(())
    }
}

fn namespace(key: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(key.get(1..17)?).ok()
}
