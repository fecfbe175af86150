//! Queries: what they answer, what they may not do, and what is built in.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use serde_json::{Value, json};

use super::*;

#[workflow]
async fn staged() -> WorkflowResult<()> {
    let stage = Rc::new(RefCell::new("charging".to_owned()));
    on_query("stage", {
        let stage = stage.clone();
        move || stage.borrow().clone()
    })
    .description("Where it is.");
    on_query("join", |a: String, b: u32, c: Option<bool>| format!("{a} {b} {c:?}"));
    on_query("half", |n: u32| {
        if n.is_multiple_of(2) { Ok(n / 2) } else { Err(ApplicationFailure::new("Odd", format!("{n} is odd"))) }
    });
    sleep(seconds(1)).await?;
    *stage.borrow_mut() = "shipping".into();
    sleep(seconds(1)).await?;
    *stage.borrow_mut() = "done".into();
    Ok(())
}

fn stage(run: &TestRun) -> String {
    run.query("stage", NONE).unwrap()
}

#[test]
fn a_query_is_answered_where_the_run_stands_also_after_its_end() {
    let mut run = TestRun::start::<staged>(NONE);
    assert_eq!(stage(&run), "charging");
    run.fire_timer(1);
    assert_eq!(stage(&run), "shipping");
    run.fire_timer(2);
    run.result::<()>().unwrap();
    assert_eq!(stage(&run), "done");
    assert_eq!(asked(&run), ["1:1s", "2:1s"], "nothing was asked of the host");
}

#[test]
fn arguments_are_typed_and_an_option_may_be_missing() {
    let run = TestRun::start::<staged>(NONE);
    assert_eq!(run.query::<String>("join", [json!("x"), json!(7)]).unwrap(), "x 7 None");
    assert_eq!(
        run.query::<String>("join", [json!("x"), json!(7), json!(true), json!("more")]).unwrap(),
        "x 7 Some(true)"
    );
    let error = run.query::<String>("join", [json!("x"), json!("seven")]).unwrap_err();
    assert!(
        error.to_string().starts_with("query join: argument 2: invalid type: string \"seven\", expected u32"),
        "{error}"
    );
}

#[test]
fn a_handler_may_fail() {
    let run = TestRun::start::<staged>(NONE);
    assert_eq!(run.query::<u32>("half", [8]).unwrap(), 4);
    let failure = run.query::<u32>("half", [7]).unwrap_err().into_failure();
    assert_eq!(failure.to_string(), "7 is odd (Odd)");
}

#[test]
fn an_unknown_query_fails_with_the_known_ones() {
    let run = TestRun::start::<staged>(NONE);
    let failure = run.query::<()>("nope", NONE).unwrap_err().into_failure();
    assert_eq!(
        failure.message,
        "Query handler for 'nope' expected but not found, and there is no dynamic handler. Known queries: \
         [__stack_trace __temporal_workflow_metadata half join stage]"
    );
}

#[test]
fn a_dynamic_handler_answers_what_has_no_handler() {
    #[workflow]
    async fn dynamic() -> WorkflowResult<()> {
        on_query("known", || "by name");
        on_dynamic_query(|name: String, args: Args| {
            WorkflowResult::Ok(format!("{name} with {} and {:?}", args.len(), args.get::<Option<u32>>(1)?))
        });
        Ok(sleep(seconds(1)).await?)
    }
    let run = TestRun::start::<dynamic>(NONE);
    assert_eq!(run.query::<String>("known", NONE).unwrap(), "by name");
    assert_eq!(run.query::<String>("other", [1]).unwrap(), "other with 1 and None");
    assert_eq!(run.query::<String>("other", [1, 2]).unwrap(), "other with 2 and Some(2)");
    let failure = run.query::<String>("other", ["x", "y"]).unwrap_err().into_failure();
    assert!(failure.message.starts_with("argument 2: invalid type"), "{failure}");
}

/// Registers a query that does what must not be done.
#[workflow]
async fn naughty(what: String) -> WorkflowResult<()> {
    let scope = CancellationScope::new();
    on_query("poke", move || match what.as_str() {
        "activity" => drop(work("x").start()),
        "timer" => drop(sleep(seconds(1)).start()),
        "child" => drop(child_workflow::<()>("X").start()),
        "signal" => drop(external_workflow("x").signal("y").send()),
        "spawn" => drop(spawn(async {})),
        "random" => drop(uuid4()),
        "side effect" => side_effect(|| ()),
        "patch" => drop(patched("x")),
        "memo" => upsert_memo(Memo::new().set("a", 1)).unwrap(),
        "details" => set_current_details("x"),
        "handler" => drop(on_query("more", || 1)),
        "cancel" => scope.cancel(),
        "take" => drop(signals::<u32>("n")),
        _ => {}
    });
    Ok(signals::<()>("end").next().await?)
}

