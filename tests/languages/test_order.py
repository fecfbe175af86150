"""The order workflow in each language, with the same activity worker: the same results and the same histories."""

import asyncio
import json
from types import SimpleNamespace

import launch
import pytest
from support import python_guests
from support.differential import normalised
from support.histories import as_json, event_types
from support.paths import ROOT
from temporalio.worker import Worker

pytestmark = pytest.mark.mainspring_only
WORKER = python_guests.module(ROOT / "examples" / "order" / "python" / "worker.py")
GOLDEN = ROOT / "tests" / "sdk" / "order_events.json"
ORDER = {"amount": 99.99, "user_id": "u123", "email": "user@example.com"}
DEPLOY_TIMEOUT_S = 300
# As the examples' build calls them; Rust's, which the others are held against, is named after its crate.
COMPONENTS = {language: lambda language=language: launch.component("order", language) for language in launch.COMPONENTS}
COMPONENTS["rust"] = lambda: launch.target_directory() / "wasm32-wasip2" / "guest" / "order_workflow.wasm"


async def history_in(language: str, server, client, queue: str, new_id: str) -> dict:
    """Deploys the component, orders something, and gives back the history without what differs from run to run."""
    await asyncio.to_thread(server.deploy_file, COMPONENTS[language](), queue, timeout_s=DEPLOY_TIMEOUT_S)
    async with Worker(client, task_queue=queue, activities=[WORKER.charge_payment, WORKER.send_email]):
        handle = await client.start_workflow("OrderWorkflow", ORDER, id=new_id, task_queue=queue)
        result = await handle.result()
    history = await handle.fetch_history()
    assert event_types(history) == json.loads(GOLDEN.read_text()), "charged with one retry, then confirmed"
    return {"result": result, "events": normalised(as_json(history)["events"])}


@pytest.mark.parametrize("language", sorted(COMPONENTS.keys() - {"rust"}))
async def test_an_order_has_the_history_that_it_has_in_rust(server, client, queue, new_id, monkeypatch, language):
    monkeypatch.setattr(WORKER, "uuid", SimpleNamespace(uuid4=lambda: SimpleNamespace(hex="0" * 32)))
    # One after the other, under one id on one task queue, so that neither has a name of its own.
    order = new_id()
    expected = await history_in("rust", server, client, queue, order)
    assert expected["result"] == "tx-000000000000"
    assert await history_in(language, server, client, queue, order) == expected
