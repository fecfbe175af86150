"""People look, remark and decide; when they do not, somebody else is asked."""

import pytest
from support.histories import activities_of, arguments_of, event_types
from support.waiting import eventually
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError

EXAMPLE = "human_approval"
DAY_MS = 24 * 3600 * 1000
EXPENSE = {
    "purpose": "a bicycle",
    "reviewers": ["ann", "bob"],
    "needed": 2,
    "manager": "cem",
    "reviewers_have_ms": 3 * DAY_MS,
    "manager_has_ms": 3 * DAY_MS,
}


async def decide(review, person: str, approve: bool) -> int:
    return await review.execute_update("decide", args=[person, approve])


async def refusal(review, person: str) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await decide(review, person, True)
    return refused.value.cause.type


async def asked(review, person: str) -> None:
    async def is_asked():
        return person in (await review.query("status"))["asked"]

    await eventually(is_asked, f"{person} is asked")


async def test_an_expense_is_approved_when_enough_have_approved(example):
    review = await example.start("ApproveExpense", EXPENSE)
    await asked(review, "bob")
    await review.signal("comment", args=["dora", "the old one is rusty"])
    assert await decide(review, "ann", True) == 1
    status = await review.query("status")
    assert (status["approved_by"], status["comments"]) == (["ann"], ["dora: the old one is rusty"])
    assert await decide(review, "bob", True) == 0
    result = await review.result()
    assert result["approved_by"] == ["ann", "bob"] and result["rejected_by"] is None
    assert await review.query("status") == result, "also once it is closed"
    history = await review.fetch_history()
    assert activities_of(history) == ["notify", "notify"]
    assert event_types(history).count("TimerCanceled") == 1, "nobody waits any more"


async def test_a_refused_decision_leaves_no_trace(example):
    review = await example.start("ApproveExpense", EXPENSE)
    await asked(review, "bob")
    await decide(review, "ann", True)
    before = event_types(await review.fetch_history())
    assert await refusal(review, "ann") == "DecidedTwice"
    assert await refusal(review, "cem") == "NotAsked"
    assert event_types(await review.fetch_history()) == before
    await decide(review, "bob", False)
    result = await review.result()
    assert (result["approved_by"], result["rejected_by"]) == (["ann"], "bob")


async def test_the_manager_is_asked_when_nobody_decides(example):
    review = await example.start("ApproveExpense", EXPENSE | {"reviewers_have_ms": 50})
    await asked(review, "cem")
    assert await decide(review, "cem", True) == 0
    assert (await review.result())["approved_by"] == ["cem"]
    history = await review.fetch_history()
    assert [person for person, _ in arguments_of(history, "notify")] == ["ann", "bob", "cem"]
    assert event_types(history).count("TimerFired") == 1


async def test_an_expense_that_nobody_decides_on_expires(example):
    review = await example.start("ApproveExpense", EXPENSE | {"reviewers_have_ms": 50, "manager_has_ms": 50})
    with pytest.raises(WorkflowFailureError) as failed:
        await review.result()
    assert failed.value.cause.type == "Expired"
    history = await review.fetch_history()
    assert [person for person, _ in arguments_of(history, "notify")] == ["ann", "bob", "cem"]
    assert event_types(history).count("TimerFired") == 2
