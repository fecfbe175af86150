//! Updates: refused, accepted, answered, and in which order.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use serde_json::json;

use super::*;

/// A number that updates change: at once, or after an activity.
#[workflow]
async fn counter(end_at: u32) -> WorkflowResult<u32> {
    let total = Rc::new(Cell::new(0));
    on_update("add", {
        let total = total.clone();
        move |n: u32| {
            total.set(total.get() + n);
            total.get()
        }
    })
    .validator({
        let total = total.clone();
        move |n: u32| {
            if total.get() + n > 100 {
                return Err(ApplicationFailure::new("TooMuch", format!("{} + {n} is more than 100", total.get())));
            }
            Ok(())
        }
    });
    on_update("fetch", {
        let total = total.clone();
        async move |name: String| {
            let text = work(&name).await?;
            let number: u32 = text.parse().or_fail("NotANumber")?;
            total.set(total.get() + number);
            WorkflowResult::Ok(total.get())
        }
    });
    wait_condition(|| total.get() >= end_at).await?;
    wait_condition(all_handlers_finished).await?;
    Ok(total.get())
}

#[test]
fn an_update_is_accepted_and_answered_in_one_activation() {
    let mut run = TestRun::start::<counter>([10]);
    let update = run.update("add", [7]);
    assert_eq!(asked(&run), ["accept 1", "complete 1"]);
    assert_eq!(run.update_result::<u32>(update).unwrap().unwrap(), 7);
    run.update("add", [5]);
    assert_eq!(run.result::<u32>().unwrap(), 12);
}

#[test]
fn a_validator_refuses_and_nothing_changes() {
    let mut run = TestRun::start::<counter>([10]);
    let update = run.update("add", [101]);
    assert_eq!(asked(&run), ["reject 1"]);
    let failure = run.update_result::<u32>(update).unwrap().unwrap_err().into_failure();
    assert_eq!(failure.to_string(), "0 + 101 is more than 100 (TooMuch)");
    assert!(run.is_blocked());
}

#[test]
fn what_the_journal_has_accepted_is_not_validated_again() {
    let mut run = TestRun::start::<counter>([500]);
    let Event::UpdateRequested(update) = run.update_event("add", [101]) else { panic!() };
    run.resume([Event::UpdateRequested(crate::bindings::mainspring::workflow::activation::Update {
        run_validator: false,
        ..update
    })]);
    assert_eq!(run.update_result::<u32>(1).unwrap().unwrap(), 101);
}

#[test]
fn an_update_runs_beside_the_main_routine_and_others() {
    let mut run = TestRun::start::<counter>([10]);
    let slow = run.update("fetch", ["slow"]);
    let quick = run.update("fetch", ["quick"]);
    assert_eq!(asked(&run), ["accept 1", "1:slow", "accept 2", "2:quick"]);
    assert!(run.is_accepted(slow) && run.update_result::<u32>(slow).is_none());
    run.complete_activity(2, "10");
    assert_eq!(run.update_result::<u32>(quick).unwrap().unwrap(), 10);
    assert!(run.is_blocked(), "it waits for the handler that is running");
    run.complete_activity(1, "1");
    assert_eq!(run.update_result::<u32>(slow).unwrap().unwrap(), 11);
    assert_eq!(run.result::<u32>().unwrap(), 11);
}

#[test]
fn an_error_after_the_acceptance_is_the_answer_and_the_workflow_goes_on() {
    let mut run = TestRun::start::<counter>([10]);
    let update = run.update("fetch", ["text"]);
    run.complete_activity(1, "ten");
    let failure = run.update_result::<u32>(update).unwrap().unwrap_err().into_failure();
    assert!(matches!(&failure.kind, FailureKind::Application(info) if info.error_type == "NotANumber"), "{failure}");
    let update = run.update("fetch", ["down"]);
    run.fail_activity(2, ApplicationFailure::new("Down", "no answer"));
    let failure = run.update_result::<u32>(update).unwrap().unwrap_err().into_failure();
    assert_eq!(failure.to_string(), "activity error: no answer (Down)");
    assert!(run.is_blocked());
}

