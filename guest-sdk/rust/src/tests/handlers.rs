//! Methods as handlers.

use serde_json::{Value, json};

use super::*;

#[derive(Default)]
struct Approval {
    approvers: Vec<String>,
    limit: f64,
}

#[handlers]
impl Approval {
    /// Who has approved
    /// so far.
    ///
    /// In the order of their approvals.
    #[query]
    fn approvers(&self) -> Vec<String> {
        self.approvers.clone()
    }

    #[query(name = "has-approved")]
    fn has_approved(&self, name: String) -> bool {
        self.approvers.contains(&name)
    }

    #[signal]
    fn approve(&mut self, name: String, twice: Option<bool>) {
        self.approvers.extend(std::iter::repeat_n(name, 1 + usize::from(twice == Some(true))));
    }

    /// Asks the bank first.
    #[update(validator = check_limit)]
    async fn set_limit(state: Shared<Self>, limit: f64) -> WorkflowResult<f64> {
        work("bank").await?;
        Ok(std::mem::replace(&mut state.borrow_mut().limit, limit))
    }

    #[update]
    fn reset(&mut self) -> usize {
        std::mem::take(&mut self.approvers).len()
    }

    fn check_limit(&self, limit: f64) -> Result<(), ApplicationFailure> {
        if limit < self.limit { Err(ApplicationFailure::new("BadLimit", "a limit only grows")) } else { Ok(()) }
    }
}

#[workflow]
async fn approval(needed: usize) -> WorkflowResult<(Vec<String>, f64)> {
    let state = Approval::default().register();
    wait_condition(|| state.borrow().approvers.len() >= needed).await?;
    let Approval { approvers, limit } = state.take();
    Ok((approvers, limit))
}

#[test]
fn methods_answer_messages_and_the_workflow_sees_what_they_change() {
    let mut run = TestRun::start::<approval>([2]);
    run.signal("approve", "ann");
    assert_eq!(run.query::<Vec<String>>("approvers", NONE).unwrap(), ["ann"]);
    assert!(run.query::<bool>("has-approved", ["ann"]).unwrap());
    let reset = run.update("reset", NONE);
    assert_eq!(run.update_result::<usize>(reset).unwrap().unwrap(), 1);

    let limit = run.update("set_limit", [9.5]);
    run.complete_activity(1, "noted");
    assert_eq!(run.update_result::<f64>(limit).unwrap().unwrap(), 0.0);
    let refused = run.update("set_limit", [3.0]);
    assert_eq!(run.update_result::<f64>(refused).unwrap().unwrap_err().to_string(), "a limit only grows (BadLimit)");

    run.resume([crate::testing::signal_with("approve", [json!("bob"), json!(true)])]);
    assert_eq!(run.result::<(Vec<String>, f64)>().unwrap(), (vec!["bob".into(), "bob".into()], 9.5));
}

#[test]
fn their_documentation_describes_them() {
    let run = TestRun::start::<approval>([2]);
    let metadata: Value = run.query("__temporal_workflow_metadata", NONE).unwrap();
    let definition = &metadata["definition"];
    let query = &definition["queryDefinitions"][2];
    assert_eq!(*query, json!({ "name": "approvers", "description": "Who has approved so far." }));
    let updates = json!([{ "name": "reset" }, { "name": "set_limit", "description": "Asks the bank first." }]);
    assert_eq!(definition["updateDefinitions"], updates);
}
