//! `mainspring quota`: what a namespace may use.

use std::collections::HashMap;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use mainspring_api::mainspring::{DescribeQuotaRequest, QuotaValue, ResetQuotaRequest, SetQuotaRequest};
use serde_json::{Value, json};

use crate::{
    cli::OutputArgs,
    connect::{ConnectionArgs, refused, unary},
    failure::{Failure, Outcome},
    output::{self, Format, table},
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the quotas of the namespace, and which of them were set for it
    Show(ShowArgs),
    /// Set quotas of the namespace. They hold at once, and after a restart
    Set(SetArgs),
    /// Take back what was set: the server's defaults hold again
    Reset(ResetArgs),
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct SetArgs {
    /// Quotas and their values, such as open_runs=1000; `quota show` names them all
    #[arg(value_name = "NAME=VALUE", required = true, value_parser = setting)]
    settings: Vec<(String, u64)>,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct ResetArgs {
    /// The quotas to take back
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,
    /// Take back everything that was set for the namespace
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Show(args) => {
            let mut client = args.connection.connect().await?;
            let request = DescribeQuotaRequest { namespace: client.namespace.clone() };
            let answer =
                client.quotas.describe_quota(unary(request)).await.map_err(refused("cannot show the quotas"))?;
            print(args.output.output, answer.into_inner().quotas)
        }
        Verb::Set(args) => {
            let mut quotas = HashMap::new();
            for (name, value) in args.settings {
                if quotas.insert(name.clone(), value).is_some() {
                    return Err(Failure::Usage(anyhow!("{name} is given twice")));
                }
            }
            let mut client = args.connection.connect().await?;
            let request = SetQuotaRequest { namespace: client.namespace.clone(), quotas };
            let answer = client.quotas.set_quota(unary(request)).await.map_err(refused("cannot set the quotas"))?;
            print(args.output.output, answer.into_inner().quotas)
        }
        Verb::Reset(args) => {
            let mut client = args.connection.connect().await?;
            let request = ResetQuotaRequest { namespace: client.namespace.clone(), names: args.names };
            let answer = client.quotas.reset_quota(unary(request)).await.map_err(refused("cannot reset the quotas"))?;
            print(args.output.output, answer.into_inner().quotas)
        }
    }
}

fn setting(text: &str) -> Result<(String, u64), String> {
    let (name, value) = text.split_once('=').ok_or("it is not NAME=VALUE")?;
    let value = value.parse().map_err(|_| format!("{value:?} is not a whole number from 0"))?;
    Ok((name.to_owned(), value))
}

fn print(format: Format, quotas: Vec<QuotaValue>) -> Outcome {
    if !format.is_text() {
        // Numbers as text, as JSON of protobuf has numbers of 64 bits.
        let quotas = quotas.into_iter().map(|quota| {
            let value = json!({
                "value": quota.value.to_string(),
                "default": quota.default_value.to_string(),
                "isSet": quota.is_set,
            });
            (quota.name, value)
        });
        return Ok(format.print_json(&Value::Object(quotas.collect()))?);
    }
    let row = |quota: QuotaValue| {
        let default = if quota.is_set { quota.default_value.to_string() } else { String::new() };
        [quota.name, quota.value.to_string(), default]
    };
    let rows: Vec<_> = quotas.into_iter().map(row).collect();
    Ok(output::print_text(&table(["Quota", "Value", "InsteadOf"], &rows))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_name_and_a_number() {
        assert_eq!(setting("open_runs=5"), Ok(("open_runs".to_owned(), 5)));
        for wrong in ["open_runs", "open_runs=", "open_runs=-1", "open_runs=many"] {
            assert!(setting(wrong).is_err(), "{wrong}");
        }
    }
}
