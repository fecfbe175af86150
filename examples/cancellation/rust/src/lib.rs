//! Cancellation with cleanup: a backup that may be canceled at any time, and leaves nothing behind, however it ends.

use mainspring_workflow::prelude::*;

#[derive(Deserialize)]
struct Backup {
    database: String,
    tables: u32,
}

#[activity]
fn create_staging_area(database: &str) -> String;

/// Says with each heartbeat how far it is, and learns by it that nobody wants the result any more.
#[activity]
fn copy_tables(area: &str, tables: u32) -> u32;

#[activity]
fn delete_staging_area(area: &str);

/// Gives the number of tables that were copied.
#[workflow]
async fn back_up(backup: Backup) -> WorkflowResult<u32> {
    // Shielded: in a canceled workflow the activity would be given up at once, and then nobody knew what to delete.
    let area = create_staging_area(&backup.database).start_to_close_timeout(Duration::from_secs(30));
    let area = shielded(area).await?;

    // Where the workflow is canceled this gives an error like any other, once the activity has really stopped: it must
    // not write into a staging area that is being deleted.
    let copied = copy_tables(&area, backup.tables)
        .start_to_close_timeout(Duration::from_secs(3600))
        .heartbeat_timeout(Duration::from_secs(10))
        .cancellation_type(CancellationType::WaitCancellationCompleted)
        .retry_policy(RetryPolicy::default().maximum_attempts(3))
        .await;

    // In a canceled workflow nothing new begins, except where it is shielded. A second request to cancel does not reach
    // in there either.
    shielded(delete_staging_area(&area).start_to_close_timeout(Duration::from_secs(30))).await?;

    // Only now the error, if there was one: the workflow ends as canceled, or as failed.
    Ok(copied?)
}

mainspring_workflow::export!(back_up);

#[cfg(test)]
mod tests {
    use mainspring_workflow::testing::{Command, TestConfig, TestRun};
    use serde_json::json;

    use super::*;

    fn start(config: TestConfig) -> TestRun {
        config
            .activity("create_staging_area", |database: String| format!("/staging/{database}"))
            .start::<back_up>([json!({ "database": "orders", "tables": 5 })])
    }

    #[test]
    fn a_backup_ends_with_its_cleanup() {
        let config = TestConfig::new().activity("copy_tables", |_area: String, tables: u32| tables);
        let run = start(config.activity("delete_staging_area", |_area: String| {}));
        assert_eq!(run.result::<u32>().unwrap(), 5);
        assert_eq!(run.activity_types(), ["create_staging_area", "copy_tables", "delete_staging_area"]);
    }

    #[test]
    fn a_backup_that_is_canceled_waits_for_the_copy_to_stop_and_cleans_up() {
        let mut run = start(TestConfig::new());
        run.request_cancel("too much load");
        assert!(run.commands().contains(&Command::CancelActivity(2)));
        assert_eq!(run.activity_types().len(), 2, "the copy has not stopped yet");
        run.cancel_activity(2);
        assert_eq!(run.activity_calls("delete_staging_area")[0].get::<String>(0).unwrap(), "/staging/orders");
        run.request_cancel("really");
        assert!(run.is_blocked(), "it cleans up all the same");
        run.complete_activity(3, ());
        assert!(run.is_canceled());
        run.assert_replays();
    }

    #[test]
    fn a_backup_that_fails_cleans_up_as_well() {
        let broken = |_area: String, _tables: u32| Err::<u32, _>(ApplicationFailure::new("DiskFull", "no space"));
        let config = TestConfig::new().activity("copy_tables", broken);
        let run = start(config.activity("delete_staging_area", |_area: String| {}));
        assert!(run.result::<u32>().unwrap_err().to_string().contains("DiskFull"));
        assert_eq!(run.activity_types()[2], "delete_staging_area");
    }

    #[test]
    fn a_backup_that_is_canceled_at_once_copies_nothing() {
        let mut run = TestRun::start::<back_up>([json!({ "database": "orders", "tables": 5 })]);
        run.request_cancel("never mind");
        run.complete_activity(1, "/staging/orders");
        run.complete_activity(2, ());
        assert!(run.is_canceled());
        assert_eq!(run.activity_types(), ["create_staging_area", "delete_staging_area"]);
        run.assert_replays();
    }
}
