"""Saga: a trip is booked in three steps, each at another company. When one of them fails, or somebody cancels the trip,
what was booked so far is taken back, the last step first."""

import asyncio
from dataclasses import asdict, dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

TIMEOUT = timedelta(seconds=30)


@dataclass
class Trip:
    # What the companies know the trip by: to book, or to take back, the same one twice is to do it once.
    id: str
    destination: str


@dataclass
class Bookings:
    car: str
    hotel: str
    flight: str


@workflow.defn
class BookTrip:
    def __init__(self) -> None:
        # The activities that take back what was done.
        self.compensations: list[str] = []

    @workflow.run
    async def run(self, trip: Trip) -> Bookings:
        try:
            return Bookings(
                car=await self.step("book_car", "cancel_car", trip),
                hotel=await self.step("book_hotel", "cancel_hotel", trip),
                flight=await self.step("book_flight", "cancel_flight", trip),
            )
        except BaseException:
            # Shielded, so that it also works in a workflow that has been canceled.
            await asyncio.shield(asyncio.create_task(self.compensate(trip)))
            raise

    async def step(self, name: str, compensation: str, trip: Trip) -> str:
        # The way back is noted before the step: where an answer was lost, the booking may be there all the same.
        self.compensations.append(compensation)
        return await workflow.execute_activity(
            name,
            asdict(trip),
            result_type=str,
            start_to_close_timeout=TIMEOUT,
            retry_policy=RetryPolicy(maximum_attempts=3),
        )

    async def compensate(self, trip: Trip) -> None:
        for compensation in reversed(self.compensations):
            try:
                # Tried until it succeeds: nothing else would put things right.
                await workflow.execute_activity(compensation, trip.id, start_to_close_timeout=TIMEOUT)
            except ActivityError as error:
                workflow.logger.error("somebody has to look after this: %s", error.cause)
