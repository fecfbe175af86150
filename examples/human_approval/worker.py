"""The activity of the approval: telling somebody something."""

from temporalio import activity


@activity.defn
async def notify(person: str, text: str) -> None:
    print(f"   to {person}: {text}")


ACTIVITIES = [notify]
