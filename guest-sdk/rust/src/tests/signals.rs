//! Signals with handlers: order, arguments, errors.

use std::{cell::RefCell, rc::Rc};

use serde_json::json;

use super::*;
use crate::testing::signal_with;

type Notes = Rc<RefCell<Vec<String>>>;

/// Registers its handlers when it is told to.
#[workflow]
async fn notes(count: usize) -> WorkflowResult<Vec<String>> {
    let notes = Notes::default();
    signals::<()>("ready").next().await?;
    on_signal("pair", {
        let notes = notes.clone();
        move |name: String, number: Option<u32>| notes.borrow_mut().push(format!("{name} {number:?}"))
    });
    on_signal("slow", {
        let notes = notes.clone();
        async move |name: String| {
            let answer = work(&name).await?;
            notes.borrow_mut().push(answer);
            WorkflowResult::Ok(())
        }
    });
    wait_condition(|| notes.borrow().len() >= count).await?;
    Ok(notes.take())
}

#[test]
fn a_handler_takes_what_arrived_before_it_in_order() {
    let mut run = TestRun::start::<notes>([3]);
    run.resume([signal("pair", "a"), signal_with("pair", [json!("b"), json!(2)]), signal("ready", ())]);
    run.signal("pair", "c");
    assert_eq!(run.result::<Vec<String>>().unwrap(), ["a None", "b Some(2)", "c None"]);
}

#[test]
fn async_handlers_run_beside_each_other() {
    let mut run = TestRun::start::<notes>([2]);
    run.resume([signal("ready", ()), signal("slow", "x"), signal("slow", "y")]);
    assert_eq!(asked(&run), ["1:x", "2:y"]);
    run.complete_activity(2, "Y");
    run.complete_activity(1, "X");
    assert_eq!(run.result::<Vec<String>>().unwrap(), ["Y", "X"]);
}

#[test]
fn an_error_of_a_handler_fails_the_workflow() {
    let mut run = TestRun::start::<notes>([1]);
    run.resume([signal("ready", ()), signal("slow", "x")]);
    run.fail_activity(1, ApplicationFailure::new("Down", "no answer"));
    assert_eq!(run.result::<()>().unwrap_err().to_string(), "activity error: no answer (Down)");
}

#[test]
fn a_signal_that_no_handler_can_read_is_left_out_with_a_warning() {
    let mut run = TestRun::start::<notes>([1]);
    run.resume([signal("ready", ()), signal("pair", 7)]);
    assert!(run.is_blocked());
    let lines = run.log_lines();
    assert_eq!((lines[0].0, &lines[0].2), (Level::Warn, &vec![("signal".into(), "pair".into())]));
    assert!(lines[0].1.contains("argument 1: invalid type: integer `7`"), "{}", lines[0].1);
}

#[test]
fn a_dynamic_handler_takes_what_nobody_else_wants_in_the_order_of_arrival() {
    #[workflow]
    async fn dynamic() -> WorkflowResult<Vec<String>> {
        let notes = Notes::default();
        let mut listened = signals::<String>("listened");
        sleep(seconds(1)).await?;
        on_signal("handled", {
            let notes = notes.clone();
            move || notes.borrow_mut().push("by name".into())
        });
        on_dynamic_signal({
            let notes = notes.clone();
            move |name: String, args: Args| {
                notes.borrow_mut().push(format!("{name} {}", args.get::<u32>(0)?));
                WorkflowResult::Ok(())
            }
        });
        let text = listened.next().await?;
        notes.borrow_mut().push(text);
        wait_condition(|| notes.borrow().len() == 6).await?;
        Ok(notes.take())
    }
    let mut run = TestRun::start::<dynamic>(NONE);
    run.resume([
        signal("z", 1),
        signal("a", 2),
        signal("handled", ()),
        signal("listened", "by stream"),
        signal("z", 3),
    ]);
    run.fire_timer(1);
    run.signal("late", 4);
    assert_eq!(
        run.result::<Vec<String>>().unwrap(),
        ["by stream", "by name", "z 1", "a 2", "z 3", "late 4"],
        "the main routine goes on, then come the handlers"
    );
}

#[test]
fn a_stream_gives_all_arguments_to_whoever_wants_them() {
    #[workflow]
    async fn transfers() -> WorkflowResult<(String, f64, usize)> {
        let transfer = signals::<Args>("transfer").next().await?;
        Ok((transfer.get(0)?, transfer.get(1)?, transfer.payloads().len()))
    }
    let mut run = TestRun::start::<transfers>(NONE);
    run.resume([signal_with("transfer", [json!("a-7"), json!(9.5)])]);
    assert_eq!(run.result::<(String, f64, usize)>().unwrap(), ("a-7".into(), 9.5, 2));
}

#[test]
#[should_panic(expected = "whose error is none that `?` converts: see `OrFail::or_fail`")]
fn an_error_that_cannot_fail_a_workflow_is_not_lost() {
    #[workflow]
    async fn careless() -> WorkflowResult<()> {
        on_signal("x", || Err::<(), _>("text"));
        Ok(signals::<()>("end").next().await?)
    }
    TestRun::start::<careless>(NONE).signal("x", ());
}
