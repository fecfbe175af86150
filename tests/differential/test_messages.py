"""Signals, queries and updates."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request, UpdateRef, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    ExecuteMultiOperationRequest,
    PollWorkflowExecutionUpdateRequest,
    QueryWorkflowRequest,
    StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)
from temporalio.client import WithStartWorkflowOperation, WorkflowUpdateStage
from temporalio.common import QueryRejectCondition, WorkflowIDConflictPolicy

pytestmark = pytest.mark.asyncio(loop_scope="module")
ACCEPTED, COMPLETED = WorkflowUpdateStage.ACCEPTED, WorkflowUpdateStage.COMPLETED
# Long enough for what has to come before.
DELAY = timedelta(seconds=2)


# Signals.


async def test_signals_before_the_first_workflow_task(run):
    async def script(side):
        handle = await side.start("SignalCounter", 2, start_delay=DELAY)
        await handle.signal("tick", "a")
        await handle.signal("tick", "b")
        side.note("result", await handle.result())

    await run(script)


async def test_signals_before_there_is_a_handler(run):
    async def script(side):
        handle = await side.start("LateHandler", 2_000, 2)
        await side.until(handle, "TimerStarted")
        await handle.signal("note", "early")
        await side.until(handle, "WorkflowTaskCompleted", 2)
        await handle.signal("note", {"late": True})
        side.note("result", await handle.result())

    await run(script)


async def test_a_signal_that_nobody_listens_to(run):
    async def script(side):
        handle = await side.start("SignalCounter", 1)
        await side.until(handle, "WorkflowTaskCompleted")
        await handle.signal("unheard", args=[1, 2])
        await side.until(handle, "WorkflowTaskCompleted", 2)
        await handle.signal("tick", None)
        side.note("result", await handle.result())

    await run(script)


async def test_messages_of_any_name(run):
    async def script(side):
        handle = await side.start("Dynamic")
        await side.until(handle, "WorkflowTaskCompleted")
        await handle.signal("first", args=["a", {"b": 1}])
        await side.until(handle, "WorkflowTaskCompleted", 2)
        side.note("query", await handle.query("anything", args=[1, "x"]))
        side.note("update", await handle.execute_update("change", args=[2]))
        await side.noted_outcome("refused update", handle.execute_update("refused"))
        await handle.signal("end")
        side.note("result", await handle.result())

    await run(script)


async def test_signal_with_start(run):
    async def script(side):
        for name in ("ann", "bob"):
            handle = await side.start("Approval", 3, start_signal="approve", start_signal_args=[name])
            await side.until(handle, "WorkflowTaskCompleted", 1 if name == "ann" else 2)
        await handle.signal("approve", "cem")
        side.note("result", await handle.result())

    await run(script)


# Queries.


async def test_a_query_sees_what_came_before_it_and_leaves_nothing(run):
    async def script(side):
        handle = await side.start("Approval", 2)
        side.note("nobody", await handle.query("approved_by"))
        await handle.signal("approve", "ann")
        side.note("one", await handle.query("approved_by"))
        await handle.signal("approve", "bob")
        await handle.result()
        side.note("closed", await handle.query("approved_by"))

    await run(script)


async def test_queries_that_cannot_be_answered(run):
    async def script(side):
        handle = await side.start("Approval", 1)
        await side.noted_outcome("fails", handle.query("fails"))
        await side.noted_outcome("unknown", handle.query("nothing"))
        await side.noted_outcome("no such run", side.client.get_workflow_handle("nobody").query("x"))
        await handle.terminate()
        await side.noted_outcome("closed", handle.query("nothing"))

    await run(script)


@pytest.mark.parametrize("condition", [QueryRejectCondition.NOT_OPEN, QueryRejectCondition.NOT_COMPLETED_CLEANLY])
@pytest.mark.parametrize("ending", ["completed", "failed", "terminated", "canceled", "open"])
async def test_a_query_with_a_condition(run, condition, ending):
    async def script(side):
        workflow = ("FailWith", "Broken", True) if ending == "failed" else ("Approval", 1)
        handle = await side.start(*workflow)
        if ending != "failed":
            await side.until(handle, "WorkflowTaskCompleted")
        if ending == "completed":
            await handle.signal("approve", "ann")
        elif ending == "terminated":
            await handle.terminate()
        elif ending == "canceled":
            await handle.cancel()
        if ending != "open":
            await side.outcome(handle.result())
        query = "__stack_trace" if ending == "failed" else "approved_by"
        outcome = await side.outcome(handle.query(query, reject_condition=condition))
        side.note("outcome", "a text" if isinstance(outcome, str) else outcome)

    await run(script)


async def test_a_query_of_a_run_that_never_began(run):
    async def script(side):
        handle = await side.start("Gate", start_delay=timedelta(minutes=1))
        await handle.terminate()
        await side.noted_outcome("query", handle.query("passed"))

    await run(script)


async def test_what_a_workflow_says_of_itself(run):
    async def script(side):
        handle = await side.start("Approval", 1)
        metadata = await handle.query("__temporal_workflow_metadata")
        side.note("type", metadata.definition.type)
        for kind in ("query", "signal", "update"):
            definitions = getattr(metadata.definition, f"{kind}_definitions")
            named = {one.name: one.description for one in definitions if not one.name.startswith("__")}
            side.note(kind, named)
        notes = await side.start("Notes", name="notes")
        await side.until(notes, "WorkflowTaskCompleted", 2)
        side.note("details", (await notes.query("__temporal_workflow_metadata")).current_details)
        await handle.terminate()

    await run(script)


async def test_a_query_that_would_change_something(run):
    async def script(side):
        handle = await side.start("Gate")
        await side.until(handle, "WorkflowTaskCompleted")
        refused = await side.outcome(handle.query("starts_a_timer"))
        # The message is each SDK's own.
        side.note("refused", {key: value for key, value in refused.items() if key != "message"})
        side.note("and goes on", await handle.query("passed"))
        await handle.signal("close")
        side.note("result", await handle.result())

    await run(script)


async def test_a_raw_query_is_answered_as_it_came(run):
    async def script(side):
        handle = await side.start("Approval", 1)
        await side.until(handle, "WorkflowTaskCompleted")
        for name in ("approved_by", "fails", ""):
            request = QueryWorkflowRequest(
                namespace="default",
                execution=WorkflowExecution(workflow_id=handle.id),
                query=WorkflowQuery(query_type=name),
            )
            await side.noted_outcome(f"query {name!r}", side.service.query_workflow(request))

    await run(script)


# Updates.


async def test_updates_that_are_answered_at_once(run):
    async def script(side):
        handle = await side.start("Approval", 1)
        await side.until(handle, "WorkflowTaskCompleted")
        side.note("first", await handle.execute_update("set_needed", 2, id="first"))
        side.note("second", await handle.execute_update("set_needed", 3, id="second"))
        for count, name in enumerate(("ann", "bob", "cem"), 1):
            await handle.signal("approve", name)
            await side.until(handle, "WorkflowExecutionSignaled", count)
        side.note("result", await handle.result())

    await run(script)


async def test_an_update_before_the_first_workflow_task(run):
    async def script(side):
        handle = await side.start("Approval", 1, start_delay=DELAY)
        side.note("answer", await handle.execute_update("approve_slowly", args=["ann", 1], id="early"))
        side.note("result", await handle.result())

    await run(script)


@pytest.mark.parametrize("update", [("set_needed", 0), ("no_such_update",), ("fail",)])
async def test_an_update_that_gives_a_failure(run, update):
    async def script(side):
        handle = await side.start("Approval", 1)
        await side.until(handle, "WorkflowTaskCompleted")
        await side.noted_outcome("outcome", handle.execute_update(update[0], args=update[1:], id="update"))
        await side.noted_outcome("again", handle.execute_update(update[0], args=update[1:], id="update"))
        await handle.signal("approve", "ann")
        side.note("result", await handle.result())

    await run(script)


async def test_an_update_is_accepted_first_and_awaited_later(run):
    async def script(side):
        handle = await side.start("Gate")
        await side.until(handle, "WorkflowTaskCompleted")
        update = await handle.start_update("pass", "ann", id="ann", wait_for_stage=ACCEPTED)
        same = await handle.start_update("pass", "ann", id="ann", wait_for_stage=ACCEPTED)
        side.note("same run", same.workflow_run_id == update.workflow_run_id)
        await handle.signal("open")
        side.note("answer", await update.result())
        side.note("same answer", await same.result())
        await handle.signal("close")
        side.note("result", await handle.result())
        side.note("answer after the end", await handle.get_update_handle("ann").result())
        await side.noted_outcome("a new one after the end", handle.execute_update("pass", "bob"))
        await side.noted_outcome("the same after the end", handle.execute_update("pass", "ann", id="ann"))
        await side.noted_outcome("an unknown one", handle.get_update_handle("nobody").result())

    await run(script)


async def test_updates_that_the_workflow_does_not_finish(run):
    async def script(side):
        handle = await side.start("Gate")
        await side.until(handle, "WorkflowTaskCompleted")
        update = await handle.start_update("pass", "ann", id="ann", wait_for_stage=ACCEPTED)
        await side.until(handle, "WorkflowExecutionUpdateAccepted")
        await handle.signal("close")
        side.note("result", await handle.result())
        await side.noted_outcome("outcome", update.result())

    await run(script)


@pytest.mark.parametrize("ending", ["terminate", "cancel"])
async def test_updates_of_a_workflow_that_is_ended(run, ending):
    async def script(side):
        handle = await side.start("Gate")
        await side.until(handle, "WorkflowTaskCompleted")
        update = await handle.start_update("pass", "ann", id="ann", wait_for_stage=ACCEPTED)
        await side.until(handle, "WorkflowExecutionUpdateAccepted")
        await getattr(handle, ending)()
        await side.noted_outcome("result", handle.result())
        await side.noted_outcome("outcome", update.result())

    await run(script)


async def test_an_update_that_ends_the_workflow(run):
    async def script(side):
        handle = await side.start("EndsWithItsUpdate")
        await side.until(handle, "WorkflowTaskCompleted")
        side.note("answer", await handle.execute_update("finish", "done", id="finish"))
        side.note("result", await handle.result())

    await run(script)


async def test_an_update_that_calls_an_activity(run):
    async def script(side):
        handle = await side.start("Gate")
        await side.until(handle, "WorkflowTaskCompleted")
        side.note("answer", await handle.execute_update("call", "echo", id="call"))
        await side.noted_outcome("failure", handle.execute_update("call", "declines", id="declines"))
        await handle.signal("close")
        await handle.result()

    await run(script)


async def test_ten_updates_are_in_flight_and_no_more(run):
    async def script(side):
        handle = await side.start("Gate")
        await side.until(handle, "WorkflowTaskCompleted")
        for number in range(10):
            await handle.start_update("pass", str(number), id=str(number), wait_for_stage=ACCEPTED)
            await side.until(handle, "WorkflowExecutionUpdateAccepted", number + 1)
        # By hand, as the SDK would try again.
        request = update_request(handle, "pass", "eleventh")
        await side.noted_outcome("eleventh", side.service.update_workflow_execution(request, retry=False))
        again = update_request(handle, "pass", "3")
        await side.noted_outcome("one of the ten", side.service.update_workflow_execution(again, retry=False))
        await handle.signal("open")
        await side.until(handle, "WorkflowExecutionUpdateCompleted", 10)
        side.note("eleventh again", await handle.execute_update("pass", "eleven", id="eleventh"))
        await handle.signal("close")
        side.note("result", await handle.result())

    await run(script)


def update_request(handle, name: str, update_id: str, stage: int = 2, **changes) -> UpdateWorkflowExecutionRequest:
    argument = Payload(metadata={"encoding": b"json/plain"}, data=b'"raw"')
    values = dict(
        namespace="default",
        workflow_execution=WorkflowExecution(workflow_id=handle.id),
        wait_policy=WaitPolicy(lifecycle_stage=stage),
        request=Request(
            meta=Meta(update_id=update_id, identity="raw"),
            input=Input(name=name, args=Payloads(payloads=[argument])),
        ),
    )
    return UpdateWorkflowExecutionRequest(**(values | changes))


@pytest.mark.parametrize("stage", [0, 1, 2, 3, 99])
async def test_the_stages_that_can_be_waited_for(run, stage):
    async def script(side):
        handle = await side.start("EndsWithItsUpdate")
        await side.until(handle, "WorkflowTaskCompleted")
        request = update_request(handle, "finish", "finish", stage)
        await side.noted_outcome("outcome", side.service.update_workflow_execution(request, retry=False))
        if stage not in (0, 1):
            side.note("result", await handle.result())

    await run(script)


@pytest.mark.parametrize("stage", [0, 1, 2, 3, 99])
async def test_polling_an_update(run, stage):
    async def script(side):
        handle = await side.start("EndsWithItsUpdate")
        await side.until(handle, "WorkflowTaskCompleted")
        await handle.execute_update("finish", "x", id="finish")

        def poll(update_id: str):
            execution = WorkflowExecution(workflow_id=handle.id)
            request = PollWorkflowExecutionUpdateRequest(
                namespace="default",
                update_ref=UpdateRef(workflow_execution=execution, update_id=update_id),
                wait_policy=WaitPolicy(lifecycle_stage=stage),
            )
            return side.service.poll_workflow_execution_update(request, retry=False)

        await side.noted_outcome("known", poll("finish"))
        await side.noted_outcome("unknown", poll("unknown"))
        await side.noted_outcome("no id", poll(""))

    await run(script)


async def test_update_with_start(run):
    async def script(side):
        for round in ("starts", "finds"):
            start = WithStartWorkflowOperation(
                "Approval",
                1,
                id=side.id(),
                task_queue=side.queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )
            answer = await side.client.execute_update_with_start_workflow(
                "set_needed", 5, id=round, start_workflow_operation=start
            )
            side.note(round, answer)
        handle = side.client.get_workflow_handle(side.id())
        await handle.terminate()

    await run(script)


@pytest.mark.parametrize("what", ["no type", "no update name", "another id", "a run id", "only admitted", "two starts"])
async def test_update_with_start_that_is_malformed(run, what):
    async def script(side):
        start = StartWorkflowExecutionRequest(
            namespace="default",
            workflow_id=f"{side.case} x",
            workflow_type=WorkflowType(name="Gate"),
            task_queue=TaskQueue(name="nobody"),
        )
        update = update_request(side.client.get_workflow_handle(start.workflow_id), "pass", "u")
        if what == "no type":
            start.ClearField("workflow_type")
        elif what == "no update name":
            update.request.input.name = ""
        elif what == "another id":
            update.workflow_execution.workflow_id = "another"
        elif what == "a run id":
            update.workflow_execution.run_id = "01a20a0f-5739-74a8-ae48-eaed80251506"
        elif what == "only admitted":
            update.wait_policy.lifecycle_stage = 1
        kind = ExecuteMultiOperationRequest.Operation
        second = kind(start_workflow=start) if what == "two starts" else kind(update_workflow=update)
        request = ExecuteMultiOperationRequest(namespace="default", operations=[kind(start_workflow=start), second])
        await side.noted_outcome("refused", side.service.execute_multi_operation(request, retry=False))

    await run(script)


@pytest.mark.parametrize("what", ["refused update", "taken id", "closed workflow"])
async def test_update_with_start_that_fails(run, what):
    async def script(side):
        policy = WorkflowIDConflictPolicy.USE_EXISTING
        if what == "taken id":
            handle = await side.start("Gate")
            await side.until(handle, "WorkflowTaskCompleted")
            policy = WorkflowIDConflictPolicy.FAIL
        elif what == "closed workflow":
            handle = await side.client.start_workflow("Approval", 1, id=f"{side.case} x", task_queue=side.queue)
            await side.until(handle, "WorkflowTaskCompleted")
            await handle.execute_update("set_needed", 2, id="same")
            await handle.terminate()
        # A new run follows on the closed one. Whether its first workflow task has the update yet is open in Temporal.
        workflow_id = f"{side.case} x" if what == "closed workflow" else side.id()
        start = WithStartWorkflowOperation(
            "Approval", 1, id=workflow_id, task_queue=side.queue, id_conflict_policy=policy
        )
        value = 0 if what == "refused update" else 2
        update = side.client.execute_update_with_start_workflow(
            "set_needed", value, id="same", start_workflow_operation=start
        )
        await side.noted_outcome("update", update)
        await asyncio.wait([asyncio.ensure_future(side.outcome(start.workflow_handle()))], timeout=1)
        handle = side.client.get_workflow_handle(workflow_id)
        if what == "refused update":
            await side.until(handle, "WorkflowTaskCompleted")
        await side.outcome(handle.terminate())

    await run(script)


async def test_nothing_can_be_sent_to_a_workflow_that_is_closed(run):
    async def script(side):
        handle = await side.start("Echo", 1)
        await handle.result()
        await side.noted_outcome("signal", handle.signal("x"))
        await side.noted_outcome("update", handle.execute_update("x"))
        await side.noted_outcome("cancel", handle.cancel())
        await side.noted_outcome("terminate", handle.terminate())

    await run(script)
