"""A module is verified on the runs of a task queue before it is deployed; open runs move to a module that repeats them."""

import asyncio
import json

import pytest
from support import paths
from support.histories import activities_of, as_json, event_name
from support.server import run
from support.twins import digest
from support.waiting import eventually
from temporalio import activity
from temporalio.client import Client, WorkflowHandle

pytestmark = pytest.mark.mainspring_only

V1, V2, CARELESS = (paths.guest(f"example-patching-{part}") for part in ("v1", "v2", "careless"))
PAYING, WAITING, TELLING = 12, 20, 4


class Refunds:
    """Runs of version 1 at every stage: some are being paid, some wait, of some the letter is under way, one is closed."""

    def __init__(self, client: Client, queue: str):
        self.client, self.queue = client, queue
        self.handles: dict[str, WorkflowHandle] = {}
        self.paying, self.letters = asyncio.Event(), asyncio.Event()
        self.letters_sent, self.emails_sent = [], []

    async def start(self, stage: str, number: int = 0, tell_after_ms: int = 3_600_000) -> WorkflowHandle:
        refund = {"customer": f"{stage}-{number}", "amount": 9.5, "tell_after_ms": tell_after_ms}
        handle = await self.client.start_workflow("Refund", refund, id=f"{self.queue}-{stage}-{number}", task_queue=self.queue)
        self.handles[f"{stage}-{number}"] = handle
        return handle

    async def reach(self, stage: str, count: int, event: str, times: int, tell_after_ms: int = 3_600_000) -> None:
        handles = [await self.start(stage, number, tell_after_ms) for number in range(count)]
        for handle in handles:

            async def reached():
                names = [event_name(event) for event in (await handle.fetch_history()).events]
                return names.count(event) >= times

            await eventually(reached, f"{handle.id} has {times} {event}")

    async def histories(self) -> dict[str, dict]:
        return {name: as_json(await handle.fetch_history()) for name, handle in self.handles.items()}

    def activities(self) -> list:
        @activity.defn
        async def pay_back(customer: str, amount: float) -> str:
            if customer.startswith("paying"):
                await self.paying.wait()
            return f"paid back {amount}"

        @activity.defn
        async def send_letter(customer: str) -> None:
            if customer.startswith("telling"):
                await self.letters.wait()
            self.letters_sent.append(customer)

        @activity.defn
        async def send_email(customer: str) -> None:
            self.emails_sent.append(customer)

        return [pay_back, send_letter, send_email]


@pytest.fixture
async def refunds(client, server, queue, activities, in_thread):
    refunds = Refunds(client, queue)
    await in_thread(server.deploy_file, V1, queue)
    await activities(*refunds.activities())
    told = await refunds.start("told", tell_after_ms=1)
    assert await told.result() == "paid back 9.5, told by letter"
    await refunds.reach("paying", PAYING, "ActivityTaskScheduled", 1, 1)
    await refunds.reach("waiting", WAITING, "TimerStarted", 1)
    await refunds.reach("telling", TELLING, "ActivityTaskScheduled", 2, 1)
    yield refunds
    refunds.paying.set()
    refunds.letters.set()


@pytest.fixture
def state(server, refunds, in_thread):
    """What a verification must not change: deployments, histories, and the module that each run is pinned to."""

    async def state():
        deployments = await in_thread(server.mainspring_json, "module", "list")
        pins = {name: await pinned(handle) for name, handle in refunds.handles.items()}
        return deployments, pins, await refunds.histories()

    return state


async def pinned(handle: WorkflowHandle) -> str:
    return (await handle.describe()).raw_description.workflow_execution_info.most_recent_worker_version_stamp.build_id


async def letter_event(handle: WorkflowHandle) -> str:
    """The event in which the run asked for its letter."""
    for event in (await handle.fetch_history()).events:
        if event.activity_task_scheduled_event_attributes.activity_type.name == "send_letter":
            return str(event.event_id)
    raise AssertionError(f"{handle.id} has sent no letter")


async def test_a_compatible_module_is_verified_on_all_runs_and_deployed(server, refunds, in_thread):
    before = await refunds.histories()
    deployed = await in_thread(
        server.mainspring_json, "module", "deploy", V2, "--task-queue", refunds.queue, "--verify"
    )
    verified = deployed["verification"]
    assert (verified["exact"], verified["open"], verified["closed"]) == (True, PAYING + WAITING + TELLING, 1)
    assert deployed["deployment"]["digest"] == digest(V2)
    assert await refunds.histories() == before
    # Those under way keep their module, and new ones begin on the new one.
    assert await pinned(refunds.handles["waiting-0"]) == digest(V1)
    new = await refunds.start("new", tell_after_ms=1)
    assert await new.result() == "paid back 9.5, told by email"


