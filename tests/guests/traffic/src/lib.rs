//! Workflows for the crash loops: what a workflow can do, all of it at the same time, with what it has seen as the result.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use mainspring_workflow::prelude::*;
use serde::{Deserialize, Serialize};

mainspring_workflow::export!(collector, hub, napper, relay, sleeper);

/// What a hub has seen in all its runs.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Seen {
    /// The arguments of signals, in the order of their arrival.
    notes: Vec<String>,
    /// The ids of updates that were executed to their end.
    deposits: Vec<String>,
    /// The results of children, of activities, and the messages to others that were taken.
    children: Vec<String>,
    activities: Vec<String>,
    messages: Vec<String>,
    /// Timers that fired before their time, by the workflow's own clock.
    early: Vec<String>,
    runs: u32,
}

/// Works in rounds, and goes on in a new run after so many of them, until it is signaled `finish`. Meanwhile it takes
/// notes (signals) and deposits (updates). Each round has timers, activities, children, and a note to the peer; each run
/// leaves three children behind, one for each parent close policy.
#[workflow]
pub async fn hub(peer: String, rounds: u32, seen: Option<Seen>) -> WorkflowResult<Seen> {
    let seen = Rc::new(RefCell::new(seen.unwrap_or_default()));
    let finish = Rc::new(Cell::new(false));
    on_signal("note", {
        let seen = seen.clone();
        move |note: String| seen.borrow_mut().notes.push(note)
    });
    on_signal("finish", {
        let finish = finish.clone();
        move || finish.set(true)
    });
    on_update("deposit", {
        let seen = seen.clone();
        async move |id: String, pause_ms: u64| {
            sleep(Duration::from_millis(pause_ms)).await?;
            seen.borrow_mut().deposits.push(id);
            WorkflowResult::Ok(seen.borrow().deposits.len())
        }
    })
    .validator(|id: String, _pause_ms: u64| match id.as_str() {
        "" => Err(ApplicationFailure::new("NoId", "a deposit has an id")),
        _ => Ok(()),
    });
    let name = format!("{}/{}", info().workflow_id, seen.borrow().runs);
    leave_behind(&name).await?;
    for number in 0..rounds {
        if finish.get() {
            break;
        }
        round(&format!("{name}.{number}"), &peer, number, &seen).await?;
    }
    wait_condition(all_handlers_finished).await?;
    seen.borrow_mut().runs += 1;
    if finish.get() {
        return Ok(seen.take());
    }
    Err(hub::continue_as_new(peer, rounds, Some(seen.take())).into())
}

async fn round(name: &str, peer: &str, number: u32, seen: &Rc<RefCell<Seen>>) -> WorkflowResult<()> {
    let (asked, begun) = (Duration::from_millis(random().range(1..80)), now());
    sleep(asked).await?;
    if now().duration_since(begun)? < asked {
        seen.borrow_mut().early.push(name.to_owned());
    }
    let work = activity::<String>("work")
        .arg(name)
        .start_to_close_timeout(Duration::from_secs(5))
        .retry_policy(RetryPolicy::default().initial_interval(Duration::from_millis(200)).backoff_coefficient(1.0));
    // Every second one goes on in another run before it ends.
    let child = child_workflow::<String>("Relay").arg(name).arg(number % 2).workflow_id(format!("{name}/relay"));
    let message = external_workflow(peer).signal("note").arg(format!("{name}/peer"));
    let (worked, relayed, told) = join!(work, child, message);
    let mut seen = seen.borrow_mut();
    seen.activities.push(worked?);
    seen.children.push(relayed?);
    // The peer may have finished.
    if told.is_ok() {
        seen.messages.push(format!("{name}/peer"));
    }
    Ok(())
}

async fn leave_behind(name: &str) -> WorkflowResult<()> {
    for (child, policy, id) in [
        ("Sleeper", ParentClosePolicy::Terminate, "terminated"),
        ("Sleeper", ParentClosePolicy::RequestCancel, "canceled"),
        ("Napper", ParentClosePolicy::Abandon, "abandoned"),
    ] {
        let _child =
            child_workflow::<()>(child).workflow_id(format!("{name}/{id}")).parent_close_policy(policy).start().await?;
    }
    Ok(())
}

/// Sends its parent a note, goes on in so many further runs, and gives back its name.
#[workflow]
pub async fn relay(name: String, runs: u32) -> WorkflowResult<String> {
    if let Some(parent) = info().parent {
        external_workflow(parent.execution.workflow_id).signal("note").arg(format!("{name}/child.{runs}")).await?;
    }
    if runs > 0 {
        return Err(relay::continue_as_new(name, runs - 1).into());
    }
    Ok(name)
}

/// Sleeps for an hour, unless somebody ends it.
#[workflow]
pub async fn sleeper() -> WorkflowResult<()> {
    sleep(Duration::from_secs(3_600)).await?;
    Ok(())
}

/// Sleeps for so long that its parent has closed before it has.
#[workflow]
pub async fn napper() -> WorkflowResult<()> {
    sleep(Duration::from_secs(2)).await?;
    Ok(())
}

/// Takes the signals `note` that are there, goes on in a new run with them, and ends when it has so many.
#[workflow]
pub async fn collector(wanted: usize, seen: Option<Vec<String>>) -> WorkflowResult<Vec<String>> {
    let mut seen = seen.unwrap_or_default();
    let mut notes = signals::<String>("note");
    seen.push(notes.next().await?);
    while let Some(note) = notes.try_next() {
        seen.push(note);
    }
    if seen.len() >= wanted {
        return Ok(seen);
    }
    Err(collector::continue_as_new(wanted, Some(seen)).into())
}