#[test]
fn a_query_that_would_change_something_panics_and_says_what() {
    let tried = [
        ("activity", "schedule an activity"),
        ("timer", "start a timer"),
        ("child", "draw a random number"), // for the id
        ("signal", "signal a workflow"),
        ("spawn", "spawn a routine"),
        ("random", "draw a random number"),
        ("side effect", "have a side effect"),
        ("patch", "ask for a patch"),
        ("memo", "change the memo"),
        ("details", "set the current details"),
        ("handler", "register a query handler"),
        ("cancel", "cancel a scope"),
        ("take", "listen to signals"),
    ];
    for (what, action) in tried {
        let run = TestRun::start::<naughty>([what]);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.query::<()>("poke", NONE)));
        let message = *panic.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, format!("a query handler tried to {action}: it may only read, and change nothing"));
        assert_eq!(run.commands(), []);
    }
    TestRun::start::<naughty>(["nothing"]).query::<()>("poke", NONE).unwrap();
}

#[test]
fn metadata_lists_what_the_workflow_answers_to() {
    #[workflow]
    async fn described() -> WorkflowResult<()> {
        on_query("b", || 1).description("second");
        on_query("a", || 1);
        on_signal("go", || {}).description("starts it");
        on_update("set", |_: u32| {}).description("sets it");
        on_dynamic_update(|_: String, _: Args| {}).description("anything else");
        set_current_details("**waiting**");
        assert_eq!(crate::current_details(), "**waiting**");
        signals::<()>("stop").next().await?;
        Ok(())
    }
    let run = TestRun::start::<described>(NONE);
    let payload: Payload = run.query("__temporal_workflow_metadata", NONE).unwrap();
    let metadata =
        |key: &str| payload.metadata.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_slice());
    assert_eq!(metadata("encoding"), Some(&b"json/protobuf"[..]));
    assert_eq!(metadata("messageType"), Some(&b"temporal.api.sdk.v1.WorkflowMetadata"[..]));
    let value: Value = serde_json::from_slice(&payload.data).unwrap();
    let expected = json!({
        "definition": {
            "type": "Described",
            "queryDefinitions": [
                { "name": "__stack_trace", "description": "What each routine of the workflow waits for." },
                {
                    "name": "__temporal_workflow_metadata",
                    "description": "What the workflow answers to, and its current details.",
                },
                { "name": "a" },
                { "name": "b", "description": "second" },
            ],
            "signalDefinitions": [{ "name": "go", "description": "starts it" }, { "name": "stop" }],
            "updateDefinitions": [{ "description": "anything else" }, { "name": "set", "description": "sets it" }],
        },
        "currentDetails": "**waiting**",
    });
    assert_eq!(value, expected);
}

#[test]
fn the_stack_trace_says_what_each_routine_waits_for() {
    #[workflow]
    async fn busy() -> WorkflowResult<()> {
        on_update("wait", async || {
            sleep(seconds(9)).await?;
            WorkflowResult::Ok(())
        });
        spawn(async { signals::<()>("go").next().await });
        let lock = Rc::new(Mutex::new(()));
        let _held = lock.try_lock();
        let flag = Cell::new(false);
        let child = child_workflow::<()>("Ship").workflow_id("ship-7");
        let _ = join!(work("charge"), child, wait_condition(|| flag.get()), lock.lock());
        Ok(())
    }
    let mut run = TestRun::start::<busy>(NONE);
    run.update("wait", NONE);
    let trace: String = run.query("__stack_trace", NONE).unwrap();
    // Places in the source are for people; here they would be in the way.
    let lines: Vec<_> = trace.lines().map(|line| line.split(" at ").next().unwrap_or_default()).collect();
    assert_eq!(
        lines,
        [
            "main routine waits for",
            "    activity charge (operation 1)",
            "    child workflow Ship (id ship-7) (operation 2)",
            "    condition",
            "    lock",
            "routine spawned",
            "    signal go",
            "handler of update wait (id update-1) waits for",
            "    timer of 9s (operation 3)",
        ]
    );
    assert!(trace.contains("condition at guest-sdk/rust/src/tests/queries.rs:"), "{trace}");
}

#[test]
#[should_panic(expected = "the name __temporal_x is kept for what is built in")]
fn names_of_what_is_built_in_cannot_be_taken() {
    #[workflow]
    async fn takes() -> WorkflowResult<()> {
        on_query("__temporal_x", || 1);
        Ok(())
    }
    TestRun::start::<takes>(NONE);
}

#[test]
fn a_stack_trace_names_places_of_the_author() {
    #[workflow]
    async fn waits() -> WorkflowResult<()> {
        let shielded = shielded(work("shielded"));
        let timed = timeout(seconds(9), signals::<()>("timed").next()).await;
        drop((shielded, timed));
        Ok(())
    }
    let run = TestRun::start::<waits>(NONE);
    let trace: String = run.query("__stack_trace", NONE).unwrap();
    for line in trace.lines().filter(|line| line.contains(" at ")) {
        assert!(line.contains(file!()), "{line}");
    }
    assert_eq!(trace.matches(file!()).count(), 2, "{trace}");

    #[workflow]
    async fn shields() -> WorkflowResult<String> {
        Ok(shielded(work("shielded")).await?)
    }
    let trace: String = TestRun::start::<shields>(NONE).query("__stack_trace", NONE).unwrap();
    assert!(trace.contains(&format!("activity shielded (operation 1) at {}", file!())), "{trace}");
}