async def test_an_incompatible_module_is_refused_with_its_first_difference_and_nothing_has_changed(
    server, refunds, state, in_thread
):
    before = await state()
    deploy = ("module", "deploy", CARELESS, "--task-queue", refunds.queue, "--verify")
    refused = await in_thread(server.mainspring, *deploy, check=False)
    assert refused.returncode == 1
    assert f"not deployed: the module does not repeat {TELLING + 1} of" in refused.stderr, refused.stderr
    as_lines = await in_thread(server.mainspring, *deploy, "--output", "jsonl", check=False)
    lines = [json.loads(line) for line in as_lines.stdout.splitlines()]
    differing = {line["run"]["workflowId"]: line["run"] for line in lines if "run" in line}
    names = ["told-0", *(f"telling-{number}" for number in range(TELLING))]
    assert differing.keys() == {refunds.handles[name].id for name in names}
    for name in names:
        run = differing[refunds.handles[name].id]
        assert str(run["eventId"]) == await letter_event(refunds.handles[name])
        assert "send_letter" in run["journal"] and "send_email" in run["module"], run
        assert run["pinnedDigest"] == digest(V1)
    [summary] = [line["summary"] for line in lines if "summary" in line]
    assert (summary["exact"], summary["divergedRuns"], summary["failedRuns"]) == (False, TELLING + 1, 0)

    assert await state() == before
    unknown = await in_thread(server.mainspring, "module", "describe", digest(CARELESS), check=False)
    assert unknown.returncode == 1 and "NOT_FOUND" in unknown.stderr, "it was not kept"


async def test_an_uploaded_module_is_verified_on_a_part_of_the_runs(server, refunds, state, in_thread, new_id):
    await in_thread(server.deploy_file, CARELESS, new_id())
    before = await state()

    def verify(*flags, check=True):
        command = ("module", "verify", digest(CARELESS)[:12], "--task-queue", refunds.queue, "--output", "json")
        done = server.mainspring(*command, *flags, check=check)
        return json.loads(done.stdout), done

    some, _ = await in_thread(verify, "--query", f"WorkflowId STARTS_WITH '{refunds.queue}-waiting'")
    assert (some["open"], some["closed"], some["exact"], some["runs"]) == (WAITING, 0, True, [])
    all_open, done = await in_thread(lambda: verify("--closed", "0", check=False))
    assert (done.returncode, all_open["closed"], all_open["divergedRuns"]) == (1, 0, TELLING)
    five, _ = await in_thread(lambda: verify("--sample-count", "5", "--closed", "0", check=False))
    assert five["open"] == 5
    half, _ = await in_thread(lambda: verify("--sample-percent", "50", "--closed", "0", check=False))
    assert 0 < half["open"] < PAYING + WAITING + TELLING
    text = (await in_thread(
        lambda: server.mainspring("module", "verify", digest(CARELESS), "--task-queue", refunds.queue, check=False)
    )).stdout
    event = await letter_event(refunds.handles["telling-0"])
    assert "Diverged:" in text and f"Event       {event}" in text and "send_email" in text, text
    # The one that is active repeats what it has done itself.
    active = await in_thread(server.mainspring_json, "module", "verify", "--task-queue", refunds.queue)
    assert (active["digest"], active["exact"]) == (digest(V1), True)
    assert await state() == before


async def test_runs_move_where_the_module_repeats_them_and_end_on_it(server, refunds, in_thread, new_id):
    await in_thread(server.deploy_file, CARELESS, new_id())
    migrate = ("module", "migrate", digest(CARELESS), "--task-queue", refunds.queue, "--output", "json")
    done = await in_thread(lambda: server.mainspring(*migrate, check=False))
    assert done.returncode == 1, "some stay"
    summary = json.loads(done.stdout)
    assert (summary["moved"], summary["differ"], summary["busy"]) == (PAYING + WAITING, TELLING, 0)
    assert {run["workflowId"] for run in summary["stay"]} == {
        refunds.handles[f"telling-{number}"].id for number in range(TELLING)
    }
    for name, handle in refunds.handles.items():
        expected = V1 if name.startswith(("telling", "told")) else CARELESS
        assert await pinned(handle) == digest(expected), name
    # Again: they are there already.
    again = json.loads((await in_thread(lambda: server.mainspring(*migrate, check=False))).stdout)
    assert (again["moved"], again["already"], again["differ"]) == (0, PAYING + WAITING, TELLING)

    refunds.paying.set()
    refunds.letters.set()
    for number in range(PAYING):
        handle = refunds.handles[f"paying-{number}"]
        assert await handle.result() == "paid back 9.5, told by email"
        history = await handle.fetch_history()
        assert activities_of(history) == ["pay_back", "send_email"]
    for number in range(TELLING):
        assert await refunds.handles[f"telling-{number}"].result() == "paid back 9.5, told by letter"


