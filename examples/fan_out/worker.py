"""Counts the words of books, and publishes what was counted."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

SHELF = {
    "Moby Dick": "Call me Ishmael.",
    "Emma": "Emma Woodhouse, handsome, clever, and rich",
    "The Trial": "Someone must have slandered Josef K.",
}


@activity.defn
async def count_words(book: str) -> int:
    if book not in SHELF:
        print(f"   {book}: not on its shelf")
        raise ApplicationError(f"{book} is not on its shelf", type="NotFound", non_retryable=True)
    words = len(SHELF[book].split())
    print(f"   {book}: {words} words")
    return words


@activity.defn
async def publish(report: dict) -> None:
    print(f"   published: {report}")


ACTIVITIES = [count_words, publish]
