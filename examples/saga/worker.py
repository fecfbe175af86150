"""The companies that a trip is booked at. To the island of Atlantis no flight is left, and flights to the Moon take for
ever to book."""

import asyncio

from temporalio import activity
from temporalio.exceptions import ApplicationError


@activity.defn
async def book_car(trip: dict) -> str:
    return booked("car", trip)


@activity.defn
async def book_hotel(trip: dict) -> str:
    return booked("hotel", trip)


@activity.defn
async def book_flight(trip: dict) -> str:
    if trip["destination"] == "Atlantis":
        print("   no flight is left")
        raise ApplicationError("no flight is left", type="SoldOut", non_retryable=True)
    if trip["destination"] == "the Moon":
        print("   booking the flight takes for ever")
        await asyncio.Event().wait()
    return booked("flight", trip)


@activity.defn
async def cancel_car(trip_id: str) -> None:
    taken_back("car", trip_id)


@activity.defn
async def cancel_hotel(trip_id: str) -> None:
    if activity.info().attempt == 1:
        print("   the hotel does not answer")
        raise ConnectionError("the hotel does not answer")
    taken_back("hotel", trip_id)


@activity.defn
async def cancel_flight(trip_id: str) -> None:
    taken_back("flight", trip_id)


def booked(what: str, trip: dict) -> str:
    print(f"   booked a {what} for {trip['id']} to {trip['destination']}")
    return f"{what} of {trip['id']}"


def taken_back(what: str, trip_id: str) -> None:
    print(f"   took back the {what} of {trip_id}, if there was one")


ACTIVITIES = [book_car, book_hotel, book_flight, cancel_car, cancel_hotel, cancel_flight]
