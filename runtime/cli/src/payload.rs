//! Arguments of workflows and signals, from flags to payloads and back to text.

use std::{collections::HashMap, fs, path::PathBuf};

use anyhow::{Context as _, anyhow, bail};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use clap::Args;
use mainspring_api::{
    common::{Payload, Payloads},
    json,
};
use serde_json::Value;

use crate::failure::{Failure, Outcome};

const JSON: &str = "json/plain";

/// The arguments of a workflow or signal.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// An argument, as JSON. Can be given several times, for several arguments
    #[arg(short, long, value_name = "JSON", allow_hyphen_values = true, conflicts_with = "input_file")]
    input: Vec<String>,
    /// A file that holds an argument, as JSON. Can be given several times
    #[arg(long, value_name = "FILE")]
    input_file: Vec<PathBuf>,
    /// Metadata of the arguments. The key "encoding" replaces "json/plain". A key that is given several times applies to
    /// the arguments in their order
    #[arg(long, value_name = "KEY=VALUE")]
    input_meta: Vec<String>,
    /// Take the arguments as base64 of their bytes
    #[arg(long)]
    input_base64: bool,
}

impl InputArgs {
    /// The payloads, or none where no argument was given.
    pub fn payloads(&self) -> Outcome<Option<Payloads>> {
        self.read().map_err(Failure::Usage)
    }

    fn read(&self) -> anyhow::Result<Option<Payloads>> {
        let mut inputs: Vec<(String, Vec<u8>)> = Vec::new();
        for (index, text) in self.input.iter().enumerate() {
            inputs.push((format!("--input #{}", index + 1), text.clone().into_bytes()));
        }
        for path in &self.input_file {
            let bytes = fs::read(path).with_context(|| format!("--input-file {} cannot be read", path.display()))?;
            inputs.push((format!("--input-file {}", path.display()), bytes));
        }
        let metadata = metadata(&self.input_meta, inputs.len())?;
        if inputs.is_empty() {
            return Ok(None);
        }
        let payloads = inputs.into_iter().zip(metadata).map(|((name, mut data), metadata)| {
            if self.input_base64 {
                data = BASE64_STANDARD.decode(data.trim_ascii()).with_context(|| format!("{name} is not base64"))?;
            } else if metadata.get("encoding").is_some_and(|encoding| encoding == JSON.as_bytes()) {
                serde_json::from_slice::<Value>(&data).with_context(|| {
                    format!("{name} is not JSON (a text needs its own quotes, such as --input '\"text\"')")
                })?;
            }
            Ok(Payload { metadata, data, ..Default::default() })
        });
        Ok(Some(Payloads { payloads: payloads.collect::<anyhow::Result<_>>()? }))
    }
}

type Metadata = HashMap<String, Vec<u8>>;

/// The metadata of each of `count` inputs. The last value that a key was given goes for all further inputs.
fn metadata(pairs: &[String], count: usize) -> anyhow::Result<Vec<Metadata>> {
    let mut values: HashMap<&str, Vec<&str>> = HashMap::from([("encoding", vec![])]);
    for pair in pairs {
        let (key, value) = split_pair("--input-meta", pair)?;
        values.entry(key).or_default().push(value);
    }
    let of_input = |index: usize| {
        let value = |(key, values): (&&str, &Vec<&str>)| {
            let value = values.get(index).or(values.last()).copied().unwrap_or(JSON);
            ((*key).to_owned(), value.as_bytes().to_vec())
        };
        values.iter().map(value).collect()
    };
    Ok((0..count).map(of_input).collect())
}

/// The payloads of `KEY=JSON` pairs, as memos, headers and search attributes are given.
pub fn fields(flag: &str, pairs: &[String]) -> Outcome<Option<HashMap<String, Payload>>> {
    let field = |pair: &String| {
        let (key, value) = split_pair(flag, pair)?;
        if serde_json::from_str::<Value>(value).is_err() {
            bail!("{flag} {key}: {value} is not JSON (a text needs its own quotes: {key}='\"text\"')");
        }
        Ok((key.to_owned(), of_json(value)))
    };
    let fields = pairs.iter().map(field).collect::<anyhow::Result<HashMap<_, _>>>().map_err(Failure::Usage)?;
    Ok((!fields.is_empty()).then_some(fields))
}

/// A payload that holds this JSON.
pub fn of_json(json: &str) -> Payload {
    let metadata = HashMap::from([("encoding".to_owned(), JSON.as_bytes().to_vec())]);
    Payload { metadata, data: json.as_bytes().to_vec(), ..Default::default() }
}

