//! Workflows that are asked, told and updated, and that have children and successors.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use mainspring_workflow::prelude::*;

/// A document that collects approvals until there are enough of them. Asked and told in every way there is.
#[workflow]
pub async fn approval(needed: u32) -> WorkflowResult<Vec<String>> {
    let approved_by = Rc::new(RefCell::new(Vec::<String>::new()));
    let needed = Rc::new(Cell::new(needed));
    on_query("approved_by", {
        let approved_by = approved_by.clone();
        move || approved_by.borrow().clone()
    })
    .description("Who has approved so far.");
    on_query("fails", || -> WorkflowResult<()> { Err(ApplicationFailure::new("NoAnswer", "ask later").into()) });
    on_signal("approve", {
        let approved_by = approved_by.clone();
        move |name: String| approved_by.borrow_mut().push(name)
    });
    on_update("set_needed", {
        let needed = needed.clone();
        move |new: u32| needed.replace(new)
    })
    .validator(|new: u32| {
        if new == 0 { Err(ApplicationFailure::new("BadNumber", "somebody has to approve")) } else { Ok(()) }
    });
    on_update("approve_slowly", {
        let approved_by = approved_by.clone();
        async move |name: String, delay_ms: u64| {
            sleep(Duration::from_millis(delay_ms)).await?;
            approved_by.borrow_mut().push(name);
            WorkflowResult::Ok(approved_by.borrow().len())
        }
    });
    on_update("fail", async || -> WorkflowResult<()> {
        Err(ApplicationFailure::new("Refused", "not this one").into())
    });
    wait_condition(|| approved_by.borrow().len() >= needed.get() as usize).await?;
    wait_condition(all_handlers_finished).await?;
    // Queries are answered after the end, too.
    let approved_by = approved_by.borrow().clone();
    Ok(approved_by)
}

/// Runs a child for each number, and adds up what they give.
#[workflow]
pub async fn sum_of_children(numbers: Vec<u64>) -> WorkflowResult<u64> {
    let children = numbers.into_iter().map(|number| child_workflow::<u64>("Double").arg(number));
    Ok(try_join_all(children).await?.into_iter().sum())
}

#[workflow]
pub async fn double(number: u64) -> WorkflowResult<u64> {
    sleep(Duration::from_millis(1)).await?;
    Ok(number * 2)
}

/// What becomes of a child that fails.
#[workflow]
pub async fn failing_child() -> WorkflowResult<String> {
    match child_workflow::<()>("FailWith").arg("Broken").arg(true).await {
        Ok(()) => Ok("no failure".into()),
        Err(error) => Ok(error.to_string()),
    }
}

/// Starts a child that waits for ever, tells it something, and leaves it to the parent close policy.
#[workflow]
pub async fn leaves_a_child(workflow_id: String, policy: String) -> WorkflowResult<String> {
    let policy = match policy.as_str() {
        "abandon" => ParentClosePolicy::Abandon,
        "cancel" => ParentClosePolicy::RequestCancel,
        _ => ParentClosePolicy::Terminate,
    };
    let child = child_workflow::<Vec<String>>("Approval").arg(2).workflow_id(workflow_id).parent_close_policy(policy);
    let child = child.start().await?;
    child.signal("approve").arg("parent").await?;
    Ok(child.run_id().to_owned())
}

/// Tells another workflow something, and asks it to cancel.
#[workflow]
pub async fn messenger(workflow_id: String, cancel: bool) -> WorkflowResult<String> {
    let other = external_workflow(workflow_id);
    if let Err(error) = other.signal("approve").arg("messenger").await {
        return Ok(error.to_string());
    }
    if cancel {
        other.cancel().await?;
    }
    Ok("delivered".into())
}

/// Goes on in new runs until it has counted down.
#[workflow]
pub async fn countdown(from: u32, runs: u32) -> WorkflowResult<u32> {
    sleep(Duration::from_millis(1)).await?;
    if from == 0 {
        return Ok(runs);
    }
    Err(countdown::continue_as_new(from - 1, runs + 1).into())
}

/// Fails until it has been tried often enough.
#[workflow]
pub async fn third_time_lucky() -> WorkflowResult<u32> {
    let attempt = info().attempt;
    if attempt < 3 {
        return Err(ApplicationFailure::new("Unlucky", format!("attempt {attempt}")).into());
    }
    Ok(attempt)
}

/// Markers, changes and what lists show.
#[workflow]
pub async fn facts() -> WorkflowResult<(bool, u32)> {
    let new_path = patched("new-path");
    let drawn = side_effect(|| 7_u32);
    upsert_memo(Memo::new().set("note", "written by the workflow"))?;
    sleep(Duration::from_millis(1)).await?;
    Ok((new_path && patched("new-path"), drawn))
}
