//! Fan-out of children: a library is counted by a child workflow for each book, so many at once. Each child has a history
//! and a fate of its own; one that fails is a line of the report, and not the end of the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
};

use mainspring_workflow::prelude::*;

#[derive(Deserialize)]
struct Library {
    books: BTreeSet<String>,
    at_once: NonZeroUsize,
    /// How long after the counting the report is published.
    publish_after_ms: u64,
}

#[derive(Clone, Default, Deserialize, Serialize)]
struct Report {
    words: BTreeMap<String, u64>,
    failed: BTreeMap<String, String>,
}

#[activity]
fn count_words(book: &str) -> u64;

#[activity]
fn publish(report: &Report);

#[workflow]
async fn count_library(library: Library) -> WorkflowResult<Report> {
    let own_id = info().workflow_id;
    let at_once = Semaphore::new(library.at_once.get());
    let children = library.books.iter().map(async |book| {
        let _permit = at_once.acquire().await?;
        // Should this workflow close before its children, by a timeout or by force, they are terminated: nobody is left
        // who wants to know. That is the default parent close policy.
        let counted = count_book::child(book.clone()).workflow_id(format!("{own_id}/{book}")).await;
        WorkflowResult::Ok((book, counted))
    });

    let mut report = Report::default();
    for counted in join_all(children).await {
        match counted? {
            (book, Ok(words)) => drop(report.words.insert(book.clone(), words)),
            (_, Err(error)) if error.is_canceled() => return Err(error.into()),
            (book, Err(error)) => drop(report.failed.insert(book.clone(), error.failure().root_cause().to_string())),
        }
    }

    // This child is started and then left alone: it goes on after its parent has ended.
    let publication = publish_report::child(report.clone(), library.publish_after_ms)
        .workflow_id(format!("{own_id}-publication"))
        .parent_close_policy(ParentClosePolicy::Abandon);
    let publication = publication.start().await?;
    info!("{} publishes the report", publication.workflow_id());
    Ok(report)
}

#[workflow]
async fn count_book(book: String) -> WorkflowResult<u64> {
    let policy = RetryPolicy::default().maximum_attempts(3);
    Ok(count_words(&book).start_to_close_timeout(Duration::from_secs(60)).retry_policy(policy).await?)
}

#[workflow]
async fn publish_report(report: Report, after_ms: u64) -> WorkflowResult<()> {
    sleep(Duration::from_millis(after_ms)).await?;
    Ok(publish(&report).start_to_close_timeout(Duration::from_secs(60)).await?)
}

mainspring_workflow::export!(count_library, count_book, publish_report);

#[cfg(test)]
mod tests {
    use mainspring_workflow::testing::{Command, TestConfig, TestRun};
    use serde_json::{Value, json};

    use super::*;

    fn library(books: &[&str], at_once: usize) -> [Value; 1] {
        [json!({ "books": books, "at_once": at_once, "publish_after_ms": 1000 })]
    }

    #[test]
    fn a_book_that_fails_is_a_line_of_the_report() {
        let count = |book: String| {
            if book == "Lost" { Err(ApplicationFailure::new("NotFound", "not on its shelf")) } else { Ok(book.len()) }
        };
        let config = TestConfig::new().child("CountBook", count);
        let mut run = config.start::<count_library>(library(&["Emma", "Lost", "Dracula"], 2));
        run.begin_child(4);
        let report = run.result::<Report>().unwrap();
        assert_eq!(report.words, BTreeMap::from([("Dracula".into(), 7), ("Emma".into(), 4)]));
        assert_eq!(report.failed, BTreeMap::from([("Lost".into(), "not on its shelf (NotFound)".into())]));
        run.assert_replays();
    }

    #[test]
    fn no_more_children_run_at_once_than_asked_for() {
        let mut run = TestRun::start::<count_library>(library(&["a", "b", "c"], 2));
        assert_eq!(run.commands().len(), 2);
        run.begin_child(2);
        run.complete_child(2, 1);
        assert_eq!(run.commands().len(), 3);
    }

    #[test]
    fn the_publication_outlives_its_parent_and_a_count_does_not() {
        let mut run = TestRun::start::<count_library>(library(&["a"], 1));
        run.begin_child(1);
        run.complete_child(1, 1);
        let policies: Vec<_> = (run.commands().into_iter())
            .map(|command| match command {
                Command::StartChild { options, .. } => (options.workflow_id.unwrap(), options.parent_close_policy),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            policies,
            [
                ("test-workflow/a".into(), ParentClosePolicy::Terminate),
                ("test-workflow-publication".into(), ParentClosePolicy::Abandon),
            ]
        );
    }
}
