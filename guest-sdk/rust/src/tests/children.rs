//! Child workflows, and messages to other workflows.

use super::*;
use crate::{child_workflow, testing::Target};

/// Written elsewhere.
#[child_workflow]
fn ship_order(order_id: u64, express: bool) -> String;

#[workflow]
async fn square(n: u32) -> WorkflowResult<u32> {
    Ok(n * n)
}

fn child(workflow_id: &str) -> crate::ChildWorkflow<String> {
    child_workflow("Ship").workflow_id(workflow_id)
}

#[test]
fn typed_stubs_start_children_with_all_their_options() {
    #[workflow]
    async fn parent() -> WorkflowResult<(String, u32)> {
        let tracking = ship_order(7, true)
            .workflow_id("ship-7")
            .task_queue("shipping")
            .execution_timeout(seconds(300))
            .run_timeout(seconds(200))
            .task_timeout(seconds(5))
            .retry_policy(RetryPolicy::default().maximum_attempts(3))
            .parent_close_policy(ParentClosePolicy::Abandon)
            .workflow_id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
            .cancellation_type(ChildCancellationType::TryCancel)
            .memo(Memo::new().set("note", "fragile").unset("nothing"))
            .search_attributes(SearchAttributes::new().int("Parcels", 2))
            .summary("ship it")
            .details("**carefully**")
            .await?;
        Ok((tracking, square::child(5).await?))
    }
    let mut run = TestRun::start::<parent>(NONE);
    run.begin_child(1);
    run.complete_child(1, "t-1");
    run.begin_child(2);
    run.complete_child(2, 25);
    assert_eq!(run.result::<(String, u32)>().unwrap(), ("t-1".into(), 25));

    let commands = run.commands();
    let Command::StartChild { workflow_type, input, options, .. } = &commands[0] else { panic!() };
    let data: Vec<_> = input.iter().map(|payload| String::from_utf8_lossy(&payload.data)).collect();
    assert_eq!((workflow_type.as_str(), data), ("ShipOrder", vec!["7".into(), "true".into()]));
    let memo = |key: &str| options.memo.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>() == [key];
    assert!(memo("note"));
    assert_eq!(options.search_attributes[0].1.metadata[1], ("type".into(), b"Int".to_vec()));
    let expected = ChildWorkflowOptions {
        workflow_id: Some("ship-7".into()),
        task_queue: Some("shipping".into()),
        execution_timeout: Some(seconds(300)),
        run_timeout: Some(seconds(200)),
        task_timeout: Some(seconds(5)),
        retry_policy: Some(RetryPolicy::default().maximum_attempts(3)),
        parent_close_policy: ParentClosePolicy::Abandon,
        workflow_id_reuse_policy: WorkflowIdReusePolicy::RejectDuplicate,
        cancellation_type: ChildCancellationType::TryCancel,
        memo: options.memo.clone(),
        search_attributes: options.search_attributes.clone(),
        header: Vec::new(),
        summary: Some("ship it".into()),
        details: Some("**carefully**".into()),
    };
    assert_eq!(**options, expected);

    let Command::StartChild { workflow_type, options, .. } = &commands[1] else { panic!() };
    let id = options.workflow_id.clone().unwrap();
    assert_eq!((workflow_type.as_str(), id.len(), &id[14..15]), ("Square", 36, "4"), "a random UUID");
    let expected = ChildWorkflowOptions { workflow_id: Some(id), ..ChildWorkflowOptions::default() };
    assert_eq!(**options, expected);
    assert_eq!(expected.parent_close_policy, ParentClosePolicy::Terminate);
    assert_eq!(expected.cancellation_type, ChildCancellationType::WaitCancellationCompleted);
}

#[test]
fn a_handle_knows_its_run_and_can_signal_it() {
    #[workflow]
    async fn parent() -> WorkflowResult<String> {
        let child = child("ship-7").start().await?;
        assert_eq!((child.workflow_id(), child.run_id()), ("ship-7", "child-run-1"));
        child.signal("hurry").arg("express").arg(2).await?;
        Ok(child.result().await?)
    }
    let mut run = TestRun::start::<parent>(NONE);
    run.begin_child(1);
    assert_eq!(asked(&run), ["1:Ship", "2:signal hurry"]);
    let commands = run.commands();
    let Command::SignalWorkflow { target, input, .. } = &commands[1] else { panic!() };
    assert_eq!((target, input.len()), (&Target::Child(1), 2));
    run.deliver(2);
    run.complete_child(1, "t-1");
    assert_eq!(run.result::<String>().unwrap(), "t-1");
}

#[test]
fn a_child_whose_id_is_taken_is_an_error_of_its_start() {
    #[workflow]
    async fn parent(in_steps: bool) -> WorkflowResult<bool> {
        let error = match in_steps {
            true => child("ship-7").start().await.err(),
            false => child("ship-7").await.err(),
        };
        Ok(error.is_some_and(|error| error.is_already_started() && !error.is_canceled()))
    }
    for in_steps in [true, false] {
        let mut run = TestRun::start::<parent>([in_steps]);
        run.refuse_child(1);
        assert!(run.result::<bool>().unwrap());
    }
}

