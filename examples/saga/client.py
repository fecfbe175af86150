"""Three trips: one that is booked, one whose last step fails, and one that is canceled in the middle."""

import asyncio

from example import Example
from temporalio.client import WorkflowFailureError, WorkflowHandle


async def main(example: Example) -> None:
    trip = await example.start("BookTrip", {"id": "trip-1", "destination": "Lisbon"})
    await tell(trip)

    trip = await example.start("BookTrip", {"id": "trip-2", "destination": "Atlantis"})
    await tell(trip)

    trip = await example.start("BookTrip", {"id": "trip-3", "destination": "the Moon"})
    while not await is_booking_the_flight(trip):
        await asyncio.sleep(0.1)
    print("canceling the trip to the Moon")
    await trip.cancel()
    await tell(trip)


async def is_booking_the_flight(trip: WorkflowHandle) -> bool:
    pending = (await trip.describe()).raw_description.pending_activities
    return any(activity.activity_type.name == "book_flight" for activity in pending)


async def tell(trip: WorkflowHandle) -> None:
    try:
        print(f"booked: {await trip.result()}")
    except WorkflowFailureError as error:
        print(f"not booked: {error.cause.__cause__ or error.cause}")
