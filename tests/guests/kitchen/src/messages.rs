//! Signals and conditions.

use std::{cell::RefCell, rc::Rc};

use mainspring_workflow::prelude::*;
use serde_json::{Value, json};

/// Gives the arguments of so many signals `tick`, in the order of their arrival.
#[workflow]
pub async fn signal_counter(count: usize) -> WorkflowResult<Vec<Value>> {
    let mut ticks = signals::<Value>("tick");
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        values.push(ticks.next().await?);
    }
    Ok(values)
}

/// The argument of the signal `go`, or "timeout".
#[workflow]
pub async fn signal_or_timeout(milliseconds: u64) -> WorkflowResult<Value> {
    match signals::<Value>("go").next().timeout(Duration::from_millis(milliseconds)).await {
        Ok(value) => Ok(value?),
        Err(_) => Ok(json!("timeout")),
    }
}

/// Adds up the signals `add` in a routine of its own until the sum is large enough.
#[workflow]
pub async fn condition(at_least: f64) -> WorkflowResult<f64> {
    let sum = Rc::new(RefCell::new(0.0));
    spawn({
        let sum = sum.clone();
        async move {
            let mut additions = signals::<f64>("add");
            while let Ok(number) = additions.next().await {
                *sum.borrow_mut() += number;
            }
        }
    });
    wait_condition(|| *sum.borrow() >= at_least).await?;
    Ok(sum.take())
}
