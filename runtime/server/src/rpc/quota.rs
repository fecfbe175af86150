//! `mainspring.v1.QuotaService`: what each namespace may use, and what it uses.

use std::collections::{BTreeMap, HashMap};

use mainspring_api::mainspring::{
    DescribeQuotaRequest, DescribeQuotaResponse, DescribeUsageRequest, DescribeUsageResponse, QuotaValue,
    ResetQuotaRequest, ResetQuotaResponse, SetQuotaRequest, SetQuotaResponse, Usage,
    quota_service_server::QuotaService,
};
use mainspring_engine::NamespaceQuota;
use tonic::Request;

use super::{Answer, Frontend, answer};
use crate::error::Fault;

#[derive(Clone)]
pub(crate) struct Quotas(pub Frontend);

impl Quotas {
    fn describe(&self, request: &DescribeQuotaRequest) -> Result<DescribeQuotaResponse, Fault> {
        let namespace = self.0.namespace(&request.namespace)?.name;
        Ok(DescribeQuotaResponse { quotas: values(&self.0.engine.quota(&namespace)?) })
    }

    async fn set(&self, request: SetQuotaRequest) -> Result<SetQuotaResponse, Fault> {
        let namespace = self.0.namespace(&request.namespace)?.name;
        if request.quotas.is_empty() {
            return Err(Fault::invalid("The request sets no quota."));
        }
        let changes: BTreeMap<_, _> = request.quotas.into_iter().map(|(name, value)| (name, Some(value))).collect();
        Ok(SetQuotaResponse { quotas: values(&self.0.engine.set_quota(&namespace, changes).await?) })
    }

    async fn reset(&self, request: ResetQuotaRequest) -> Result<ResetQuotaResponse, Fault> {
        let namespace = self.0.namespace(&request.namespace)?.name;
        let quota = match request.names.is_empty() {
            true => self.0.engine.reset_quota(&namespace).await?,
            false => {
                let changes = request.names.into_iter().map(|name| (name, None)).collect();
                self.0.engine.set_quota(&namespace, changes).await?
            }
        };
        Ok(ResetQuotaResponse { quotas: values(&quota) })
    }

    fn usage(&self, request: &DescribeUsageRequest) -> Result<DescribeUsageResponse, Fault> {
        let namespace = self.0.namespace(&request.namespace)?.name;
        Ok(DescribeUsageResponse { usage: Some(to_usage(self.0.engine.usage_of(&namespace)?)) })
    }
}

#[tonic::async_trait]
impl QuotaService for Quotas {
    async fn describe_quota(&self, request: Request<DescribeQuotaRequest>) -> Answer<DescribeQuotaResponse> {
        answer(self.describe(&request.into_inner()))
    }

    async fn set_quota(&self, request: Request<SetQuotaRequest>) -> Answer<SetQuotaResponse> {
        answer(self.set(request.into_inner()).await)
    }

    async fn reset_quota(&self, request: Request<ResetQuotaRequest>) -> Answer<ResetQuotaResponse> {
        answer(self.reset(request.into_inner()).await)
    }

    async fn describe_usage(&self, request: Request<DescribeUsageRequest>) -> Answer<DescribeUsageResponse> {
        answer(self.usage(&request.into_inner()))
    }
}

fn values(quota: &NamespaceQuota) -> Vec<QuotaValue> {
    let defaults = quota.defaults.entries();
    let value = |(name, value): (String, u64)| QuotaValue {
        default_value: defaults.get(&name).copied().unwrap_or_default(),
        is_set: quota.overrides.contains_key(&name),
        name,
        value,
    };
    quota.quota.entries().into_iter().map(value).collect()
}

fn to_usage(usage: mainspring_engine::Usage) -> Usage {
    let by_name = |counts: BTreeMap<&'static str, u64>| -> HashMap<String, u64> {
        counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    };
    Usage {
        namespace: usage.namespace,
        uptime_seconds: usage.uptime.as_secs_f64(),
        open_runs: usage.open_runs,
        history_bytes: usage.history_bytes,
        store_bytes: usage.store_bytes,
        modules: usage.modules,
        module_bytes: usage.module_bytes,
        started_activities: usage.started_activities,
        cached_instances: usage.cached_instances,
        cached_bytes: usage.cached_bytes,
        waiting_activations: usage.waiting_activations,
        running_activations: usage.running_activations,
        hosted_activities: usage.hosted_activities,
        requests: by_name(usage.requests),
        requests_refused: by_name(usage.requests_refused),
        refused: by_name(usage.refused),
        starts: usage.starts,
        events: usage.events,
        activations: usage.activations,
        queries: usage.queries,
        activation_seconds: usage.activation_time.as_secs_f64(),
        fuel: usage.fuel,
        cached_byte_seconds: usage.cached_byte_seconds,
        evicted_instances: usage.evicted_instances,
        log_bytes: usage.log_bytes,
        log_bytes_dropped: usage.log_bytes_dropped,
        outbound_requests: usage.outbound_requests,
    }
}
