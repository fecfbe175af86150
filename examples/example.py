"""An example on a server, for its client and for its tests."""

import asyncio
import importlib
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import launch
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker


class Example:
    """Where the client of an example finds it. `deploy_file(component, task_queue)` is what deploys to the server."""

    def __init__(self, name: str, language: str, client: Client, task_queue: str, deploy_file: Callable[[Path, str], object]):
        self.name = name
        self.language = language
        self.client = client
        self.task_queue = task_queue
        self._deploy_file = deploy_file

    async def deploy(self, part: str | None = None) -> None:
        """Makes the example's module, or this one of several, the one that new runs get."""
        component = await asyncio.to_thread(launch.component, self.name, self.language, part)
        await asyncio.to_thread(self._deploy_file, component, self.task_queue)

    def worker(self) -> Worker:
        """A worker with the activities of the example's `worker.py`."""
        activities = importlib.import_module(f"{self.name}.worker").ACTIVITIES
        # An activity learns with a heartbeat that it was canceled; seldom heartbeats save calls that nobody counts here.
        soon = timedelta(milliseconds=200)
        return Worker(self.client, task_queue=self.task_queue, activities=activities, max_heartbeat_throttle_interval=soon)

    async def start(self, workflow: str, *arguments, **options) -> WorkflowHandle:
        """Starts a workflow by its type: its code is on the server, and not in this process."""
        workflow_id = options.pop("id", None) or f"{self.name}-{uuid.uuid4().hex[:8]}"
        return await self.client.start_workflow(
            workflow, args=arguments, id=workflow_id, task_queue=self.task_queue, **options
        )
