"""Counts a library, of which one book is lost, and waits for the child that outlives its parent."""

from example import Example

LIBRARY = {"books": ["Moby Dick", "Emma", "The Lost Book", "The Trial"], "at_once": 2, "publish_after_ms": 1000}


async def main(example: Example) -> None:
    count = await example.start("CountLibrary", LIBRARY)
    report = await count.result()
    print(f"counted: {report['words']}")
    print(f"failed: {report['failed']}")
    print("the parent has ended; the publication goes on")
    await example.client.get_workflow_handle(f"{count.id}-publication").result()
