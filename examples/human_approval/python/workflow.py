"""Human approval: an expense that waits for people. They look at it (a query), remark on it (a signal) and decide about
it (an update, which can be refused and is answered). When they do nothing, a timer asks somebody else."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError


@dataclass
class Expense:
    purpose: str
    reviewers: list[str]
    # How many of them have to approve.
    needed: int
    # Who is asked when they do not.
    manager: str
    reviewers_have_ms: int
    manager_has_ms: int


@dataclass
class Review:
    needed: int
    asked: list[str] = field(default_factory=list)
    approved_by: list[str] = field(default_factory=list)
    rejected_by: str | None = None
    comments: list[str] = field(default_factory=list)

    def is_decided(self) -> bool:
        return self.rejected_by is not None or len(self.approved_by) >= self.needed


@workflow.defn
class ApproveExpense:
    @workflow.init
    def __init__(self, expense: Expense) -> None:
        self.review = Review(needed=expense.needed)

    @workflow.run
    async def run(self, expense: Expense) -> Review:
        for reviewer in expense.reviewers:
            await self.ask(reviewer, f"please decide: {expense.purpose}")
        try:
            await self.decision(expense.reviewers_have_ms)
        except asyncio.TimeoutError:
            # The last one to ask, whose word is enough.
            self.review.needed = len(self.review.approved_by) + 1
            await self.ask(expense.manager, f"nobody decides: {expense.purpose}")
            try:
                await self.decision(expense.manager_has_ms)
            except asyncio.TimeoutError:
                raise ApplicationError("nobody has decided", type="Expired") from None
        return self.review

    async def decision(self, within_ms: int) -> None:
        await workflow.wait_condition(self.review.is_decided, timeout=timedelta(milliseconds=within_ms))

    async def ask(self, person: str, text: str) -> None:
        self.review.asked.append(person)
        await workflow.execute_activity("notify", args=[person, text], start_to_close_timeout=timedelta(seconds=30))

    @workflow.query(description="Where it stands.")
    def status(self) -> Review:
        return self.review

    @workflow.signal(description="A remark: nobody has to answer it.")
    def comment(self, author: str, text: str) -> None:
        self.review.comments.append(f"{author}: {text}")

    @workflow.update(description="A decision; answers how many approvals are still missing.")
    def decide(self, person: str, approve: bool) -> int:
        if approve:
            self.review.approved_by.append(person)
        else:
            self.review.rejected_by = person
        return max(self.review.needed - len(self.review.approved_by), 0)

    @decide.validator
    def may_decide(self, person: str, approve: bool) -> None:
        """What is refused here leaves no trace in the history."""
        if person not in self.review.asked:
            raise ApplicationError(f"{person} was not asked", type="NotAsked")
        if person in self.review.approved_by:
            raise ApplicationError(f"{person} has decided already", type="DecidedTwice")
        if self.review.is_decided():
            raise ApplicationError("it is decided", type="TooLate")
