"""The sleeper wakes on time, hears its customer meanwhile, and survives kill -9. (That it sleeps through months is shown
by the unit tests of the example, where time is skipped.)"""

from example import Example
from support.histories import activities_of, arguments_of, event_types
from support.waiting import eventually
from temporalio.client import WorkflowHistory

EXAMPLE = "subscription"
DAY_MS = 24 * 3600 * 1000
PERIOD_MS = 1000


def payments(subscription, at_least: int):
    async def has_paid():
        return (await subscription.query("status"))["payments"] >= at_least

    return eventually(has_paid, f"{at_least} payments", 60)


def naps(history) -> list[tuple[float, float]]:
    """For each timer that fired: how long it was to be, and how long it was, in seconds."""
    started = {}
    naps = []
    for event in history.events:
        if event.HasField("timer_started_event_attributes"):
            timer = event.timer_started_event_attributes
            started[event.event_id] = (timer.start_to_fire_timeout.ToTimedelta(), event.event_time.ToDatetime())
        if event.HasField("timer_fired_event_attributes"):
            wanted, began = started[event.timer_fired_event_attributes.started_event_id]
            naps.append((wanted.total_seconds(), (event.event_time.ToDatetime() - began).total_seconds()))
    return naps


async def test_a_subscription_of_real_months_waits_and_can_be_canceled(example):
    subscription = {"customer": "bob", "price": 10, "trial_ms": 14 * DAY_MS, "period_ms": 30 * DAY_MS}
    bob = await example.start("Subscribe", subscription)

    async def sleeps():
        return "timer" in await bob.query("__stack_trace")

    await eventually(sleeps, "the trial has begun")
    await bob.signal("cancel")
    assert (await bob.result())["payments"] == 0
    history = await bob.fetch_history()
    assert activities_of(history) == ["send_email", "send_email"]
    [timer] = [e for e in history.events if e.HasField("timer_started_event_attributes")]
    assert timer.timer_started_event_attributes.start_to_fire_timeout.ToMilliseconds() == 14 * DAY_MS
    assert event_types(history).count("TimerCanceled") == 1


async def test_the_price_changes_between_two_payments(example):
    ann = await example.start("Subscribe", {"customer": "ann", "price": 10, "trial_ms": 1, "period_ms": PERIOD_MS})
    await payments(ann, 1)
    assert await ann.execute_update("set_price", 12) == 10
    # One more may have been on its way.
    await payments(ann, (await ann.query("status"))["payments"] + 2)
    await ann.signal("cancel")
    assert (await ann.result())["price"] == 12
    history = await ann.fetch_history()
    types = event_types(history)
    before = WorkflowHistory(history.workflow_id, history.events[: types.index("WorkflowExecutionUpdateAccepted")])
    charged_before = activities_of(before).count("charge")
    prices = [price for _, price, _ in arguments_of(history, "charge")]
    assert prices == [10] * charged_before + [12] * (len(prices) - charged_before)
    assert 12 in prices


async def test_the_sleeper_survives_kill_9(servers, in_thread, language, queue):
    server = servers()
    await in_thread(server.start)
    example = Example(EXAMPLE, language, await server.connect(), queue, server.deploy_file)
    await example.deploy()
    async with example.worker():
        period = {"trial_ms": 1, "period_ms": PERIOD_MS}
        ann = await example.start("Subscribe", {"customer": "ann", "price": 10, **period})
        await payments(ann, 1)
        for payment in (2, 3):

            async def sleeps(payments=payment - 1):
                return event_types(await ann.fetch_history()).count("TimerStarted") > payments

            await eventually(sleeps, f"it sleeps after payment {payment - 1}")
            await in_thread(server.kill)
            await in_thread(server.start)
            await payments(ann, payment)
        await ann.signal("cancel")
        paid = (await ann.result())["payments"]
        history = await ann.fetch_history()
    numbers = [number for _, _, number in arguments_of(history, "charge")]
    assert numbers == list(range(1, paid + 1)), "no payment is missing or there twice"
    slept = naps(history)
    assert len(slept) >= paid, "nothing is paid before its time"
    assert all(lasted >= wanted for wanted, lasted in slept), f"a timer fired early: {slept}"
