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

use toml_edit::{DocumentMut, InlineTable, Item, Value};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The crates of the Rust SDK, by their folders in this repository.
const RUST_CRATES: [&str; 2] = ["guest-sdk/rust", "guest-sdk/rust/macros"];

fn main() -> Result {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut code = String::new();

    let mut wit = files(&root, "wit", "wit")?;
    // A package of its own, which no language but Rust has a use for yet; its SDK is not among the embedded ones.
    wit.retain(|(name, _)| !name.starts_with("wit/activity/"));
    write_list(&mut code, "WIT", &wit)?;
    let mut c = files(&root, "guest-sdk/c", "c")?;
    c.extend(files(&root, "guest-sdk/c", "h")?);
    write_list(&mut code, "C_SDK", &c)?;
    let mut go = Vec::new();
    for extension in ["go", "s", "mod"] {
        go.extend(files(&root, "guest-sdk/go", extension)?);
    }
    go.retain(|(name, _)| !name.ends_with("_test.go"));
    write_list(&mut code, "GO_SDK", &go)?;

    let python = [files(&root, "guest-sdk/python", "py")?, files(&root, "guest-sdk/python", "txt")?].concat();
    write_list(&mut code, "PYTHON_SDK", &python)?;
    let mut js = Vec::new();
    for (folder, extension) in [("src", "ts"), ("src", "mjs"), ("build", "mjs"), ("dist", "wasm")] {
        js.extend(files(&root, &format!("guest-sdk/js/{folder}"), extension)?);
    }
    js.extend((!js.is_empty()).then(|| watched(&root, "guest-sdk/js/package.json")));
    write_list(&mut code, "JS_SDK", &js)?;

    let mut rust = wit;
    let workspace: DocumentMut = fs::read_to_string(watched(&root, "Cargo.toml").1)?.parse()?;
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

/// The files below a folder that end in `.extension`, without those of unit tests and of installed packages.
fn files(root: &Path, folder: &str, extension: &str) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    if !root.join(folder).is_dir() {
        // An SDK that is not there, or the engine that is built for one: what needs it says so. Cargo takes a path that
        // is missing for one that has changed, so it is told of what would hold it.
        let there =
            Path::new(folder).ancestors().find(|above| root.join(above).is_dir()).ok_or("no folder is there")?;
        println!("cargo:rerun-if-changed={}", root.join(there).display());
        return Ok(found);
    }
    let (_, path) = watched(root, folder);
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a file name is not UTF-8")?;
        let inside = format!("{folder}/{name}");
        if path.is_dir() && name != "tests" && name != "node_modules" {
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
fn standalone(folder: &str, manifest: &str, workspace: &DocumentMut) -> Result<String> {
    let mut manifest: DocumentMut = manifest.parse()?;
    manifest.remove("lints");
    manifest.remove("dev-dependencies");
    for section in ["package", "dependencies"] {
        let inherited = &workspace["workspace"][section];
        let table = manifest[section].as_table_like_mut().ok_or("a section is missing")?;
        let names: Vec<_> = table.iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            let Some(own) = table.get(&name).and_then(Item::as_table_like) else { continue };
            if own.get("workspace").is_none() {
                continue;
            }
            let more: Vec<_> = own.iter().filter(|(key, _)| *key != "workspace").collect();
            let found =
                inherited.get(&name).and_then(Item::as_value).ok_or("the workspace lacks what a crate inherits")?;
            let mut value = match found {
                Value::String(version) if section == "dependencies" => {
                    Value::InlineTable(InlineTable::from_iter([("version", version.value().as_str())]))
                }
                other => other.clone(),
            };
            if let Some(value) = value.as_inline_table_mut() {
                for (key, item) in more {
                    value.insert(key, item.as_value().cloned().ok_or("a dependency is no table of values")?);
                }
                if let Some(path) = value.get_mut("path") {
                    let below = path.as_str().and_then(|path| path.strip_prefix(&format!("{folder}/")));
                    *path = below.ok_or("a dependency is not below its dependent")?.into();
                }
            }
            table.insert(&name, Item::Value(value));
        }
    }
    Ok(manifest.to_string())
}
