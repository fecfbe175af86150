//! Makes a workflow component of the core module that Go's toolchain builds.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const ADAPTER: &str = include_str!("adapter.wat");
const ADAPTER_WIT: &str = include_str!("wasi.wit");
/// Where the adapter puts texts, in the bytes that Go's linker leaves free.
const TEXT_AT: usize = 4096 + 64;
/// The end of those bytes.
const FREE_UNTIL: usize = 4096 + 8192;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1).map(PathBuf::from);
    let (Some(wit), Some(input), Some(output)) = (args.next(), args.next(), args.next()) else {
        bail!("usage: go-componentize WIT-FOLDER CORE.wasm COMPONENT.wasm");
    };
    let core = fs::read(&input).with_context(|| format!("cannot read {}", input.display()))?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(&wit)?;
    let component = componentize(core, resolve, package)?;
    fs::write(&output, component).with_context(|| format!("cannot write {}", output.display()))
}

fn componentize(mut core: Vec<u8>, resolve: Resolve, package: wit_parser::PackageId) -> Result<Vec<u8>> {
    let world = resolve.select_world(&[package], Some("workflow"))?;
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default()
        .validate(true)
        .module(&core)?
        .adapter("wasi_snapshot_preview1", &adapter()?)?
        .encode()
        .context("the module does not fit the world of workflows")
}

fn adapter() -> Result<Vec<u8>> {
    let mut module = wat::parse_str(expand(ADAPTER)?)?;
    let mut resolve = Resolve::default();
    let package = resolve.push_str("wasi.wit", ADAPTER_WIT)?;
    let world = resolve.select_world(&[package], Some("adapter"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}

/// Replaces each `{{say: text}}`.
fn expand(template: &str) -> Result<String> {
    let mut expanded = String::new();
    let mut rest = template.split_once(";; Errors of preview 1.").context("the adapter has lost its head")?;
    expanded.push_str(rest.0);
    while let Some((before, after)) = rest.1.split_once("{{say: ") {
        let (text, after) = after.split_once("}}").context("a text has no end")?;
        expanded.push_str(before);
        expanded.push_str(&say(&text.replace("\\n", "\n"))?);
        rest.1 = after;
    }
    expanded.push_str(rest.1);
    Ok(expanded)
}

fn say(text: &str) -> Result<String> {
    if TEXT_AT + text.len() + 8 > FREE_UNTIL {
        bail!("a text of the adapter is too long");
    }
    let mut code = String::new();
    for (index, bytes) in text.as_bytes().chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let (word, at) = (u64::from_le_bytes(word), TEXT_AT + 8 * index);
        code.push_str(&format!("(i64.store (i32.const {at}) (i64.const {word}))\n"));
    }
    code.push_str(&format!("(drop (call $write (i32.const 2) (i32.const {TEXT_AT}) (i32.const {})))\n", text.len()));
    Ok(code)
}
