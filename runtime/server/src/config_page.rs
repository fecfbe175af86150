//! Writes docs/configuration.md: every setting with its default and what its field's comment says.

use std::fmt::Write as _;

use schemars::schema_for;
use serde_json::Value;

use crate::{ENVIRONMENT_PREFIX, ServerConfig, golden};

const INTRODUCTION: &str = "\
# Configuration

Every setting of `mainspring server`, with its default. A setting is taken from its default, then from the TOML file that
`--config` names, then from the environment, then from flags; the later wins. `mainspring server --print-config` prints
what came of it. A key that does not exist is an error, wherever it stands.

Durations are text with a unit, such as `\"10s\"` or `\"1m 30s\"`; sizes are bytes. The variable of a setting is
`MAINSPRING_` and its name in capitals, with two underscores behind its section: `MAINSPRING_PORT`,
`MAINSPRING_SANDBOX__COMPILE_TIME`.

This page is written by a test, from the comments of the settings in `runtime/server/src`; do not edit it.
";

/// The schema of a section, which may stand among the definitions.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &root["$defs"][name])
}

fn description(root: &Value, schema: &Value) -> String {
    let text = |schema: &Value| schema["description"].as_str().map(|text| text.replace('\n', " "));
    let resolved = resolved(root, schema);
    let mut all = text(schema).or_else(|| text(resolved)).unwrap_or_default();
    for variant in resolved["oneOf"].as_array().into_iter().flatten() {
        let _ = write!(all, " `{}`: {}", variant["const"], text(variant).unwrap_or_default());
    }
    all.trim().to_owned()
}

fn page() -> String {
    let root = serde_json::to_value(schema_for!(ServerConfig)).unwrap();
    let defaults: toml::Table = toml::from_str(&ServerConfig::default().to_toml().unwrap()).unwrap();
    let mut page = INTRODUCTION.to_owned();
    write_section(&mut page, &root, &root, &defaults, &[]);
    page
}

/// In the order of names, so that the page does not hang on who reads the schema.
fn write_section(page: &mut String, root: &Value, schema: &Value, defaults: &toml::Table, path: &[&str]) {
    let properties = schema["properties"].as_object().expect("a section has settings");
    let mut names: Vec<&String> = properties.keys().collect();
    names.sort();
    let is_section = |name: &str| resolved(root, &properties[name])["properties"].is_object();
    let variable = |name: &str| {
        let name = path.iter().chain([&name]).map(|part| part.to_uppercase()).collect::<Vec<_>>().join("__");
        format!("{ENVIRONMENT_PREFIX}{name}")
    };
    page.push_str("\n| setting | default | |\n| --- | --- | --- |\n");
    for name in names.iter().filter(|name| !is_section(name)) {
        let default = defaults.get(*name).map_or("not set".to_owned(), |value| format!("`{value}`"));
        let about = description(root, &properties[*name]);
        assert!(!about.is_empty(), "{} has no comment", variable(name));
        writeln!(page, "| `{name}` | {default} | {about} |").unwrap();
    }
    for name in names.iter().filter(|name| is_section(name)) {
        let path = [path, &[name]].concat();
        let section = resolved(root, &properties[*name]);
        let about = description(root, section);
        let about = about.split_once(": ").map_or("", |(_, about)| about);
        write!(page, "\n## `[{}]`\n", path.join(".")).unwrap();
        if !about.is_empty() {
            let mut about = about.to_owned();
            about[..1].make_ascii_uppercase();
            writeln!(page, "\n{about}").unwrap();
        }
        let empty = toml::Table::new();
        let defaults = defaults.get(*name).and_then(toml::Value::as_table).unwrap_or(&empty);
        write_section(page, root, section, defaults, &path);
    }
}

#[test]
fn the_page_says_what_the_settings_are() {
    golden::check("docs/configuration.md", &page());
}

#[test]
fn every_setting_is_on_the_page() {
    fn count(value: &toml::Value) -> usize {
        value.as_table().map_or(1, |table| table.values().map(count).sum())
    }
    let settings = count(&toml::from_str(&ServerConfig::default().to_toml().unwrap()).unwrap());
    let rows = page().lines().filter(|line| line.starts_with("| `")).count();
    assert!(rows >= settings, "{rows} rows for {settings} settings");
}
