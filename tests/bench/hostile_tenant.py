"""A tenant that does everything that it should not, until it is told to stop (SIGTERM); then it says what it did.

    python tests/bench/hostile_tenant.py ADDRESS NAMESPACE
"""

import asyncio
import collections
import itertools
import json
import os
import signal
import sys
import time
import uuid

from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    ListWorkflowExecutionsRequest,
    QueryWorkflowRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

# Workflow and arguments: what each does is in tests/guests/hostile.
BOMBS = [
    ("LoopForever", []),
    ("LoopLater", [10]),
    ("WakeForever", []),
    ("AllocateForever", []),
    ("AllocateAtOnce", [60]),
    ("RecurseForever", []),
    ("FloodCommands", []),
    ("FloodLogs", []),
    ("FloodStdout", []),
    ("FloodActivities", [2_000]),
    ("HugeActivityInput", [1]),
]
# Activities of tests/guests/activities, which the server runs itself.
ACTIVITIES = [("spin", None), ("hoard", None), ("recurse", 1_000_000_000), ("flood", None), ("sleep", 30), ("beat_flood", 20)]
STARTERS = 64
REFUSED_PAUSE_S = 0.0


def payloads(arguments) -> Payloads:
    encoded = [json.dumps(argument).encode() for argument in arguments]
    return Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=data) for data in encoded])


class Tenant:
    def __init__(self, client: Client, namespace: str):
        self.service, self.namespace = client.workflow_service, namespace
        self.done = collections.Counter()
        self.numbers = itertools.count()
        self.prefix = uuid.uuid4().hex[:8]
        self.stopping = False

    async def call(self, what: str, call) -> bool:
        try:
            await call
            self.done[what] += 1
            return True
        except RPCError as error:
            self.done[f"{what}: {error.status.name}"] += 1
            await asyncio.sleep(REFUSED_PAUSE_S)
            return False

    def start(self, kind: str, arguments, queue: str, workflow_id: str | None = None):
        return self.service.start_workflow_execution(
            StartWorkflowExecutionRequest(
                namespace=self.namespace,
                workflow_id=workflow_id or f"{self.prefix}-{next(self.numbers)}",
                workflow_type=WorkflowType(name=kind),
                task_queue=TaskQueue(name=queue),
                input=payloads(arguments),
                request_id=uuid.uuid4().hex,
            )
        )

    async def bombs(self) -> None:
        """Everything that burns processors, memory, log and journal."""
        for kind, arguments in itertools.cycle(BOMBS):
            if self.stopping:
                return
            await self.call(f"bomb {kind}", self.start(kind, arguments, "bombs"))
            await asyncio.sleep(0.02)

    async def activities(self) -> None:
        """The same with activities, as many as run at once and more."""
        for name, argument in itertools.cycle(ACTIVITIES):
            if self.stopping:
                return
            options = {"start_to_close_ms": 30_000, "maximum_attempts": 1}
            await self.call(f"activity {name}", self.start("ActivityWithOptions", [name, options, argument], "kitchen"))
            await asyncio.sleep(0.1)

    async def starts(self) -> None:
        """As many starts as fit through."""
        while not self.stopping:
            await self.call("start", self.start("Echo", [1], "kitchen"))

    async def giant_history(self, number: int) -> None:
        """One run after the other gets large signals until it takes no more."""
        while not self.stopping:
            workflow_id = f"{self.prefix}-giant-{number}-{next(self.numbers)}"
            if not await self.call("giant", self.start("SignalCounter", [1_000_000], "kitchen", workflow_id)):
                continue
            for _ in range(9_000):
                signal_it = self.service.signal_workflow_execution(
                    SignalWorkflowExecutionRequest(
                        namespace=self.namespace,
                        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
                        signal_name="tick",
                        input=payloads(["x" * 4_096]),
                        request_id=uuid.uuid4().hex,
                    )
                )
                if self.stopping or not await self.call("signal", signal_it):
                    break
            query = QueryWorkflowRequest(
                namespace=self.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
            )
            query.query.query_type = "__stack_trace"
            await self.call("query", self.service.query_workflow(query))

    async def lists(self) -> None:
        request = ListWorkflowExecutionsRequest(
            namespace=self.namespace, page_size=1_000, query="WorkflowType STARTS_WITH 'E' ORDER BY CloseTime"
        )
        while not self.stopping:
            await self.call("list", self.service.list_workflow_executions(request))


async def main() -> None:
    address, namespace = sys.argv[1:3]
    # An attacker has a machine of its own; here it must not take the processors of the one whose orders are measured.
    os.nice(19)
    tenant = Tenant(await Client.connect(address, namespace=namespace), namespace)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    loops = [tenant.bombs(), tenant.bombs(), tenant.activities(), tenant.lists(), tenant.lists()]
    loops += [tenant.giant_history(number) for number in range(4)]
    loops += [tenant.starts() for _ in range(STARTERS)]
    tasks = [asyncio.create_task(loop) for loop in loops]
    print("ready", flush=True)
    await stop.wait()
    tenant.stopping = True
    for task in tasks:
        task.cancel()
    failed = [result for result in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(result, Exception)]
    done = {"done": dict(sorted(tenant.done.items())), "failed": [repr(error) for error in failed]}
    print(json.dumps(done | {"cpu_s": time.process_time()}), flush=True)


asyncio.run(main())
# The SDK's runtime waits for calls that nobody waits for any more.
os._exit(0)
