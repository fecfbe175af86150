//! The key that secrets are sealed with: a file of its own beside the journal, for the server's user alone.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, anyhow, ensure};
use mainspring_engine::SecretKey;

const FILE: &str = "secrets.key";
const KEY_BYTES: usize = 32;

/// Reads the key of a data directory; makes one where there is none.
pub(crate) fn load(data_dir: &Path) -> anyhow::Result<SecretKey> {
    let path = data_dir.join(FILE);
    match fs::metadata(&path) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode();
            ensure!(
                mode & 0o077 == 0,
                "the key of the stored secrets, {}, may be read by others: give it mode 600",
                path.display()
            );
            read(&path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = SecretKey::generate();
            write(data_dir, &key)
                .with_context(|| format!("the key for secrets, {}, cannot be written", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("the key of the stored secrets, {}", path.display())),
    }
}

fn read(path: &Path) -> anyhow::Result<SecretKey> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("the key of the stored secrets, {}, cannot be read", path.display()))?;
    let key = hex::decode(text.trim()).ok().and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
    key.map(SecretKey::new)
        .ok_or_else(|| anyhow!("{} is no key: it holds {} hexadecimal digits", path.display(), 2 * KEY_BYTES))
}

/// Durable before the first secret is sealed with it.
fn write(data_dir: &Path, key: &SecretKey) -> io::Result<()> {
    let temporary = data_dir.join(format!("{FILE}.new"));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    writeln!(file, "{}", hex::encode(key.as_bytes()))?;
    file.sync_all()?;
    fs::rename(&temporary, data_dir.join(FILE))?;
    fs::File::open(data_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let key = load(dir.path()).unwrap();
        assert_eq!(load(dir.path()).unwrap(), key);
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        load(dir.path()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("mode 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("64 hexadecimal digits"));
    }
}