#[test]
fn an_argument_that_cannot_be_read_is_a_refusal() {
    let mut run = TestRun::start::<counter>([10]);
    let update = run.update("add", ["many"]);
    assert_eq!(asked(&run), ["reject 1"]);
    let failure = run.update_result::<u32>(update).unwrap().unwrap_err().into_failure();
    assert!(failure.message.starts_with("update add: argument 1: invalid type: string \"many\""), "{failure}");
}

#[test]
fn an_unknown_update_is_refused_with_the_known_ones() {
    let mut run = TestRun::start::<counter>([10]);
    let update = run.update("nope", NONE);
    let failure = run.update_result::<()>(update).unwrap().unwrap_err().into_failure();
    assert_eq!(
        failure.message,
        "Update handler for 'nope' expected but not found, and there is no dynamic handler. known updates: [add fetch]"
    );
    assert_eq!(asked(&run), ["reject 1"]);
}

#[test]
fn an_update_waits_for_a_handler_until_nothing_can_move() {
    #[workflow]
    async fn late() -> WorkflowResult<u32> {
        signals::<()>("ready").next().await?;
        let got = Rc::new(Cell::new(0));
        on_update("set", {
            let got = got.clone();
            move |n: u32| got.set(n)
        })
        .validator(|n: u32| if n == 0 { Err(ApplicationFailure::new("Zero", "not zero")) } else { Ok(()) });
        wait_condition(|| got.get() > 0).await?;
        Ok(got.get())
    }
    let mut run = TestRun::start::<late>(NONE);
    run.update("set", [1]);
    assert_eq!(asked(&run), ["reject 1"], "nobody has a handler for it yet");
    // All in one activation: the handler comes while the updates wait, and its validator with it.
    let events = [run.update_event("set", [0]), run.update_event("set", [3]), signal("ready", ())];
    run.resume(events);
    assert_eq!(asked(&run), ["reject 1", "reject 2", "accept 3", "complete 3"]);
    assert_eq!(run.result::<u32>().unwrap(), 3);
}

#[test]
fn an_update_sees_what_came_before_it() {
    #[workflow]
    async fn gate() -> WorkflowResult<()> {
        let open = Rc::new(Cell::new(false));
        on_update("enter", || "in").validator({
            let open = open.clone();
            move || if open.get() { Ok(()) } else { Err(ApplicationFailure::new("Closed", "closed")) }
        });
        let mut opens = signals::<()>("open");
        opens.next().await?;
        open.set(true);
        opens.next().await?;
        Ok(())
    }
    let mut run = TestRun::start::<gate>(NONE);
    let event = run.update_event("enter", NONE);
    run.resume([signal("open", ()), event]);
    assert_eq!(run.update_result::<String>(1).unwrap().unwrap(), "in");
}

#[test]
fn a_dynamic_handler_takes_what_has_no_handler() {
    #[workflow]
    async fn dynamic() -> WorkflowResult<()> {
        on_dynamic_update(async |name: String, args: Args| {
            sleep(seconds(1)).await?;
            WorkflowResult::Ok(format!("{name}({})", args.get::<u32>(0)?))
        })
        .dynamic_validator(|name: String, args: Args| {
            if args.is_empty() { Err(ApplicationFailure::new("Empty", format!("{name} of nothing"))) } else { Ok(()) }
        });
        Ok(signals::<()>("end").next().await?)
    }
    let mut run = TestRun::start::<dynamic>(NONE);
    let refused = run.update("a", NONE);
    let update = run.update("b", [7]);
    run.fire_timer(1);
    assert_eq!(run.update_result::<String>(update).unwrap().unwrap(), "b(7)");
    assert_eq!(run.update_result::<String>(refused).unwrap().unwrap_err().to_string(), "a of nothing (Empty)");
}

#[test]
fn a_handler_knows_which_update_it_is_and_nobody_else_does() {
    #[workflow]
    async fn who() -> WorkflowResult<Vec<String>> {
        let ids = Rc::new(RefCell::new(Vec::new()));
        on_update("who", {
            let ids = ids.clone();
            async move || {
                sleep(seconds(1)).await?;
                let update = current_update().map(|update| format!("{} {}", update.name, update.id));
                ids.borrow_mut().extend(update.clone());
                WorkflowResult::Ok(update)
            }
        });
        wait_condition(|| ids.borrow().len() == 2).await?;
        assert_eq!(current_update(), None);
        Ok(ids.take())
    }
    let mut run = TestRun::start::<who>(NONE);
    run.update("who", NONE);
    run.update("who", NONE);
    run.fire_timer(2);
    run.fire_timer(1);
    assert_eq!(run.result::<Vec<String>>().unwrap(), ["who update-2", "who update-1"]);
}

