//! The order workflow, as people write it: with the Rust SDK.

use mainspring_api::command::command::Attributes as Asked;
use mainspring_sandbox::{Digest, ModuleSource};
use serde_json::json;

use crate::support::{Run, guest, shared};

#[test]
fn the_order_workflow_charges_then_sends_a_mail_and_replays_exactly() {
    let order = guest("order_workflow");
    let description = shared().load(&order).unwrap();
    assert_eq!(description.workflow_types, ["OrderWorkflow"]);

    let input = json!({"amount": 99.99, "user_id": "u123", "email": "user@example.com"});
    let mut run = Run::start_as(shared(), "run-order", "OrderWorkflow", input);
    run.module = Digest::of(&order);
    let charge = run.task();
    let Some(Asked::ScheduleActivityTaskCommandAttributes(asked)) = &charge.commands[0].attributes else { panic!() };
    assert_eq!(asked.activity_type.as_ref().unwrap().name, "charge_payment");
    assert_eq!(asked.start_to_close_timeout.unwrap().seconds, 30);
    assert_eq!(asked.retry_policy.as_ref().unwrap().maximum_attempts, 3);

    run.complete(&asked.activity_id, json!("tx-u123"));
    let mail = run.task();
    let Some(Asked::ScheduleActivityTaskCommandAttributes(asked)) = &mail.commands[0].attributes else { panic!() };
    assert_eq!(asked.activity_type.as_ref().unwrap().name, "send_email");
    run.complete(&asked.activity_id, json!(null));
    run.task();
    assert_eq!(run.result(), json!("tx-u123"));

    let report = shared().replay(&ModuleSource::Bytes(&order), &run.key, &run.events).unwrap();
    assert_eq!((report.activations, report.commands), (3, 3));
    assert!(report.same_module());
}
