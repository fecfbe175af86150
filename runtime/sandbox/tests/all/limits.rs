//! Every limit is met with a failure of the task that names it, and at the same place when it is tried again.

use std::time::Duration;

use mainspring_api::failure::failure::FailureInfo;
use mainspring_sandbox::{GuestLimit, SandboxConfig, TaskFailure, TaskFailureKind};
use serde_json::{Value, json};

use crate::support::{Run, sandbox, shared};

/// Runs these steps, which must fail, and checks that a neighbour is none the worse.
fn fails(adjust: impl FnOnce(&mut SandboxConfig), steps: Value) -> TaskFailure {
    let (sandbox, _) = sandbox(adjust);
    let mut neighbour = Run::start_as(&sandbox, "neighbour", "Puppet", json!(["await_signal"]));
    neighbour.task();

    let mut run = Run::start(&sandbox, steps);
    let failure = run.failing_task();
    let again = run.failing_task();
    assert_eq!((&failure.kind, &failure.failure.message), (&again.kind, &again.failure.message));

    neighbour.signal("still there?", json!(true));
    assert!(neighbour.task().cached);
    failure
}

fn check(failure: &TaskFailure, limit: GuestLimit, words: &[&str]) {
    assert_eq!(failure.kind, TaskFailureKind::Limit(limit), "{failure}");
    for word in words {
        assert!(failure.to_string().contains(word), "{failure}");
    }
    let Some(FailureInfo::ApplicationFailureInfo(info)) = &failure.failure.failure_info else { panic!("{failure:?}") };
    assert_eq!(info.r#type, limit.failure_type());
}

#[test]
fn fuel() {
    let failure = fails(|config| config.limits.fuel_per_activation = 20_000_000, json!(["spin"]));
    check(&failure, GuestLimit::Fuel, &["fuel", "20000000"]);
    assert!(!failure.retryable);
    assert!(failure.failure.stack_trace.contains("wasm"), "{}", failure.failure.stack_trace);
}

#[test]
fn real_time() {
    let failure = fails(
        |config| {
            config.limits.fuel_per_activation = u64::MAX;
            config.limits.activation_time = Duration::from_millis(100);
        },
        json!(["spin"]),
    );
    check(&failure, GuestLimit::Time, &["0.1 s"]);
    assert!(failure.retryable);
}

#[test]
fn memory() {
    let failure =
        fails(|config| config.limits.memory_bytes = 8 * 1024 * 1024, json!([{"allocate": {"bytes": 100_000_000}}]));
    check(&failure, GuestLimit::Memory, &["memory", "8388608"]);
}

#[test]
fn a_guest_may_cope_with_refused_memory() {
    let (sandbox, _) = sandbox(|config| config.limits.memory_bytes = 8 * 1024 * 1024);
    let mut run = Run::start(&sandbox, json!([{"grow": {"pages": 1_000}}, {"grow": {"pages": 1}}]));
    run.task();
    assert_eq!(run.result(), json!([true, false]));
    run.replay().unwrap();
}

#[test]
fn stack() {
    let failure = fails(|_| {}, json!(["recurse"]));
    check(&failure, GuestLimit::Stack, &["stack", "524288"]);
}

#[test]
fn commands() {
    let failure = fails(|config| config.limits.commands_per_activation = 100, json!([{"timers": {"count": 101}}]));
    check(&failure, GuestLimit::Commands, &["commands", "100"]);
    // Those that are cancelled again are work as well.
    let churn =
        json!([{"repeat": {"times": 101, "steps": [{"timer": {"name": "t", "ms": 1}}, {"cancel_timer": "t"}]}}]);
    check(&fails(|config| config.limits.commands_per_activation = 100, churn), GuestLimit::Commands, &["commands"]);
}

#[test]
fn command_bytes() {
    let failure = fails(
        |config| config.limits.command_bytes_per_activation = 1_000_000,
        json!([{"activities": {"count": 2_000, "bytes": 10_000}}]),
    );
    check(&failure, GuestLimit::CommandBytes, &["1000000 bytes"]);
}

#[test]
fn bytes_of_one_call() {
    let failure =
        fails(|config| config.limits.command_bytes_per_activation = 100_000, json!([{"lift": {"count": 50_000}}]));
    check(&failure, GuestLimit::CallBytes, &["200000 bytes"]);
    check(&fails(|_| {}, json!([{"random_bytes": 70_000}])), GuestLimit::CallBytes, &["70000", "65536"]);
    let chain = json!([{"fail": {"kind": "Deep", "links": 51}}]);
    check(&fails(|_| {}, chain), GuestLimit::CallBytes, &["51 causes", "50"]);
}

#[test]
fn log_bytes_of_lines_and_of_streams() {
    let adjust = |config: &mut SandboxConfig| config.limits.log_bytes_per_activation = 10_000;
    let steps = [
        json!([{"log": {"message": "flood", "times": 2_000}}]),
        json!([{"print": {"text": "flood", "times": 2_000}}]),
        json!([{"print": {"text": "flood", "times": 2_000, "stderr": true}}]),
        json!([{"log": {"message": "", "times": 20_000}}]),
    ];
    for steps in steps {
        check(&fails(adjust, steps), GuestLimit::LogBytes, &["10000 bytes"]);
    }
}

#[test]
fn a_limit_counts_each_activation_by_itself_live_and_in_replay() {
    let (sandbox, _) = sandbox(|config| {
        config.limits.commands_per_activation = 10;
        config.limits.log_bytes_per_activation = 1_000;
    });
    let part = json!([{"timers": {"count": 10}}, {"print": {"text": "12345678", "times": 100}}, "await_signal"]);
    let steps: Vec<Value> = (0..5).flat_map(|_| part.as_array().unwrap().clone()).collect();
    let mut run = Run::start(&sandbox, json!(steps));
    for _ in 0..5 {
        run.task();
        run.signal("on", json!(null));
    }
    run.replay().unwrap();
}

#[test]
fn a_panic_is_quoted() {
    let failure = fails(|_| {}, json!([{"panic": "the order has no amount"}]));
    assert_eq!(failure.kind, TaskFailureKind::Trap);
    assert!(failure.to_string().contains("the order has no amount"), "{failure}");
    assert!(failure.to_string().contains("src/lib.rs"), "{failure}");
}

#[test]
fn what_a_workflow_may_not_do_says_what_to_do_instead() {
    for (steps, words) in [
        (json!(["sleep"]), ["monotonic-clock", "start a timer"]),
        (json!(["exit"]), ["wasi:cli/exit", "return a status"]),
        (json!(["connect"]), ["wasi:sockets", "call an activity"]),
        (json!([{"cancel_number": 7}]), ["operation 7", "never started"]),
        (json!([{"cancel_number": 0}]), ["operation 0", "never started"]),
        (json!([{"long_timer": 999_999_999_999_u64}]), ["a duration of 999999999999 s", "at most"]),
        (json!([{"fail": {"kind": "Nothing", "links": 0}}]), ["failure", "without a single link"]),
    ] {
        let failure = fails(|_| {}, steps);
        assert_eq!(failure.kind, TaskFailureKind::BadCall, "{failure}");
        assert!(words.iter().all(|word| failure.to_string().contains(word)), "{failure}");
    }
}

#[test]
fn a_task_that_failed_can_succeed_on_another_server() {
    let (small, _) = sandbox(|config| config.limits.commands_per_activation = 1);
    let mut run = Run::start(&small, json!([{"timers": {"count": 5}}, "await_signal"]));
    run.failing_task();
    run.sandbox = shared().clone();
    assert_eq!(run.task().commands.len(), 5);
    run.replay().unwrap();
}
