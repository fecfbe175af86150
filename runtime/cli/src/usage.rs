//! `mainspring usage`: what a namespace uses.

use std::{collections::HashMap, time::Duration};

use clap::Args;
use mainspring_api::mainspring::{DescribeUsageRequest, Usage};
use serde_json::{Value, json};

use crate::{
    cli::OutputArgs,
    connect::{ConnectionArgs, refused, unary},
    failure::Outcome,
    output::{self, section},
};

#[derive(Debug, Args)]
pub struct UsageArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: UsageArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let request = DescribeUsageRequest { namespace: client.namespace.clone() };
    let answer = client.quotas.describe_usage(unary(request)).await.map_err(refused("cannot show the usage"))?;
    let usage = answer.into_inner().usage.unwrap_or_default();
    let format = args.output.output;
    match format.is_text() {
        true => Ok(output::print_text(&text(&usage))?),
        false => Ok(format.print_json(&to_json(&usage))?),
    }
}

fn text(usage: &Usage) -> String {
    let whole_seconds = |seconds: f64| Duration::try_from_secs_f64(seconds.floor()).unwrap_or_default();
    let mut text = section(
        "Stored",
        &[
            ("OpenRuns", usage.open_runs.to_string()),
            ("HistoryBytes", usage.history_bytes.to_string()),
            ("StoreBytes", usage.store_bytes.to_string()),
            ("Modules", usage.modules.to_string()),
            ("ModuleBytes", usage.module_bytes.to_string()),
            ("StartedActivities", usage.started_activities.to_string()),
        ],
    );
    text.push_str(&section(
        "Now",
        &[
            ("CachedInstances", usage.cached_instances.to_string()),
            ("CachedBytes", usage.cached_bytes.to_string()),
            ("WaitingActivations", usage.waiting_activations.to_string()),
            ("RunningActivations", usage.running_activations.to_string()),
            ("HostedActivities", usage.hosted_activities.to_string()),
        ],
    ));
    let title =
        format!("Since the server started, {} ago", humantime::format_duration(whole_seconds(usage.uptime_seconds)));
    text.push_str(&section(
        &title,
        &[
            ("Requests", counts(&usage.requests)),
            ("RequestsRefused", counts(&usage.requests_refused)),
            ("Refused", counts(&usage.refused)),
            ("Starts", usage.starts.to_string()),
            ("Events", usage.events.to_string()),
            ("Activations", usage.activations.to_string()),
            ("Queries", usage.queries.to_string()),
            ("ActivationSeconds", format!("{:.3}", usage.activation_seconds)),
            ("Fuel", usage.fuel.to_string()),
            ("CachedMiBSeconds", format!("{:.3}", usage.cached_byte_seconds / f64::from(1 << 20))),
            ("EvictedInstances", usage.evicted_instances.to_string()),
            ("LogBytes", usage.log_bytes.to_string()),
            ("LogBytesDropped", usage.log_bytes_dropped.to_string()),
            ("OutboundRequests", usage.outbound_requests.to_string()),
        ],
    ));
    text
}

/// Those that are not 0, in the order of names.
fn counts(counts: &HashMap<String, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
    counts.sort();
    counts.into_iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

/// Numbers of 64 bits as text, as JSON of protobuf has them.
fn to_json(usage: &Usage) -> Value {
    let by_name = |counts: &HashMap<String, u64>| -> Value {
        counts.iter().map(|(name, count)| (name.clone(), Value::String(count.to_string()))).collect()
    };
    json!({
        "namespace": usage.namespace,
        "uptimeSeconds": usage.uptime_seconds,
        "openRuns": usage.open_runs.to_string(),
        "historyBytes": usage.history_bytes.to_string(),
        "storeBytes": usage.store_bytes.to_string(),
        "modules": usage.modules.to_string(),
        "moduleBytes": usage.module_bytes.to_string(),
        "startedActivities": usage.started_activities.to_string(),
        "cachedInstances": usage.cached_instances.to_string(),
        "cachedBytes": usage.cached_bytes.to_string(),
        "waitingActivations": usage.waiting_activations.to_string(),
        "runningActivations": usage.running_activations.to_string(),
        "hostedActivities": usage.hosted_activities.to_string(),
        "requests": by_name(&usage.requests),
        "requestsRefused": by_name(&usage.requests_refused),
        "refused": by_name(&usage.refused),
        "starts": usage.starts.to_string(),
        "events": usage.events.to_string(),
        "activations": usage.activations.to_string(),
        "queries": usage.queries.to_string(),
        "activationSeconds": usage.activation_seconds,
        "fuel": usage.fuel.to_string(),
        "cachedByteSeconds": usage.cached_byte_seconds,
        "evictedInstances": usage.evicted_instances.to_string(),
        "logBytes": usage.log_bytes.to_string(),
        "logBytesDropped": usage.log_bytes_dropped.to_string(),
        "outboundRequests": usage.outbound_requests.to_string(),
    })
}
