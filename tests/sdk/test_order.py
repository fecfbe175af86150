"""The order workflow: activities, retry, result, history."""

import json
from pathlib import Path

from support.histories import event_types
from temporalio import activity

ORDER = {"amount": 99.99, "user_id": "u123", "email": "user@example.com"}
GOLDEN = Path(__file__).with_name("order_events.json")


async def test_an_order_is_charged_with_a_retry_and_confirmed(server, client, queue, deploy, activities, new_id):
    charged, mails = [], []

    @activity.defn
    async def charge_payment(amount: float, user_id: str) -> str:
        attempt = activity.info().attempt
        charged.append((amount, user_id, attempt))
        if attempt == 1:
            raise ConnectionError("the payment provider does not answer")
        return "tx-1"

    @activity.defn
    async def send_email(to: str, subject: str) -> None:
        mails.append((to, subject))

    await deploy("order-workflow")
    await activities(charge_payment, send_email)
    handle = await client.start_workflow("OrderWorkflow", ORDER, id=new_id(), task_queue=queue)
    assert await handle.result() == "tx-1"

    assert charged == [(99.99, "u123", 1), (99.99, "u123", 2)]
    assert mails == [("user@example.com", "주문 완료: tx-1")]
    history = await handle.fetch_history()
    assert event_types(history) == json.loads(GOLDEN.read_text())
    started = [e.activity_task_started_event_attributes for e in history.events][6 - 1]
    assert started.attempt == 2
    assert started.last_failure.message == "the payment provider does not answer"
    assert started.last_failure.application_failure_info.type == "ConnectionError"


async def test_the_same_workflow_id_can_be_used_again(client, queue, deploy, activities, new_id):
    @activity.defn
    async def charge_payment(amount: float, user_id: str) -> str:
        return f"tx-{user_id}"

    @activity.defn
    async def send_email(to: str, subject: str) -> None:
        pass

    await deploy("order-workflow")
    await activities(charge_payment, send_email)
    workflow_id = new_id()
    for user in ("first", "second"):
        order = ORDER | {"user_id": user}
        result = await client.execute_workflow("OrderWorkflow", order, id=workflow_id, task_queue=queue)
        assert result == f"tx-{user}"
