"""A run goes on with the module that it began with; `patched` is for histories that another module wrote."""

import uuid

import launch
from support.histories import activities_of, event_name, event_types, replay
from support.waiting import eventually
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

EXAMPLE = "patching"
REFUND = {"customer": "ann", "amount": 9.5, "tell_after_ms": 1}


def versions(history) -> set[str]:
    """The modules that have run it."""
    return {
        event.workflow_task_completed_event_attributes.worker_version.build_id
        for event in history.events
        if event.HasField("workflow_task_completed_event_attributes")
    }


async def test_a_run_goes_on_with_the_module_that_it_began_with(deployed):
    old = await deployed.start("Refund", REFUND)

    async def has_begun():
        return activities_of(await old.fetch_history()) == ["pay_back"]

    await eventually(has_begun, "it wants to pay, and nobody is there yet who could")
    await deployed.deploy("v2")
    new = await deployed.start("Refund", REFUND)
    async with deployed.worker():
        assert await new.result() == "paid back 9.5, told by email"
        assert await old.result() == "paid back 9.5, told by letter"
    old_history, new_history = await old.fetch_history(), await new.fetch_history()
    assert activities_of(old_history) == ["pay_back", "send_letter"]
    assert activities_of(new_history) == ["pay_back", "send_email"]
    assert len(versions(old_history)) == 1 and versions(old_history).isdisjoint(versions(new_history))
    assert event_types(new_history).count("MarkerRecorded") == 1
    assert "MarkerRecorded" not in event_types(old_history)


async def reset_to_the_last_task(example, refund):
    """Lets a run do its last workflow task again, in a new run, which takes the module that is deployed now."""
    history = await refund.fetch_history()
    [*_, last] = [event for event in history.events if event_name(event) == "WorkflowTaskCompleted"]
    answer = await example.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=refund.id, run_id=refund.first_execution_run_id),
            reason="the last step is done again",
            workflow_task_finish_event_id=last.event_id,
            request_id=str(uuid.uuid4()),
        )
    )
    return example.client.get_workflow_handle(refund.id, run_id=answer.run_id)


async def test_a_run_that_is_reset_meets_a_new_module_and_needs_the_patch(example):
    refund = await example.start("Refund", REFUND)
    await refund.result()

    await example.deploy("careless")
    again = await reset_to_the_last_task(example, refund)

    async def fails():
        pending = (await again.describe()).raw_description.pending_workflow_task
        return pending.attempt > 1

    await eventually(fails, "the module without the patch fails its workflow task")
    assert event_types(await again.fetch_history())[-1] != "WorkflowExecutionCompleted"

    await example.deploy("v2")
    assert await again.result() == "paid back 9.5, told by letter", "the patched one heals the run, on its old path"
    assert activities_of(await again.fetch_history()) == ["pay_back", "send_letter"]


async def test_version_2_replays_the_history_of_version_1_thanks_to_its_patch(example, tmp_path, in_thread):
    refund = await example.start("Refund", REFUND)
    await refund.result()
    history = await refund.fetch_history()
    file = tmp_path / "refund.json"
    file.write_text(history.to_json())

    for part in ("v1", "v2"):
        await in_thread(replay, file, launch.component(EXAMPLE, example.language, part), check=True)

    [letter] = [
        event
        for event in history.events
        if event_name(event) == "ActivityTaskScheduled"
        and event.activity_task_scheduled_event_attributes.activity_type.name == "send_letter"
    ]
    careless = await in_thread(replay, file, launch.component(EXAMPLE, example.language, "careless"))
    assert careless.returncode == 1
    assert f"event {letter.event_id}" in careless.stderr
    assert "send_letter" in careless.stderr and "send_email" in careless.stderr


async def test_a_history_of_version_2_does_not_fit_version_1(example, tmp_path, in_thread):
    await example.deploy("v2")
    refund = await example.start("Refund", REFUND)
    await refund.result()
    file = tmp_path / "refund.json"
    file.write_text((await refund.fetch_history()).to_json())
    await in_thread(replay, file, launch.component(EXAMPLE, example.language, "v2"), check=True)
    back = await in_thread(replay, file, launch.component(EXAMPLE, example.language, "v1"))
    assert back.returncode == 1
