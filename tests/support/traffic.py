"""A load with everything in flight: signals, updates, timers, activities, children, messages between workflows, runs that
go on in others, requests to cancel. `support.chains` tells whether the histories keep what was acknowledged here.

Hubs (see tests/guests/traffic) work in a ring; each client call that gets no answer is made again with the same id.
"""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage as Stage
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.update.v1 import Input, Meta, Request, UpdateRef, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    PollWorkflowExecutionUpdateRequest,
    RequestCancelWorkflowExecutionRequest,
    RespondActivityTaskCompletedRequest,
    RespondActivityTaskFailedRequest,
    SignalWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from .load import AWAY, NAMESPACE, RETRY_S, Load, json_payloads

QUEUE = "traffic"
ROUNDS_PER_RUN = 3
# Between two signals and two updates to a hub, so that the histories that are checked in the end stay small.
NOTE_PAUSE_S = 0.05
DEPOSIT_PAUSE_S = 0.1
# As the guest has it.
ACTIVITY_RETRY_S = 0.2
# How long the last calls may take when nothing fails any more.
LAST_ANSWERS_S = 60
COMPLETED, ACCEPTED = (
    Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED,
    Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED,
)


@dataclass
class Acknowledged:
    """What clients and workers were told, and how often they had to ask."""

    # Workflow id -> the notes that were taken; note -> how often it was sent.
    notes: dict[str, list[str]] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    # Update id -> the run that has accepted it; -> its outcome.
    accepted: dict[str, UpdateRef] = field(default_factory=dict)
    outcomes: dict[str, object] = field(default_factory=dict)
    canceled: list[str] = field(default_factory=list)
    # The argument of an activity -> its result.
    results: dict[str, str] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)


