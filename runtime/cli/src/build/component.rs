//! From a core module that follows the canonical ABI of our world to a component, without any tool to install.

use anyhow::Context as _;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

use super::sdk::WIT;

pub fn component(module: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    with_adapter(module, None)
}

/// The same, with a module that stands between the core module and what it imports under a name.
pub fn with_adapter(mut module: Vec<u8>, adapter: Option<(&str, &[u8])>) -> anyhow::Result<Vec<u8>> {
    let mut sources = SourceMap::default();
    for (name, text) in WIT {
        sources.push_str(name, std::str::from_utf8(text).context("the WIT package is not UTF-8")?);
    }
    let mut resolve = Resolve::default();
    let group = sources.parse().map_err(|(_, error)| anyhow::anyhow!("the WIT package cannot be read: {error}"))?;
    let package = resolve.push_group(group)?;
    let world = resolve.select_world(&[package], Some("workflow"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let mut encoder = ComponentEncoder::default().validate(true).module(&module)?;
    if let Some((name, adapter)) = adapter {
        encoder = encoder.adapter(name, adapter)?;
    }
    encoder.encode()
}