async def test_flags_that_make_no_sense_are_refused(server, refunds, in_thread):
    def refused(*words) -> tuple[int, str]:
        done = server.mainspring(*words, "--task-queue", refunds.queue, check=False)
        return done.returncode, done.stderr

    code, said = await in_thread(refused, "module", "deploy", V2, "--query", "WorkflowId = 'a'")
    assert code == 2 and "--verify" in said
    code, said = await in_thread(refused, "module", "verify", "--sample-count", "1", "--sample-percent", "1")
    assert code == 2 and "cannot be used with" in said
    code, said = await in_thread(refused, "module", "verify", "--query", "WorkflowId =")
    assert code == 1 and "position" in said
    code, said = await in_thread(refused, "module", "verify", digest(CARELESS)[::-1])
    assert code == 1 and "NOT_FOUND" in said
    code, said = await in_thread(refused, "module", "migrate", "--from", "abc")
    assert code == 1 and "INVALID_ARGUMENT" in said


async def test_the_runs_of_a_stopped_server_are_replayed_from_its_store(servers, in_thread):
    server = servers().start()
    client = await server.connect()
    await in_thread(server.deploy_file, V1, "refunds")
    refunds = Refunds(client, "refunds")
    from temporalio.worker import Worker

    async with Worker(client, task_queue="refunds", activities=refunds.activities()):
        await (await refunds.start("told", tell_after_ms=1)).result()
        await refunds.reach("waiting", 5, "TimerStarted", 1)
    event = await letter_event(refunds.handles["told-0"])

    def replay(module, *flags):
        command = [paths.mainspring_binary(), "replay", "--data-dir", server.data, "--module", module]
        return run([*command, *flags], False, 120)

    busy = await in_thread(replay, V2)
    assert busy.returncode == 2, "the server uses it"
    assert await in_thread(server.stop) == 0

    def summary(module, *flags):
        done = replay(module, *flags, "--output", "json")
        return done.returncode, json.loads(done.stdout)

    code, all_runs = await in_thread(summary, V2)
    assert (code, all_runs["exact"], all_runs["open"], all_runs["closed"]) == (0, True, 5, 1)
    code, differing = await in_thread(summary, CARELESS)
    [told] = differing["runs"]
    assert (code, told["workflowId"], str(told["eventId"])) == (1, "refunds-told-0", event)
    flags = ("--task-queue", "refunds", "--type", "Refund", "--query", "ExecutionStatus = 'Running'")
    code, waiting = await in_thread(summary, CARELESS, *flags)
    assert (code, waiting["open"], waiting["closed"]) == (0, 5, 0)
    assert (await in_thread(summary, V2, "--type", "Other"))[1]["open"] == 0
    unknown = await in_thread(replay, V2, "--namespace", "nowhere")
    assert unknown.returncode == 2 and "Namespace nowhere is not found." in unknown.stderr
    nothing = await in_thread(replay, V2, "--history", V2)
    assert nothing.returncode == 2 and "cannot be used with" in nothing.stderr


async def test_a_version_is_activated_only_if_it_repeats_the_runs(server, refunds, in_thread):
    active = ("module", "versions", "--task-queue", refunds.queue)
    for module in (V2, CARELESS):
        await in_thread(server.mainspring, "module", "upload", module)
    activate = ("module", "activate", "--task-queue", refunds.queue, "--verify")
    refused = await in_thread(server.mainspring, *activate, digest(CARELESS), check=False)
    assert refused.returncode == 1 and "not activated: the module does not repeat" in refused.stderr, refused.stderr
    assert digest(CARELESS) not in (await in_thread(server.mainspring, *active, "-o", "json")).stdout
    done = await in_thread(server.mainspring, *activate, digest(V2))
    assert f"{PAYING + WAITING + TELLING} open runs and 1 closed ones replay exactly" in done.stderr
    # By its number, too, which the first module has kept.
    await in_thread(server.mainspring, *activate, "1")
    new = await refunds.start("new", tell_after_ms=1)
    assert await new.result() == "paid back 9.5, told by letter"
