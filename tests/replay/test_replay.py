"""`mainspring replay`: what happened is repeated byte for byte, and anything that did not happen is noticed by name.

(That the histories of all other tests replay is checked where their servers end: `support.histories.finish`.)
"""

import copy
import json
import re
from pathlib import Path

import pytest
from support import paths
from support.histories import replay
from support.server import run
from temporalio import activity

pytestmark = pytest.mark.mainspring_only
ORDER = {"amount": 99.99, "user_id": "u123", "email": "user@example.com"}


@pytest.fixture
async def order(client, server, queue, deploy, activities, new_id, tmp_path, in_thread):
    """The history of an order, as `temporal workflow show --output json` prints it, and its run id."""

    @activity.defn
    async def charge_payment(amount: float, user_id: str) -> str:
        if activity.info().attempt == 1:
            raise ConnectionError("the payment provider does not answer")
        return "tx-1"

    @activity.defn
    async def send_email(to: str, subject: str) -> None:
        pass

    await deploy("order-workflow")
    await activities(charge_payment, send_email)
    handle = await client.start_workflow("OrderWorkflow", ORDER, id=new_id(), task_queue=queue)
    await handle.result()
    shown = await in_thread(server.temporal_json, "workflow", "show", "--workflow-id", handle.id)
    assert len(shown["events"]) == 17
    return shown


@pytest.fixture
def check(tmp_path):
    """Replays a history, and gives back the exit code and what was said on stderr."""

    def check(history: dict, module=None) -> tuple[int, str]:
        path = tmp_path / "history.json"
        path.write_text(json.dumps(history))
        done = replay(path, module or paths.guest("order-workflow"))
        return done.returncode, done.stderr

    return check


def renumbered(events: list[dict]) -> list[dict]:
    """As somebody would who wants the change to go unnoticed: ids in sequence, and references to them kept right."""
    new_ids = {event["eventId"]: str(number) for number, event in enumerate(events, 1)}

    def fix(value):
        if isinstance(value, dict):
            return {
                key: new_ids.get(inner, inner) if key.endswith("EventId") or key == "eventId" else fix(inner)
                for key, inner in value.items()
            }
        return [fix(inner) for inner in value] if isinstance(value, list) else value

    return [fix(event) for event in events]


def names_event(said: str, number: int) -> bool:
    return re.search(rf"\bevent {number}\b", said) is not None


async def test_an_order_replays_from_the_json_of_the_temporal_cli(order, check):
    assert check(order) == (0, "")


async def test_an_order_replays_from_binary(server, order, queue, tmp_path, in_thread):
    file = tmp_path / "history.bin"
    workflow_id = order["events"][0]["workflowExecutionStartedEventAttributes"]["workflowId"]
    await in_thread(server.mainspring, "workflow", "show", "--workflow-id", workflow_id, "--output-file", file)
    replay(file, paths.guest("order-workflow"), check=True)


async def test_an_open_history_replays_up_to_where_it_is(order, check):
    # Where a server can have been stopped: after each of its commits.
    for length in (2, 5, 8, 11, 14):
        assert check({"events": order["events"][:length]}) == (0, ""), length


@pytest.mark.parametrize("dropped", range(2, 17))
async def test_an_event_that_was_dropped_is_missed(order, check, dropped):
    events = [event for event in order["events"] if event["eventId"] != str(dropped)]
    code, said = check({"events": events})
    assert code == 1
    assert names_event(said, dropped) or names_event(said, dropped + 1), said


async def test_a_whole_activity_that_was_cut_out_with_care_is_missed(order, check):
    code, said = check({"events": renumbered(order["events"][:4] + order["events"][10:])})
    assert code == 1
    assert names_event(said, 5), said


@pytest.mark.parametrize("first", [4, 5, 7, 10, 16])
async def test_two_events_that_changed_places_are_noticed(order, check, first):
    events = copy.deepcopy(order["events"])
    events[first - 1], events[first] = events[first], events[first - 1]
    code, said = check({"events": events})
    assert code == 1
    assert names_event(said, first) or names_event(said, first + 1), said


async def test_two_activities_that_changed_places_with_care_are_noticed(order, check):
    events = copy.deepcopy(order["events"])
    for offset in range(3):
        events[4 + offset], events[10 + offset] = events[10 + offset], events[4 + offset]
    code, said = check({"events": renumbered(events)})
    assert code == 1
    assert names_event(said, 5), said