fn split_pair<'a>(flag: &str, pair: &'a str) -> anyhow::Result<(&'a str, &'a str)> {
    match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key, value)),
        _ => Err(anyhow!("{flag} {pair:?} is not KEY=VALUE")),
    }
}

/// What a payload holds, in one line for people.
pub fn to_text(payload: &Payload) -> String {
    let encoding = payload.metadata.get("encoding").map_or(&b""[..], Vec::as_slice);
    match (encoding, std::str::from_utf8(&payload.data)) {
        (b"binary/null", _) => "null".to_owned(),
        (b"json/plain" | b"json/protobuf", Ok(text)) => text.to_owned(),
        _ => format!("{} bytes ({})", payload.data.len(), String::from_utf8_lossy(encoding)),
    }
}

/// What some payloads hold, one line each.
pub fn all_to_text(payloads: Option<&Payloads>) -> String {
    let lines = payloads.map(|all| all.payloads.iter().map(to_text).collect::<Vec<_>>()).unwrap_or_default();
    lines.join("\n")
}

/// What a map of payloads holds, one line each, in the order of its keys.
pub fn fields_to_text(fields: &HashMap<String, Payload>) -> String {
    let mut lines: Vec<_> = fields.iter().map(|(key, value)| format!("{key}={}", to_text(value))).collect();
    lines.sort();
    lines.join("\n")
}

/// The result of a workflow as the `temporal` CLI puts it into JSON: the one payload, or all of them.
pub fn result_json(payloads: &Payloads) -> Value {
    match payloads.payloads.as_slice() {
        [one] => json::to_json_shorthand(one),
        _ => json::to_json_shorthand(payloads),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(input: &[&str], meta: &[&str]) -> InputArgs {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        InputArgs { input: owned(input), input_file: vec![], input_meta: owned(meta), input_base64: false }
    }

    #[test]
    fn arguments_keep_the_bytes_that_were_given() {
        let payloads = args(&[r#"{ "a": 1.50 }"#, "\"x\""], &[]).read().unwrap().unwrap().payloads;
        assert_eq!(payloads, [of_json(r#"{ "a": 1.50 }"#), of_json("\"x\"")]);
        assert_eq!(args(&[], &[]).read().unwrap(), None);
    }

    #[test]
    fn an_argument_that_is_not_json_is_refused_unless_it_says_what_it_is() {
        let error = args(&["1", "text"], &[]).read().unwrap_err();
        assert!(error.to_string().starts_with("--input #2 is not JSON"), "{error}");
        let plain = args(&["text"], &["encoding=binary/plain", "k=v"]).read().unwrap().unwrap();
        assert_eq!(plain.payloads[0].metadata["encoding"], b"binary/plain");
        assert_eq!(plain.payloads[0].metadata["k"], b"v");
    }

    #[test]
    fn metadata_applies_to_the_arguments_in_their_order() {
        let meta = ["encoding=json/plain", "encoding=a/b"];
        let payloads = args(&["1", "x", "y"], &meta).read().unwrap().unwrap().payloads;
        let encodings: Vec<_> = payloads.iter().map(|payload| payload.metadata["encoding"].as_slice()).collect();
        assert_eq!(encodings, [&b"json/plain"[..], b"a/b", b"a/b"]);
    }

    #[test]
    fn base64_arguments_are_decoded() {
        let mut args = args(&["AAH/"], &["encoding=binary/plain"]);
        args.input_base64 = true;
        assert_eq!(args.read().unwrap().unwrap().payloads[0].data, [0, 1, 255]);
        args.input = vec!["%".into()];
        assert!(args.read().unwrap_err().to_string().contains("is not base64"));
    }

    #[test]
    fn pairs_need_a_key_and_json() {
        let check = |pair: &str| match fields("--memo", &[pair.to_owned()]) {
            Err(Failure::Usage(error)) => error.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(check("a"), "--memo \"a\" is not KEY=VALUE");
        assert_eq!(check("=1"), "--memo \"=1\" is not KEY=VALUE");
        assert!(check("a=b").contains("b is not JSON"));
        let memo = fields("--memo", &["a={\"b\":\"c=d\"}".to_owned()]).unwrap().unwrap();
        assert_eq!(memo["a"], of_json("{\"b\":\"c=d\"}"));
        assert_eq!(fields("--memo", &[]).unwrap(), None);
    }
}
