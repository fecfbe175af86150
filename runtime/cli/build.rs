//! Embeds what `mainspring build` and `mainspring new` need of the guest SDKs, so that the installed binary is enough.
//!
//! Writes `embedded.rs`: for each SDK a list of file names and their bytes.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The crates of the Rust SDK, by their folders in this repository.
const RUST_CRATES: [&str; 2] = ["guest-sdk/rust", "guest-sdk/rust/macros"];

fn main() -> Result {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut code = String::new();

    let wit = files(&root, "wit", "wit")?;
    write_list(&mut code, "WIT", &wit)?;
    let mut c = files(&root, "guest-sdk/c", "c")?;
    c.extend(files(&root, "guest-sdk/c", "h")?);
    write_list(&mut code, "C_SDK", &c)?;

    let mut rust = wit;
    let workspace: Table = fs::read_to_string(watched(&root, "Cargo.toml").1)?.parse()?;
    for folder in RUST_CRATES {
        rust.extend(files(&root, &format!("{folder}/src"), "rs")?);
        let manifest = fs::read_to_string(watched(&root, &format!("{folder}/Cargo.toml")).1)?;
        let path = out.join(format!("{}.toml", folder.replace('/', "-")));
        fs::write(&path, standalone(folder, &manifest, &workspace)?)?;
        rust.push((format!("{folder}/Cargo.toml"), path));
    }
    write_list(&mut code, "RUST_SDK", &rust)?;
    fs::write(out.join("embedded.rs"), code)?;
    Ok(())
}

/// A file of this repository, which is embedded again when it changes.
fn watched(root: &Path, name: &str) -> (String, PathBuf) {
    let path = root.join(name);
    println!("cargo:rerun-if-changed={}", path.display());
    (name.to_owned(), path)
}

/// The files below a folder that end in `.extension`, without those of unit tests.
fn files(root: &Path, folder: &str, extension: &str) -> Result<Vec<(String, PathBuf)>> {
    let (_, path) = watched(root, folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a file name is not UTF-8")?;
        let inside = format!("{folder}/{name}");
        if path.is_dir() && name != "tests" {
            found.extend(files(root, &inside, extension)?);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(watched(root, &inside));
        }
    }
    found.sort();
    Ok(found)
}

fn write_list(code: &mut String, name: &str, files: &[(String, PathBuf)]) -> Result {
    writeln!(code, "pub const {name}: &[(&str, &[u8])] = &[")?;
    for (name, path) in files {
        writeln!(code, "    ({name:?}, include_bytes!({:?})),", path.to_str().ok_or("a path is not UTF-8")?)?;
    }
    writeln!(code, "];")?;
    Ok(())
}

/// The manifest of a crate of this workspace, so that it says by itself what it takes from the workspace.
///
/// What only concerns work on the crate (its lints and what its tests depend on) is left out.
fn standalone(folder: &str, manifest: &str, workspace: &Table) -> Result<String> {
    let mut manifest: Table = manifest.parse()?;
    let of_workspace = |path: [&str; 2]| -> Result<&Value> {
        let found = workspace["workspace"].get(path[0]).and_then(|table| table.get(path[1]));
        found.ok_or_else(|| format!("the workspace has no {}", path.join(".")).into())
    };
    manifest.remove("lints");
    manifest.remove("dev-dependencies");
    for section in ["package", "dependencies"] {
        let table = manifest.get_mut(section).and_then(Value::as_table_mut).ok_or("a section is missing")?;
        for (name, value) in table.iter_mut() {
            let Some(own) = value.as_table().filter(|own| own.contains_key("workspace")) else { continue };
            let inherited = of_workspace([section, name])?.clone();
            let mut inherited = match inherited {
                Value::String(version) if section == "dependencies" => Table::from_iter([("version".into(), version.into())]),
                Value::Table(table) => table,
                other => {
                    *value = other;
                    continue;
                }
            };
            for (key, value) in own.iter().filter(|(key, _)| *key != "workspace") {
                inherited.insert(key.clone(), value.clone());
            }
            if let Some(path) = inherited.get_mut("path") {
                let below = path.as_str().and_then(|path| path.strip_prefix(&format!("{folder}/")));
                *path = Value::String(below.ok_or("a dependency is not below its dependent")?.to_owned());
            }
            *value = Value::Table(inherited);
        }
    }
    Ok(toml::to_string(&manifest)?)
}
