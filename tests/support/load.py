"""Clients that remember what the server acknowledged, so that a test can ask for it after a crash.

They speak the raw API: only then is it known which calls were answered. Calls that fail because the server is away
are simply made again, as every SDK does.
"""

import asyncio
import json
import random
import uuid
from collections import defaultdict

from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import WorkflowIdReusePolicy
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    PollActivityTaskQueueRequest,
    RespondActivityTaskCompletedRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

NAMESPACE = "default"
AWAY = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.UNKNOWN,
    # A connection that breaks in the middle of an answer.
    RPCStatusCode.INTERNAL,
}
RETRY_S = 0.05
POLLERS = 6


def json_payloads(*values) -> Payloads:
    encoded = [json.dumps(value).encode() for value in values]
    return Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=data) for data in encoded])


class Violation(AssertionError):
    """The server did what it must never do."""


class Load:
    """Orders and signals under way on one server, through all its restarts."""

    def __init__(self, client: Client, order_queue: str, seed: int, activity_s: float = 0.0):
        self.service = client.workflow_service
        self.order_queue = order_queue
        self.random = random.Random(seed)
        self.activity_s = activity_s
        # What was acknowledged: workflow id -> run id; (workflow id, activity) -> result; workflow id -> signals.
        self.started: dict[str, str] = {}
        self.completed: dict[tuple[str, str], str | None] = {}
        self.signaled: dict[str, list[str]] = defaultdict(list)
        # Runs that are over, and how often each activity was executed.
        self.closed: set[str] = set()
        self.executions: dict[tuple[str, str], int] = defaultdict(int)
        self.violations: list[str] = []
        self._stopping = False
        self._tasks: set[asyncio.Task] = set()

    # Starting.

    async def start_order(self, workflow_id: str) -> None:
        order = {"amount": 1.0, "user_id": workflow_id, "email": f"{workflow_id}@example.com"}
        await self.start(workflow_id, "OrderWorkflow", self.order_queue, order)

    async def start(self, workflow_id: str, workflow_type: str, queue: str, *args) -> None:
        request = StartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=workflow_id,
            workflow_type=WorkflowType(name=workflow_type),
            task_queue=TaskQueue(name=queue),
            input=json_payloads(*args),
            # The same for each try: the server knows it again.
            request_id=str(uuid.uuid4()),
            workflow_id_reuse_policy=WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
        )
        answer = await self.until_answered(lambda: self.service.start_workflow_execution(request))
        if answer is None:
            return
        self.started[workflow_id] = answer.run_id

    async def signal(self, workflow_id: str, queue_name: str, value: str) -> None:
        request = SignalWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            signal_name=queue_name,
            input=json_payloads(value),
            request_id=str(uuid.uuid4()),
        )
        if await self.until_answered(lambda: self.service.signal_workflow_execution(request)) is not None:
            self.signaled[workflow_id].append(value)

    async def until_answered(self, call, also_away: set[RPCStatusCode] = frozenset()):
        """The answer, or nothing where the load ends first."""
        while not self._stopping:
            try:
                return await call()
            except RPCError as error:
                if error.status not in AWAY | also_away:
                    raise
                await asyncio.sleep(RETRY_S)
        return None

    # Working.

    def work(self) -> None:
        for _ in range(POLLERS):
            self.spawn(self._worker())

    def spawn(self, work) -> asyncio.Task:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.violations.append(f"{type(error).__name__}: {error}")

    async def _worker(self) -> None:
        poll = PollActivityTaskQueueRequest(namespace=NAMESPACE, task_queue=TaskQueue(name=self.order_queue))
        while not self._stopping:
            try:
                task = await self.service.poll_activity_task_queue(poll)
            except RPCError as error:
                if error.status not in AWAY:
                    raise
                await asyncio.sleep(RETRY_S)
                continue
            if task.task_token:
                await self._execute(task)

    async def _execute(self, task) -> None:
        key = (task.workflow_execution.workflow_id, task.activity_type.name)
        if key in self.completed:
            self.violations.append(f"{key} was executed again (attempt {task.attempt}) after its result was taken")
        self.executions[key] += 1
        if self.activity_s:
            await asyncio.sleep(self.random.uniform(0, self.activity_s))
        # A mail has no result; a payment has one that no other has.
        result = None if key[1] == "send_email" else f"tx-{uuid.uuid4().hex[:8]}"
        request = RespondActivityTaskCompletedRequest(
            namespace=NAMESPACE, task_token=task.task_token, result=json_payloads(result)
        )
        tries = 0
        while not self._stopping:
            tries += 1
            try:
                await self.service.respond_activity_task_completed(request)
            except RPCError as error:
                if error.status in AWAY:
                    await asyncio.sleep(RETRY_S)
                    continue
                # The first answer may have been lost on its way: then the server has the result, or the attempt is over.
                if error.status == RPCStatusCode.NOT_FOUND and tries > 1:
                    return
                raise
            self.completed[key] = result
            return

    # The end.

    async def stop(self) -> None:
        self._stopping = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def history(self, workflow_id: str) -> list[HistoryEvent]:
        """The whole history; its absence is a violation."""
        events, token = [], b""
        while True:
            request = GetWorkflowExecutionHistoryRequest(
                namespace=NAMESPACE,
                execution=WorkflowExecution(workflow_id=workflow_id, run_id=self.started.get(workflow_id, "")),
                next_page_token=token,
            )
            answer = await self.until_answered(lambda: self.service.get_workflow_execution_history(request))
            events.extend(answer.history.events)
            token = answer.next_page_token
            if not token:
                return events

    async def check_acknowledged(self) -> None:
        """All that was acknowledged is in the histories, each result exactly once."""
        problems = list(self.violations)
        # The load may go on: what is acknowledged from now on need not be in a history that was read before.
        started, completed = dict(self.started), dict(self.completed)
        signaled = {workflow_id: list(values) for workflow_id, values in self.signaled.items()}
        results, signals = defaultdict(list), defaultdict(list)
        for workflow_id in started:
            try:
                events = await self.history(workflow_id)
            except RPCError as error:
                problems.append(f"{workflow_id} was started, and is gone: {error}")
                continue
            names = {}
            for event in events:
                if event.HasField("activity_task_scheduled_event_attributes"):
                    names[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
                elif event.HasField("activity_task_completed_event_attributes"):
                    done = event.activity_task_completed_event_attributes
                    key = (workflow_id, names[done.scheduled_event_id])
                    results[key].append(json.loads(done.result.payloads[0].data))
                elif event.HasField("workflow_execution_signaled_event_attributes"):
                    signal = event.workflow_execution_signaled_event_attributes
                    signals[workflow_id].append(json.loads(signal.input.payloads[0].data))
            if [event.event_id for event in events] != list(range(1, len(events) + 1)):
                problems.append(f"{workflow_id}: its events are not in sequence")
        for key, result in completed.items():
            if results[key] != [result]:
                problems.append(f"{key}: {result} was acknowledged; the history has {results[key]}")
        for workflow_id, values in signaled.items():
            for value in values:
                if signals[workflow_id].count(value) != 1:
                    found = signals[workflow_id].count(value)
                    problems.append(f"{workflow_id}: signal {value} was acknowledged; the history has it {found} times")
        if problems:
            raise Violation(f"{len(problems)} violations:\n" + "\n".join(problems[:20]))

    def summary(self) -> str:
        again = sum(1 for count in self.executions.values() if count > 1)
        signals = sum(map(len, self.signaled.values()))
        return (
            f"{len(self.started)} starts, {len(self.completed)} activity results and {signals} signals acknowledged; "
            f"{again} activities executed more than once, none after its result was acknowledged"
        )
