"""Every history that a test makes is replayed: `finish` is how the life of each server under test ends."""

import asyncio
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client, WorkflowHistory

from . import paths
from .server import Mainspring, run

REPLAY_BATCH = 100

# What the whole session replayed, for its last lines.
replayed_events: list[int] = []


@dataclass
class Recorded:
    run_id: str
    history: WorkflowHistory
    module: Path

    def file(self, directory: Path) -> Path:
        path = directory / f"{self.run_id}.json"
        path.write_text(self.history.to_json())
        return path


def module_digest(history: WorkflowHistory) -> str | None:
    """The module that a run was pinned to last, which repeats all of it; none where it has not run yet."""
    for event in reversed(history.events):
        if event.HasField("workflow_task_completed_event_attributes"):
            return event.workflow_task_completed_event_attributes.worker_version.build_id
    return None


def modules_by_digest(server: Mainspring) -> dict[str, Path]:
    directory = paths.target_directory() / "wasm32-wasip2" / "guest"
    files = [*directory.glob("*.wasm"), *server.directory.glob("*.wasm")]
    return {hashlib.sha256(file.read_bytes()).hexdigest(): file for file in files}


async def collect(client: Client, server: Mainspring) -> list[Recorded]:
    """The histories of all runs that the server knows and that its sandbox has run."""
    modules = modules_by_digest(server)
    recorded = []
    async for execution in client.list_workflows():
        history = await client.get_workflow_handle(execution.id, run_id=execution.run_id).fetch_history()
        if digest := module_digest(history):
            assert digest in modules, f"{execution.id} was run by module {digest}, which no test deployed"
            recorded.append(Recorded(execution.run_id, history, modules[digest]))
    return recorded


def replay(history: Path, module: Path, *flags: str, check: bool = False):
    command = [paths.mainspring_binary(), "replay", "--history", history, "--module", module, *flags]
    return run(command, check, 300)


def replay_all(recorded: list[Recorded], directory: Path) -> None:
    """Replays in few processes: what a module costs to compile is paid once for many histories."""
    directory.mkdir(exist_ok=True)
    batches = []
    for module in {item.module for item in recorded}:
        files = [item.file(directory) for item in recorded if item.module == module]
        batches.extend((module, files[begin : begin + REPLAY_BATCH]) for begin in range(0, len(files), REPLAY_BATCH))

    def one(batch: tuple[Path, list[Path]]) -> str | None:
        module, files = batch
        command = [paths.mainspring_binary(), "replay", "--module", module, "--history", *files]
        done = run(command, False, 300)
        return None if done.returncode == 0 else f"{module.name}: exit code {done.returncode}: {done.stderr}"

    with ThreadPoolExecutor(2) as pool:
        problems = [problem for problem in pool.map(one, batches) if problem]
    assert not problems, f"of {len(recorded)} histories some do not replay:\n" + "\n".join(problems)
    replayed_events.extend(len(item.history.events) for item in recorded)


def finish(server: Mainspring) -> None:
    """Takes the histories, stops the server, checks what it has stored, and replays every run."""

    async def take() -> list[Recorded]:
        return await collect(await server.connect(), server)

    try:
        if not server.is_running():
            server.process = None
            server.start()
        recorded = asyncio.run(take())
        code = server.stop()
        assert code == 0, f"the server exited {code} after SIGTERM:\n{server.log()}"
        if "--ephemeral" not in server.flags:
            verified = server.verify()
            assert verified.returncode == 0, f"store verify: {verified.stdout}{verified.stderr}"
        replay_all(recorded, server.directory / "histories")
    finally:
        server.remove()


def event_types(history: WorkflowHistory) -> list[str]:
    """Such as `ActivityTaskScheduled`."""
    return [event_name(event) for event in history.events]


def event_name(event) -> str:
    return event.WhichOneof("attributes").removesuffix("_event_attributes").title().replace("_", "")


def as_json(history: WorkflowHistory) -> dict:
    return json.loads(history.to_json())


def activities_of(history: WorkflowHistory) -> list[str]:
    """The types of the activities that the run called, in order."""
    return [scheduled.activity_type.name for scheduled in _scheduled(history)]


def arguments_of(history: WorkflowHistory, activity_type: str) -> list[list]:
    """The arguments of each call of an activity; they are JSON."""
    return [
        [json.loads(payload.data) for payload in scheduled.input.payloads]
        for scheduled in _scheduled(history)
        if scheduled.activity_type.name == activity_type
    ]


def _scheduled(history: WorkflowHistory) -> list:
    name = "activity_task_scheduled_event_attributes"
    return [getattr(event, name) for event in history.events if event.HasField(name)]


def finish_unseen(server: Mainspring) -> None:
    """The end of a server whose runs the tests have no key to read: it stops, and what it stored is sound."""
    was_running = server.is_running()
    code = server.stop()
    assert not was_running or code == 0, f"exit code {code}:\n{server.log()}"
    if server.data.exists():
        verified = server.verify()
        assert verified.returncode == 0, verified.stdout + verified.stderr
    server.remove()