class Traffic(Load):
    """Hubs and those who talk to them, on one server, through all its restarts."""

    def __init__(self, client: Client, hubs: int, seed: int):
        super().__init__(client, QUEUE, seed, activity_s=0.1)
        self.hubs = [f"hub-{number}" for number in range(hubs)]
        self.told = Acknowledged()
        # When attempts of activities began, and when the server was told that they failed.
        self.began: dict[tuple[str, int], float] = {}
        self.failed: dict[tuple[str, int], float] = {}
        self.talking = True
        self._talks: list[asyncio.Task] = []

    async def begin(self) -> None:
        self.work()
        for number, hub in enumerate(self.hubs):
            peer = self.hubs[(number + 1) % len(self.hubs)]
            await self.start(hub, "Hub", QUEUE, peer, ROUNDS_PER_RUN)
        self.told.notes = {hub: [] for hub in self.hubs}
        for hub in self.hubs:
            self._talks += [self.spawn(self._keep_noting(hub)), self.spawn(self._keep_depositing(hub))]
        self._talks.append(self.spawn(self._keep_canceling()))

    async def finish(self) -> None:
        """Stops talking, and tells the hubs to come to their end."""
        self.talking = False
        # What waits for an answer gets one: an update too whose server died before it was accepted.
        await asyncio.wait_for(asyncio.gather(*self._talks), LAST_ANSWERS_S)
        for hub in self.hubs:
            await self._signal(hub, "finish", f"finish {hub}")
            self.told.finished.add(hub)

    # Clients.

    async def _keep_noting(self, hub: str) -> None:
        taken = self.told.notes[hub]
        number = 0
        while self.talking:
            note = f"{hub}/note.{number}"
            await self._signal(hub, "note", note, note)
            taken.append(note)
            number += 1
            await asyncio.sleep(NOTE_PAUSE_S)

    async def _signal(self, hub: str, name: str, what: str, *args) -> None:
        request = SignalWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=WorkflowExecution(workflow_id=hub),
            signal_name=name,
            input=json_payloads(*args) if args else None,
            request_id=str(uuid.uuid4()),
        )

        async def send():
            self.told.sent[what] = self.told.sent.get(what, 0) + 1
            return await self.service.signal_workflow_execution(request)

        await self.until_answered(send)

    async def _keep_depositing(self, hub: str) -> None:
        number = 0
        while self.talking:
            stage = self.random.choice([ACCEPTED, COMPLETED])
            await self._deposit(hub, f"{hub}/deposit.{number}", stage)
            number += 1
            await asyncio.sleep(DEPOSIT_PAUSE_S)

    async def _deposit(self, hub: str, update_id: str, stage) -> None:
        pause_ms = self.random.randrange(0, 60)
        request = UpdateWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=WorkflowExecution(workflow_id=hub),
            wait_policy=WaitPolicy(lifecycle_stage=stage),
            request=Request(
                meta=Meta(update_id=update_id, identity="traffic"),
                input=Input(name="deposit", args=json_payloads(update_id, pause_ms)),
            ),
        )

        async def send():
            self.told.sent[update_id] = self.told.sent.get(update_id, 0) + 1
            return await self.service.update_workflow_execution(request)

        while True:
            answer = await self.until_answered(send, also_away={RPCStatusCode.RESOURCE_EXHAUSTED})
            if answer is None:
                return
            if answer.stage >= ACCEPTED:
                break
        self.told.accepted[update_id] = answer.update_ref
        outcome = answer.outcome if answer.stage == COMPLETED else await self.outcome(answer.update_ref)
        if outcome is not None:
            self.told.outcomes[update_id] = value_of(outcome)

    async def outcome(self, ref: UpdateRef):
        """The outcome of an update that was accepted. A server that has forgotten it answers with an error."""
        request = PollWorkflowExecutionUpdateRequest(
            namespace=NAMESPACE, update_ref=ref, wait_policy=WaitPolicy(lifecycle_stage=COMPLETED)
        )
        while True:
            answer = await self.until_answered(lambda: self.service.poll_workflow_execution_update(request))
            if answer is None:
                return None
            if answer.stage == COMPLETED:
                return answer.outcome

    async def _keep_canceling(self) -> None:
        number = 0
        while self.talking:
            victim = f"victim-{number}"
            await self.start(victim, "Sleeper", QUEUE)
            request = RequestCancelWorkflowExecutionRequest(
                namespace=NAMESPACE,
                workflow_execution=WorkflowExecution(workflow_id=victim),
                request_id=str(uuid.uuid4()),
            )
            await self.until_answered(lambda: self.service.request_cancel_workflow_execution(request))
            self.told.canceled.append(victim)
            number += 1
            await asyncio.sleep(0.2)

    # The worker.

    async def _execute(self, task) -> None:
        name = json.loads(task.input.payloads[0].data)
        if name in self.told.results:
            self.violations.append(f"{name} was executed again (attempt {task.attempt}) after its result was taken")
        self.executions[(name, "work")] += 1
        self.began[name, task.attempt] = task.started_time.ToNanoseconds() / 1e9
        await asyncio.sleep(self.random.uniform(0, self.activity_s))
        if task.attempt == 1 and self.random.random() < 0.2:
            await self._fail(task, name)
            return
        result = f"{name}={uuid.uuid4().hex[:8]}"
        request = RespondActivityTaskCompletedRequest(
            namespace=NAMESPACE, task_token=task.task_token, result=json_payloads(result)
        )
        if await self._respond(lambda: self.service.respond_activity_task_completed(request)):
            self.told.results[name] = result

    async def _fail(self, task, name: str) -> None:
        failure = Failure(message="not yet", application_failure_info=ApplicationFailureInfo(type="NotYet"))
        request = RespondActivityTaskFailedRequest(namespace=NAMESPACE, task_token=task.task_token, failure=failure)
        # The server learns of it no earlier than the call that it takes is made.
        if told := await self._respond(lambda: self.service.respond_activity_task_failed(request)):
            self.failed[name, task.attempt] = told

    async def _respond(self, call) -> float | None:
        """When the call was made that the server has taken. None where the attempt is over: an earlier answer was lost
        on its way, or it has timed out."""
        while not self._stopping:
            made = time.time()
            try:
                await call()
                return made
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    return None
                if error.status not in AWAY:
                    raise
                await asyncio.sleep(RETRY_S)
        return None

    def check_pauses(self) -> int:
        """No attempt begins before the pause after the failure of the one before. Returns how many were seen."""
        followed = [(key, told) for key, told in self.failed.items() if (key[0], key[1] + 1) in self.began]
        for (name, attempt), told in followed:
            pause = self.began[name, attempt + 1] - told
            # Floating-point seconds of today are exact to a microsecond.
            if pause < ACTIVITY_RETRY_S - 1e-5:
                self.violations.append(f"{name}: attempt {attempt + 1} began {pause:.4f} s after a failure")
        return len(followed)

    def summary(self) -> str:
        told = self.told
        repeated = sum(1 for count in told.sent.values() if count > 1)
        return (
            f"{len(self.started)} starts, {sum(map(len, told.notes.values()))} signals, {len(told.accepted)} updates "
            f"accepted and {len(told.outcomes)} completed, {len(told.canceled)} requests to cancel, {len(told.results)} "
            f"activity results acknowledged; {repeated} signals and updates had to be sent again; "
            f"{len(self.failed)} attempts failed"
        )


def value_of(outcome) -> object:
    if outcome.HasField("failure"):
        return {"failure": outcome.failure.message}
    return json.loads(outcome.success.payloads[0].data)
