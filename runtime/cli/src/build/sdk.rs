//! The files of the guest SDKs that this binary carries, as `build.rs` has collected them.

use std::{
    fs,
    path::{Path, PathBuf},
};

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

/// For those who work on the SDKs: the folder of a checkout of Mainspring, whose SDKs are used in place of those here.
const CHECKOUT_VARIABLE: &str = "MAINSPRING_SDK_CHECKOUT";

fn checkout() -> Option<PathBuf> {
    std::env::var_os(CHECKOUT_VARIABLE).filter(|checkout| !checkout.is_empty()).map(PathBuf::from)
}

/// Whether there is this SDK at all.
pub fn is_there(files: &[(&str, &[u8])]) -> bool {
    !files.is_empty() || checkout().is_some()
}

/// Where files of an SDK are, by their places in a checkout: unpacked below a folder, or in the checkout that is meant.
pub fn place(files: &[(&str, &[u8])], scratch: &Path) -> anyhow::Result<PathBuf> {
    match checkout() {
        Some(checkout) => Ok(checkout),
        None => unpack(files, scratch).map(|()| scratch.to_owned()),
    }
}
