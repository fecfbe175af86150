//! Moving open runs from one module to another.

use futures::StreamExt as _;
use mainspring_api::mainspring::{
    MigrateWorkflowsRequest, MigrateWorkflowsResponse, MigrationRefusal, MigrationSummary,
    migrate_workflows_response::Message,
};
use mainspring_engine::MigrationRequest;
use tonic::codegen::BoxStream;

use super::{Frontend, verification};
use crate::error::Fault;

pub(super) async fn migrate(
    frontend: &Frontend,
    request: MigrateWorkflowsRequest,
) -> Result<BoxStream<MigrateWorkflowsResponse>, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let migration = MigrationRequest {
        to: verification::optional_digest(&request.digest)?,
        from: verification::optional_digest(&request.from_digest)?,
        runs: verification::selection(&request.task_queue, request.runs)?,
    };
    let begun = frontend.held(frontend.engine.migrate_workflows(&namespace, migration)).await;
    let (module, sweep) = begun.ok_or_else(verification::stopping)??;
    let digest = module.digest.to_string();
    Ok(verification::told(
        frontend,
        sweep,
        mainspring_engine::MigrationSummary::default(),
        |summary, migrated| {
            summary.add(migrated.outcome);
            let refusal = |run| Message::Refusal(MigrationRefusal { run: Some(verification::to_run(run)) });
            migrated.outcome.stays().then(|| refusal(migrated.run))
        },
        Message::Progress,
        move |summary| Message::Summary(to_summary(&digest, summary)),
    )
    .map(|message| message.map(|message| MigrateWorkflowsResponse { message: Some(message) }))
    .boxed())
}

fn to_summary(digest: &str, summary: &mainspring_engine::MigrationSummary) -> MigrationSummary {
    MigrationSummary {
        digest: digest.to_owned(),
        moved: summary.moved,
        already: summary.already,
        unpinned: summary.unpinned,
        closed: summary.closed,
        differ: summary.differ,
        busy: summary.busy,
    }
}
