"""What was booked is taken back, the last step first, on failure and on cancellation."""

import pytest
from support.histories import activities_of, arguments_of, event_types
from support.waiting import eventually
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError

EXAMPLE = "saga"
BOOKED = ["book_car", "book_hotel", "book_flight"]
TAKEN_BACK = ["cancel_flight", "cancel_hotel", "cancel_car"]


async def test_a_trip_is_booked(example):
    trip = await example.start("BookTrip", {"id": "trip-1", "destination": "Lisbon"})
    assert await trip.result() == {"car": "car of trip-1", "hotel": "hotel of trip-1", "flight": "flight of trip-1"}
    assert activities_of(await trip.fetch_history()) == BOOKED


async def test_a_trip_whose_last_step_fails_is_taken_back(example):
    trip = await example.start("BookTrip", {"id": "trip-2", "destination": "Atlantis"})
    with pytest.raises(WorkflowFailureError) as failed:
        await trip.result()
    assert failed.value.cause.__cause__.type == "SoldOut", "the reason is not lost on the way back"
    history = await trip.fetch_history()
    assert activities_of(history) == BOOKED + TAKEN_BACK
    assert arguments_of(history, "cancel_car") == [["trip-2"]]
    types = event_types(history)
    assert types.count("ActivityTaskFailed") == 1
    assert types.count("ActivityTaskCompleted") == 5, "each step back is tried until it succeeds"


async def test_a_trip_that_is_canceled_is_taken_back_as_well(example):
    trip = await example.start("BookTrip", {"id": "trip-3", "destination": "the Moon"})

    async def is_booking_the_flight():
        pending = (await trip.describe()).raw_description.pending_activities
        return [activity.activity_type.name for activity in pending] == ["book_flight"]

    await eventually(is_booking_the_flight, "the flight is being booked")
    await trip.cancel()
    with pytest.raises(WorkflowFailureError) as failed:
        await trip.result()
    assert isinstance(failed.value.cause, CancelledError)
    assert (await trip.describe()).status == WorkflowExecutionStatus.CANCELED
    history = await trip.fetch_history()
    assert activities_of(history) == BOOKED + TAKEN_BACK
    types = event_types(history)
    # The flight is asked to stop, and not waited for.
    asked, told = types.index("WorkflowExecutionCancelRequested"), types.index("ActivityTaskCancelRequested")
    assert asked < told < len(types) - 1 - types[::-1].index("ActivityTaskScheduled")
    assert types[-1] == "WorkflowExecutionCanceled"
