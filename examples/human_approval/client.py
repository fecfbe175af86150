"""Two people approve an expense; of another one nobody takes notice until the manager is asked."""

import asyncio

from example import Example
from temporalio.client import WorkflowUpdateFailedError

DAY_MS = 24 * 3600 * 1000
EXPENSE = {
    "purpose": "a new bicycle",
    "reviewers": ["ann", "bob"],
    "needed": 2,
    "manager": "cem",
    "reviewers_have_ms": 3 * DAY_MS,
    "manager_has_ms": 3 * DAY_MS,
}


async def main(example: Example) -> None:
    review = await example.start("ApproveExpense", EXPENSE)
    await review.signal("comment", args=["dora", "the old one is rusty"])
    missing = await review.execute_update("decide", args=["ann", True])
    print(f"ann approves; missing: {missing}")
    try:
        await review.execute_update("decide", args=["ann", True])
    except WorkflowUpdateFailedError as refused:
        print(f"ann approves again: refused, because {refused.cause}")
    status = await review.query("status")
    print(f"status: approved by {status['approved_by']}, comments {status['comments']}")
    await review.execute_update("decide", args=["bob", True])
    print(f"approved by {(await review.result())['approved_by']}")

    print("another one, for which its reviewers have one second:")
    review = await example.start("ApproveExpense", EXPENSE | {"purpose": "an umbrella", "reviewers_have_ms": 1000})
    while "cem" not in (await review.query("status"))["asked"]:
        await asyncio.sleep(0.1)
    await review.execute_update("decide", args=["cem", False])
    print(f"rejected by {(await review.result())['rejected_by']}")
