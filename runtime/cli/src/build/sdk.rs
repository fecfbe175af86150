//! The files of the guest SDKs that this binary carries, as `build.rs` has collected them.

use std::{fs, path::Path};

use anyhow::Context as _;

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Writes files of an SDK below a folder.
pub fn unpack(files: &[(&str, &[u8])], folder: &Path) -> anyhow::Result<()> {
    for (name, bytes) in files {
        let path = folder.join(name);
        let context = || format!("cannot write {}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(context)?;
        }
        fs::write(&path, bytes).with_context(context)?;
    }
    Ok(())
}