#[test]
fn a_request_to_cancel_leaves_handlers_alone() {
    #[workflow]
    async fn cancels() -> WorkflowResult<()> {
        on_update("slow", async || work("slow").await);
        let canceled = sleep(seconds(60)).await;
        shielded(wait_condition(all_handlers_finished)).await?;
        Ok(canceled?)
    }
    let mut run = TestRun::start::<cancels>(NONE);
    let update = run.update("slow", NONE);
    run.request_cancel("enough");
    assert_eq!(asked(&run), ["1:60s", "accept 1", "2:slow", "cancel 1"]);
    run.complete_activity(2, "done");
    assert_eq!(run.update_result::<String>(update).unwrap().unwrap(), "done");
    assert!(run.is_canceled());
}

#[workflow]
async fn leaves(quietly: bool) -> WorkflowResult<()> {
    let policy = if quietly { UnfinishedPolicy::Abandon } else { UnfinishedPolicy::WarnAndAbandon };
    on_update("slow", async || sleep(seconds(9)).await).unfinished_policy(policy);
    on_signal("slow", async || sleep(seconds(9)).await).unfinished_policy(policy);
    Ok(signals::<()>("end").next().await?)
}

#[test]
fn a_workflow_that_ends_while_handlers_run_warns() {
    for quietly in [true, false] {
        let mut run = TestRun::start::<leaves>([quietly]);
        run.update("slow", NONE);
        run.resume([signal("slow", ()), signal("slow", ())]);
        run.signal("end", ());
        run.result::<()>().unwrap();
        let lines = run.log_lines();
        if quietly {
            assert_eq!(lines, []);
            continue;
        }
        assert!(lines.iter().all(|(level, message, _)| *level == Level::Warn && message.starts_with("[TMPRL1102]")));
        assert!(lines[0].1.ends_with(r#": [{"name":"slow","id":"update-1"}]"#), "{}", lines[0].1);
        assert!(lines[1].1.ends_with(r#": [{"name":"slow","count":2}]"#), "{}", lines[1].1);
    }
}

#[test]
fn an_update_of_the_activation_that_ends_the_workflow_is_still_answered() {
    #[workflow]
    async fn ends() -> WorkflowResult<()> {
        on_update("ping", || "pong");
        on_update("late", async || work("never scheduled").await);
        Ok(signals::<()>("end").next().await?)
    }
    let mut run = TestRun::start::<ends>(NONE);
    let events = [
        signal("end", ()),
        run.update_event("ping", NONE),
        run.update_event("late", NONE),
        run.update_event("unknown", NONE),
    ];
    run.resume(events);
    run.result::<()>().unwrap();
    assert_eq!(asked(&run), ["accept 1", "complete 1", "accept 2", "reject 3"]);
    assert_eq!(run.update_result::<String>(1).unwrap().unwrap(), "pong");
}

#[test]
fn a_validator_that_would_change_something_panics() {
    #[workflow]
    async fn naughty() -> WorkflowResult<()> {
        on_update("x", || {}).validator(|| drop(sleep(seconds(1)).start()));
        Ok(signals::<()>("end").next().await?)
    }
    let mut run = TestRun::start::<naughty>(NONE);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.update("x", NONE)));
    let message = *panic.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(message, "an update validator tried to start a timer: it may only read, and change nothing");
    std::mem::forget(run); // What panicked is not replayed.
}

#[test]
fn a_replay_that_does_something_else_is_noticed() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static RUNS: AtomicU32 = AtomicU32::new(0);

    #[workflow]
    async fn differs() -> WorkflowResult<u32> {
        Ok(RUNS.fetch_add(1, Ordering::Relaxed))
    }
    let run = TestRun::start::<differs>([json!(1)]);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.assert_replays()));
    assert!(panic.unwrap_err().downcast::<String>().unwrap().starts_with("a replay does something else"));
    std::mem::forget(run);
}
