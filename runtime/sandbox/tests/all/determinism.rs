//! Nothing that a guest can see depends on anything but the journal.

use serde_json::{Value, json};

use crate::support::{EPOCH, Run, sandbox, shared};

fn observed(sandbox: &mainspring_sandbox::Sandbox, run_id: &str, what: &[&str]) -> Value {
    let steps = what.iter().map(|what| json!({"observe": what})).collect();
    let mut run = Run::start_as(sandbox, run_id, "Puppet", steps);
    run.task();
    run.replay().unwrap();
    run.result()
}

#[test]
fn time_is_the_journal_s_on_every_clock() {
    let seen = observed(shared(), "run-t", &["now", "system_time", "instant"]);
    assert_eq!(seen, json!([[EPOCH + 3, 5], [EPOCH + 3, 5], 0]));
}

#[test]
fn randomness_and_hash_order_are_the_same_in_every_instance_and_on_every_server() {
    let what = ["random", "hash_order"];
    let (other, _) = sandbox(|_| {});
    let seen = observed(shared(), "run-r", &what);
    assert_eq!(observed(shared(), "run-r", &what), seen);
    assert_eq!(observed(&other, "run-r", &what), seen);
    let another_run = observed(shared(), "run-s", &what);
    assert_ne!(another_run[0], seen[0]);
    assert_ne!(another_run[1], seen[1]);
}

#[test]
fn a_reset_run_repeats_its_past_and_draws_anew_from_there() {
    use mainspring_api::{
        enums::{EventType, WorkflowTaskFailedCause},
        history::{WorkflowTaskFailedEventAttributes, history_event::Attributes},
    };

    let steps = json!([{"observe": "random"}, "await_signal", {"observe": "random"}]);
    let finish = |mut run: Run| {
        run.signal("go", json!(null));
        run.task();
        run.replay().unwrap();
        run.result()
    };
    let mut original = Run::start_as(shared(), "run-o", "Puppet", steps.clone());
    original.task();
    let mut reset = Run::start_as(shared(), "run-o", "Puppet", steps);
    // The history goes on under another run id, and keeps the original one in its first event.
    reset.key.run_id = "run-after-reset".into();
    reset.task();
    let started_event_id = reset.begin_task();
    reset.write(
        EventType::WorkflowTaskFailed,
        Attributes::WorkflowTaskFailedEventAttributes(WorkflowTaskFailedEventAttributes {
            scheduled_event_id: started_event_id - 1,
            started_event_id,
            cause: WorkflowTaskFailedCause::ResetWorkflow.into(),
            base_run_id: "run-o".into(),
            new_run_id: "run-after-reset".into(),
            ..Default::default()
        }),
    );
    let (original, reset) = (finish(original), finish(reset));
    assert_eq!(reset[0], original[0]);
    assert_ne!(reset[2], original[2]);
}

#[test]
fn the_machine_is_out_of_sight() {
    assert_eq!(observed(shared(), "run-e", &["environment", "files"]), json!([[0, 0], true]));
}
