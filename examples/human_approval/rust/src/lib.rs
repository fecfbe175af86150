//! Human approval: an expense that waits for people. They look at it (a query), remark on it (a signal) and decide about
//! it (an update, which can be refused and is answered). When they do nothing, a timer asks somebody else.

use mainspring_workflow::prelude::*;

#[derive(Deserialize)]
struct Expense {
    purpose: String,
    reviewers: Vec<String>,
    /// How many of them have to approve.
    needed: usize,
    /// Who is asked when they do not.
    manager: String,
    reviewers_have_ms: u64,
    manager_has_ms: u64,
}

#[activity]
fn notify(person: &str, text: &str);

#[derive(Clone, Serialize)]
struct Review {
    needed: usize,
    asked: Vec<String>,
    approved_by: Vec<String>,
    rejected_by: Option<String>,
    comments: Vec<String>,
}

#[handlers]
impl Review {
    /// Where it stands.
    #[query]
    fn status(&self) -> Review {
        self.clone()
    }

    /// A remark: nobody has to answer it.
    #[signal]
    fn comment(&mut self, author: String, text: String) {
        self.comments.push(format!("{author}: {text}"));
    }

    /// A decision; answers how many approvals are still missing.
    #[update(validator = may_decide)]
    fn decide(&mut self, person: String, approve: bool) -> usize {
        if approve {
            self.approved_by.push(person);
        } else {
            self.rejected_by = Some(person);
        }
        self.needed.saturating_sub(self.approved_by.len())
    }

    /// What is refused here leaves no trace in the history.
    fn may_decide(&self, person: String, _approve: bool) -> Result<(), ApplicationFailure> {
        if !self.asked.contains(&person) {
            return Err(ApplicationFailure::new("NotAsked", format!("{person} was not asked")));
        }
        if self.approved_by.contains(&person) {
            return Err(ApplicationFailure::new("DecidedTwice", format!("{person} has decided already")));
        }
        if self.is_decided() {
            return Err(ApplicationFailure::new("TooLate", "it is decided"));
        }
        Ok(())
    }

    fn leave_it_to_one(&mut self) {
        self.needed = self.approved_by.len() + 1;
    }

    fn is_decided(&self) -> bool {
        self.rejected_by.is_some() || self.approved_by.len() >= self.needed
    }
}

#[workflow]
async fn approve_expense(expense: Expense) -> WorkflowResult<Review> {
    let Expense { purpose, reviewers, needed, manager, reviewers_have_ms, manager_has_ms } = expense;
    let review = Review { needed, asked: vec![], approved_by: vec![], rejected_by: None, comments: vec![] }.register();
    let decided = || review.borrow().is_decided();

    for reviewer in &reviewers {
        ask(&review, reviewer, &format!("please decide: {purpose}")).await?;
    }
    match wait_condition(decided).timeout(Duration::from_millis(reviewers_have_ms)).await {
        Ok(decided) => decided?,
        Err(_elapsed) => {
            // The last one to ask, whose word is enough.
            review.borrow_mut().leave_it_to_one();
            ask(&review, &manager, &format!("nobody decides: {purpose}")).await?;
            let expired = |_elapsed| ApplicationFailure::new("Expired", "nobody has decided");
            wait_condition(decided).timeout(Duration::from_millis(manager_has_ms)).await.map_err(expired)??;
        }
    }
    Ok(review.borrow().clone())
}

async fn ask(review: &Shared<Review>, person: &str, text: &str) -> WorkflowResult<()> {
    review.borrow_mut().asked.push(person.to_owned());
    Ok(notify(person, text).start_to_close_timeout(Duration::from_secs(30)).await?)
}

mainspring_workflow::export!(approve_expense);

#[cfg(test)]
mod tests;
