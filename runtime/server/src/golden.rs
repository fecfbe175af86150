//! Pages under docs/ that are written by tests.

use std::{fs, path::Path};

/// Compares a page with what it should be; with MAINSPRING_WRITE_GOLDENS=1 it is written anew.
#[track_caller]
pub(crate) fn check(page: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
    if std::env::var_os("MAINSPRING_WRITE_GOLDENS").is_some() {
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{page} is stale: `MAINSPRING_WRITE_GOLDENS=1 cargo test --workspace --lib the_page` writes it anew. It should be\n{expected}"
    );
}
