"""The order workflow: charge the customer, then tell them so.

The same file makes a WebAssembly component for Mainspring (`python guest-sdk/python/build.py
examples/order/python/workflow.py`) and runs on a worker of Temporal's Python SDK. The activities are in `worker.py`.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

# Only their names and types are needed here: what they do is the worker's business.
with workflow.unsafe.imports_passed_through():
    from worker import charge_payment, send_email


@workflow.defn
class OrderWorkflow:
    @workflow.run
    async def run(self, order: dict) -> str:
        tx_id = await workflow.execute_activity(
            charge_payment,
            args=[order["amount"], order["user_id"]],
            start_to_close_timeout=timedelta(seconds=30),
            retry_policy=RetryPolicy(maximum_attempts=3),
        )
        await workflow.execute_activity(
            send_email,
            args=[order["email"], f"주문 완료: {tx_id}"],
            start_to_close_timeout=timedelta(seconds=10),
        )
        return tx_id
