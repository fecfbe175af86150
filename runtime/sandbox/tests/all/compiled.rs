//! Compiled code is loaded only as this server wrote it; anything else is compiled again.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use mainspring_sandbox::{Compiler, ModuleError, Sandbox, SandboxConfig, SandboxError};
use serde_json::json;

use crate::{
    support::{Run, puppet},
    uploads::describing,
};

/// A data directory with compiled modules in it.
struct Data(tempfile::TempDir);

impl Data {
    fn new() -> Data {
        Data(tempfile::tempdir().unwrap())
    }

    fn cache(&self) -> PathBuf {
        self.0.path().join("modules-cache")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("modules-cache.key")
    }

    fn config(&self) -> SandboxConfig {
        SandboxConfig { cache_dir: Some(self.cache()), ..SandboxConfig::default() }
    }

    fn open(&self) -> Sandbox {
        Sandbox::new(self.config()).unwrap()
    }

    /// One whose compiler never works: what it loads, it has found compiled.
    fn open_without_compiler(&self) -> Sandbox {
        let compiler = Compiler::Process { command: vec!["/bin/false".into()], memory_bytes: 1 << 30 };
        Sandbox::new(SandboxConfig { compiler, ..self.config() }).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(self.cache()).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }

    /// Loads a module and gives the file that it is compiled to.
    fn compile(&self, module: &[u8]) -> PathBuf {
        let before = self.files();
        self.open().load(module).unwrap();
        let new: Vec<_> = self.files().into_iter().filter(|file| !before.contains(file)).collect();
        assert_eq!(new.len(), 1, "{new:?}");
        new[0].clone()
    }

    /// That the file is not loaded as it is, and that it is compiled again to what it was.
    #[track_caller]
    fn compiles_again(&self, module: &[u8], file: &Path, whole: &[u8]) {
        let not_loaded = self.open_without_compiler().load(module);
        assert!(matches!(not_loaded, Err(ModuleError::Compile(_))), "{not_loaded:?}");
        self.open().load(module).unwrap();
        assert!(fs::read(file).unwrap() == whole, "compiled to something else");
        self.open_without_compiler().load(module).unwrap();
    }
}

fn tiny() -> Vec<u8> {
    describing("", "i32.const 16", "")
}

/// Another module with the same behaviour.
fn twin() -> Vec<u8> {
    describing("", "i32.const 16", "(func)")
}

#[test]
fn a_compiled_module_is_enough_to_run() {
    let data = Data::new();
    data.open().load(puppet()).unwrap();
    assert_eq!(fs::metadata(data.cache()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(data.key()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&data.files()[0]).unwrap().permissions().mode() & 0o777, 0o600);

    // A run of a server that has never seen the bytes and has no compiler.
    let mut run = Run::start(&data.open_without_compiler(), json!([]));
    run.task();
}

#[test]
fn a_damaged_or_truncated_one_is_compiled_again() {
    let data = Data::new();
    let file = data.compile(&tiny());
    let whole = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        flipped
    };
    let last = whole.len() - 1;
    for damaged in [
        b"".to_vec(),
        b"garbage".to_vec(),
        whole[..last].to_vec(),
        [whole.as_slice(), b"!"].concat(),
        // The form, the seal, the code.
        flipped(3),
        flipped(20),
        flipped(whole.len() / 2),
        flipped(last),
    ] {
        fs::write(&file, damaged).unwrap();
        data.compiles_again(&tiny(), &file, &whole);
    }
}

#[test]
fn one_of_another_module_is_compiled_again() {
    let data = Data::new();
    let (file, other) = (data.compile(&tiny()), data.compile(&twin()));
    let whole = fs::read(&file).unwrap();
    fs::copy(&other, &file).unwrap();
    data.compiles_again(&tiny(), &file, &whole);
}

#[test]
fn one_that_was_sealed_with_another_key_is_compiled_again() {
    let (data, attacker) = (Data::new(), Data::new());
    let file = data.compile(&tiny());
    let whole = fs::read(&file).unwrap();
    let forged = attacker.compile(&tiny());
    assert_eq!(forged.file_name(), file.file_name());
    let forged = fs::read(forged).unwrap();
    assert_eq!(forged[40..], whole[40..], "the same code; only the seal differs");
    assert_ne!(forged, whole);
    fs::write(&file, forged).unwrap();
    data.compiles_again(&tiny(), &file, &whole);
}

#[test]
fn a_lost_key_costs_a_compilation() {
    let data = Data::new();
    let file = data.compile(&tiny());
    fs::remove_file(data.key()).unwrap();
    let not_loaded = data.open_without_compiler().load(&tiny());
    assert!(matches!(not_loaded, Err(ModuleError::Compile(_))), "{not_loaded:?}");
    data.open().load(&tiny()).unwrap();
    let whole = fs::read(&file).unwrap();
    // The new key holds from now on.
    data.open_without_compiler().load(&tiny()).unwrap();
    fs::write(&file, b"garbage").unwrap();
    data.compiles_again(&tiny(), &file, &whole);
}

#[test]
fn what_is_no_file_is_compiled_anew_and_waited_for_by_nobody() {
    let data = Data::new();
    let file = data.compile(&tiny());
    let whole = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    data.compiles_again(&tiny(), &file, &whole);
}

#[test]
fn a_directory_that_others_could_write_to_is_closed() {
    let data = Data::new();
    data.compile(&tiny());
    fs::set_permissions(data.cache(), fs::Permissions::from_mode(0o777)).unwrap();
    // What is in it is still held against its seal.
    data.open_without_compiler().load(&tiny()).unwrap();
    assert_eq!(fs::metadata(data.cache()).unwrap().permissions().mode() & 0o777, 0o700);

    let file = data.0.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Sandbox::new(SandboxConfig { cache_dir: Some(file), ..data.config() }).err().unwrap();
    assert!(matches!(error, SandboxError::CacheDir { .. }), "{error}");
}
