//! Handlers of messages: of any name, registered late, held open, and such that try what they may not.

use std::{cell::RefCell, rc::Rc};

use mainspring_workflow::{PayloadError, prelude::*};
use serde_json::{Value, json};

/// Answers and keeps every message, whatever its name; ends with the signal `end`.
#[workflow(name = "Dynamic")]
pub async fn any_name() -> WorkflowResult<Vec<Value>> {
    let heard = Rc::new(RefCell::new(Vec::<Value>::new()));
    let told = |name: &str, args: &Args| -> Result<Value, PayloadError> {
        Ok(json!([name, (0..args.len()).map(|index| args.get(index)).collect::<Result<Vec<Value>, _>>()?]))
    };
    on_dynamic_signal({
        let heard = heard.clone();
        move |name: String, args: Args| -> WorkflowResult<()> {
            heard.borrow_mut().push(told(&name, &args)?);
            Ok(())
        }
    });
    on_dynamic_query(move |name: String, args: Args| -> WorkflowResult<Value> { Ok(told(&name, &args)?) });
    on_dynamic_update({
        let heard = heard.clone();
        move |name: String, args: Args| -> WorkflowResult<Value> {
            let told = told(&name, &args)?;
            heard.borrow_mut().push(told.clone());
            Ok(told)
        }
    })
    .dynamic_validator(|name: String, _: Args| {
        if name == "refused" { Err(ApplicationFailure::new("Refused", "not this one")) } else { Ok(()) }
    });
    let is_over = || heard.borrow().iter().any(|told| told[0] == "end");
    wait_condition(is_over).await?;
    Ok(heard.take())
}

/// Registers its handler after a timer; gives so many notes.
#[workflow]
pub async fn late_handler(milliseconds: u64, count: usize) -> WorkflowResult<Vec<Value>> {
    let notes = Rc::new(RefCell::new(Vec::new()));
    sleep(Duration::from_millis(milliseconds)).await?;
    on_signal("note", {
        let notes = notes.clone();
        move |note: Value| notes.borrow_mut().push(note)
    });
    wait_condition(|| notes.borrow().len() >= count).await?;
    Ok(notes.take())
}

/// Lets updates `pass` wait at a gate until the signal `open`; ends with the signal `close`, whoever waits.
#[workflow]
pub async fn gate() -> WorkflowResult<Vec<String>> {
    let (passed, is_open) = (Rc::new(RefCell::new(Vec::<String>::new())), Rc::new(RefCell::new(false)));
    on_query("passed", {
        let passed = passed.clone();
        move || passed.borrow().clone()
    });
    // What a query may not do.
    on_query("starts_a_timer", || {
        drop(sleep(Duration::from_secs(1)).start());
    });
    on_signal("open", {
        let is_open = is_open.clone();
        move || *is_open.borrow_mut() = true
    });
    on_update("pass", {
        let passed = passed.clone();
        async move |name: String| -> WorkflowResult<usize> {
            wait_condition(|| *is_open.borrow()).await?;
            passed.borrow_mut().push(name);
            Ok(passed.borrow().len())
        }
    });
    on_update("call", async |name: String| -> WorkflowResult<Value> {
        Ok(activity::<Value>(name).arg("from an update").start_to_close_timeout(Duration::from_secs(30)).await?)
    });
    signals::<Option<Value>>("close").next().await?;
    let passed = passed.borrow().clone();
    Ok(passed)
}

/// Ends in the activation in which its update is handled.
#[workflow]
pub async fn ends_with_its_update() -> WorkflowResult<String> {
    let given = Rc::new(RefCell::new(None));
    on_update("finish", {
        let given = given.clone();
        move |value: String| {
            *given.borrow_mut() = Some(value);
            "finished"
        }
    });
    wait_condition(|| given.borrow().is_some()).await?;
    let value = given.take();
    Ok(value.unwrap_or_default())
}