#[test]
fn a_failed_child_fails_its_parent_with_its_cause() {
    #[workflow]
    async fn parent() -> WorkflowResult<String> {
        Ok(child("ship-7").await?)
    }
    let mut run = TestRun::start::<parent>(NONE);
    run.begin_child(1);
    run.fail_child(1, ApplicationFailure::new("OutOfStock", "none left"));
    let failure = run.result::<String>().unwrap_err().into_failure();
    assert!(matches!(&failure.kind, FailureKind::ChildWorkflow(info) if info.workflow_id == "ship-7"));
    assert_eq!(failure.to_string(), "child workflow error: none left (OutOfStock)");

    let mut run = TestRun::start::<parent>(NONE);
    run.begin_child(1);
    run.complete_child(1, 7);
    let failure = run.result::<String>().unwrap_err().into_failure();
    assert!(failure.message.starts_with("the result of child workflow Ship: invalid type: integer `7`"), "{failure}");
}

#[test]
fn a_request_to_cancel_reaches_the_children_and_the_host_says_when_they_are_done() {
    #[workflow]
    async fn parent() -> WorkflowResult<()> {
        let (a, b) = join!(child("a"), child("b"));
        assert_eq!(b.unwrap(), "faster");
        a?;
        Ok(())
    }
    let mut run = TestRun::start::<parent>(NONE);
    run.begin_child(1);
    run.begin_child(2);
    run.request_cancel("enough");
    assert_eq!(asked(&run), ["1:Ship", "2:Ship", "cancel 1", "cancel 2"]);
    run.complete_child(2, "faster");
    run.cancel_child(1);
    assert!(run.is_canceled());
}

#[test]
fn a_scope_cancels_its_children_and_handles_cancel_theirs() {
    #[workflow]
    async fn parent() -> WorkflowResult<Vec<bool>> {
        let scope = CancellationScope::new();
        let (a, b, c) = (scope.run(child("a")), child("b").start(), child("c").start());
        let mut b = b.await?;
        c.cancel();
        b.cancel();
        b.cancel();
        scope.cancel();
        let late = scope.run(child("late")).await;
        let (a, b, c) = (a.await, (&mut b).await, c.await.err());
        let c = c.is_some_and(|error| error.is_canceled());
        Ok(vec![late.unwrap_err().is_canceled(), a.unwrap_err().is_canceled(), b.unwrap_err().is_canceled(), c])
    }
    let mut run = TestRun::start::<parent>(NONE);
    run.begin_child(2);
    assert_eq!(asked(&run), ["1:Ship", "2:Ship", "3:Ship", "cancel 3", "cancel 2", "cancel 1"]);
    run.cancel_child(1);
    run.cancel_child(2);
    run.cancel_child(3);
    assert_eq!(run.result::<Vec<bool>>().unwrap(), [true; 4]);
}

#[test]
fn a_dropped_handle_leaves_the_child_running() {
    #[workflow]
    async fn parent() -> WorkflowResult<String> {
        drop(child("never awaited").start());
        drop(child("started").start().await?);
        Ok(child("main").await?)
    }
    let mut run = TestRun::start::<parent>(NONE);
    run.begin_child(1);
    run.begin_child(2);
    run.complete_child(1, "nobody asks");
    run.complete_child(2, "nobody asks");
    run.begin_child(3);
    run.complete_child(3, "done");
    assert_eq!(run.result::<String>().unwrap(), "done");
    assert_eq!(asked(&run), ["1:Ship", "2:Ship", "3:Ship"]);
}

#[test]
fn messages_reach_other_workflows_or_say_why_not() {
    #[workflow]
    async fn sender() -> WorkflowResult<String> {
        let warehouse = external_workflow("warehouse").run_id("run-7");
        warehouse.signal("reserve").arg("sku-7").await?;
        warehouse.cancel().reason("closing down").await?;
        let error = external_workflow("nobody").signal("x").await.unwrap_err();
        assert!(!error.is_canceled());
        Ok(error.to_string())
    }
    let mut run = TestRun::start::<sender>(NONE);
    run.deliver(1);
    run.deliver(2);
    run.refuse(3, ApplicationFailure::new("NotFound", "no such workflow"));
    assert_eq!(run.result::<String>().unwrap(), "no such workflow (NotFound)");
    assert_eq!(asked(&run), ["1:signal reserve", "2:cancel workflow warehouse", "3:signal x"]);
    let commands = run.commands();
    let Command::SignalWorkflow { target, .. } = &commands[0] else { panic!() };
    assert_eq!(*target, Target::Execution(("warehouse".into(), "run-7".into())));
    let Command::RequestCancel { run_id, reason, .. } = &commands[1] else { panic!() };
    assert_eq!((run_id.as_str(), reason.as_str()), ("run-7", "closing down"));
}

#[test]
fn a_signal_that_was_not_delivered_is_taken_back_when_its_scope_is_canceled() {
    #[workflow]
    async fn sender() -> WorkflowResult<()> {
        let canceled = external_workflow("far away").signal("x").await.unwrap_err();
        assert!(canceled.is_canceled());
        assert!(external_workflow("far away").signal("y").await.unwrap_err().is_canceled());
        Err(canceled.into())
    }
    let mut run = TestRun::start::<sender>(NONE);
    run.request_cancel("enough");
    assert_eq!(asked(&run), ["1:signal x", "cancel 1"]);
    let canceled = Failure::from(Canceled::default()).into_wit();
    run.resume([Event::ExternalResolved((1, Some(canceled)))]);
    assert!(run.is_canceled());
}
