"""Neighbours: order workflows that go on while somebody else misbehaves."""

import contextlib

import pytest
from temporalio import activity
from temporalio.worker import Worker

ORDER = {"amount": 1.0, "user_id": "neighbour", "email": "neighbour@example.com"}


@pytest.fixture
async def neighbour(client, deploy, queue, new_id):
    """Runs a whole order on another task queue, and checks its result."""
    other = f"{queue}-neighbour"

    @activity.defn
    async def charge_payment(amount: float, user_id: str) -> str:
        return f"tx-{user_id}"

    @activity.defn
    async def send_email(to: str, subject: str) -> None:
        assert subject == "주문 완료: tx-neighbour"

    await deploy("order-workflow", other)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(Worker(client, task_queue=other, activities=[charge_payment, send_email]))

        async def order() -> None:
            result = await client.execute_workflow("OrderWorkflow", ORDER, id=f"{new_id()}-order", task_queue=other)
            assert result == "tx-neighbour"

        yield order
