"""Orders something: starts the order workflow and waits for its result."""

import asyncio
import os

from temporalio.client import Client


async def main() -> None:
    client = await Client.connect(os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
    # The workflow is named by its type: its code is a WebAssembly module on the server, not in this process.
    result = await client.execute_workflow(
        "OrderWorkflow",
        {"amount": 99.99, "user_id": "u123", "email": "user@example.com"},
        id="order-1001",
        task_queue="orders",
    )
    print(f"완료: {result}")
    # The SDK's threads are done a moment after the result is here, and a Python that ends before them may crash.
    await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main())