@pytest.mark.parametrize("after", [1, 4, 5, 7, 10, 13])
async def test_an_event_that_is_there_twice_is_noticed(order, check, after):
    events = order["events"]
    twice = events[:after] + [copy.deepcopy(events[after - 1])] + events[after:]
    code, said = check({"events": twice})
    assert code == 1
    assert names_event(said, after) or names_event(said, after + 1), said


async def test_an_activity_that_was_put_in_with_care_is_noticed(order, check):
    events = order["events"]
    stranger = copy.deepcopy(events[4])
    stranger["activityTaskScheduledEventAttributes"]["activityId"] = "stranger"
    code, said = check({"events": renumbered(events[:5] + [stranger | {"eventId": "stranger"}] + events[5:])})
    assert code == 1
    assert names_event(said, 6), said


async def test_a_changed_result_shows_in_what_the_workflow_did_next(order, check):
    text = json.dumps(order)
    # base64 of "tx-1", and of another transaction of the same length.
    changed = json.loads(text.replace("InR4LTEi", "InR4LTIi"))
    completed = changed["events"][6]["activityTaskCompletedEventAttributes"]
    changed["events"] = order["events"][:6] + [order["events"][6] | {"activityTaskCompletedEventAttributes": completed}]
    changed["events"] += order["events"][7:]
    assert changed != order
    code, said = check(changed)
    assert code == 1
    assert names_event(said, 11), said


CHANGES = {
    "the activity's type": lambda a: a["activityType"].update(name="refund_payment"),
    "the activity's id": lambda a: a.update(activityId="17"),
    "the activity's input": lambda a: a["input"]["payloads"].pop(),
    "the activity's timeout": lambda a: a.update(startToCloseTimeout="31s"),
    "the activity's task queue": lambda a: a["taskQueue"].update(name="elsewhere"),
    "the retry policy": lambda a: a["retryPolicy"].update(maximumAttempts=4),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_whatever_is_changed_of_a_scheduled_activity_is_noticed(order, check, what):
    changed = copy.deepcopy(order)
    CHANGES[what](changed["events"][4]["activityTaskScheduledEventAttributes"])
    code, said = check(changed)
    assert code == 1
    assert names_event(said, 5), said


async def test_a_changed_workflow_result_is_noticed(order, check):
    changed = copy.deepcopy(order)
    [payload] = changed["events"][16]["workflowExecutionCompletedEventAttributes"]["result"]["payloads"]
    payload["data"] = "InR4LTIi"
    code, said = check(changed)
    assert code == 1
    assert names_event(said, 17), said


async def test_a_module_without_the_workflow_is_named_as_the_reason(order, check):
    code, said = check(order, paths.guest("guest-kitchen"))
    assert code == 1
    assert "OrderWorkflow" in said


async def test_a_module_that_does_something_else_is_caught_where_it_does(order, check, tmp_path):
    original = paths.guest("order-workflow").read_bytes()
    assert original.count("주문 완료".encode()) == 1
    changed = tmp_path / "changed.wasm"
    changed.write_bytes(original.replace("주문 완료".encode(), "주문 확인".encode()))
    code, said = check(order, changed)
    assert code == 1
    assert names_event(said, 11), said


def test_what_is_no_history_exits_2(tmp_path):
    module = paths.guest("order-workflow")
    for name, content in [("a.json", b"not json"), ("b.json", b'{"events": []}'), ("c.bin", b"\xff\xff\xff")]:
        file = tmp_path / name
        file.write_bytes(content)
        refused = replay(file, module)
        assert refused.returncode == 2, name
        assert name in refused.stderr
    assert replay(tmp_path / "absent.json", module).returncode == 2
    missing = run([paths.mainspring_binary(), "replay", "--module", module], False, 30)
    assert missing.returncode == 2


async def test_several_histories_are_replayed_at_once(order, tmp_path):
    """One that differs does not hide the others, and is named."""
    module = paths.guest("order-workflow")
    good = tmp_path / "good.json"
    good.write_text(json.dumps(order))
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"events": [event for event in order["events"] if event["eventId"] != "11"]}))
    both = replay(good, module, "--history", bad, "--history", good, "--output", "json")
    assert both.returncode == 1
    assert "1 of 3 histories" in both.stderr and "bad.json" in both.stderr
    outcomes = [(Path(item["history"]).name, item["outcome"]) for item in json.loads(both.stdout)]
    assert [outcome for name, outcome in outcomes if name == "good.json"] == ["exact", "exact"]
    assert [outcome for name, outcome in outcomes if name == "bad.json"] != ["exact"]
    refused = replay(good, module, "--history", bad, "--run-id", "r")
    assert refused.returncode == 2 and "--run-id" in refused.stderr
