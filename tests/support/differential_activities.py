"""What the workflows of the differential suite call. One instance for each server, on which a script sees what ran."""

import asyncio

from temporalio import activity
from temporalio.exceptions import ApplicationError

from .waiting import eventually


class Activities:
    def __init__(self) -> None:
        self._parked: dict[str, list[activity.Info]] = {}
        self.cancellations: dict[str, list] = {}

    def all(self) -> list:
        return [
            self.charge_payment, self.send_email, self.echo, self.declines, self.park, self.beats, self.stumbles,
            self.undo,
        ]  # fmt: skip

    async def parked(self, workflow_id: str, attempt: int = 1) -> activity.Info:
        """Waits until the workflow's `park` has been called so often."""

        def called():
            return len(self._parked.get(workflow_id, [])) >= attempt

        await eventually(called, f"{workflow_id} has called `park`", 30)
        return self._parked[workflow_id][attempt - 1]

    @activity.defn
    async def charge_payment(self, amount: float, user_id: str) -> str:
        if activity.info().attempt == 1:
            raise ApplicationError("the payment provider does not answer", type="ConnectionError")
        return f"tx-{user_id}"

    @activity.defn
    async def send_email(self, to: str, subject: str) -> None:
        pass

    @activity.defn
    async def echo(self, value=None):
        return value

    @activity.defn
    async def undo(self, value) -> None:
        pass

    @activity.defn
    async def declines(self, _=None) -> None:
        raise ApplicationError("no funds", {"code": 51}, type="CardDeclined", non_retryable=True)

    @activity.defn
    async def stumbles(self, times: int) -> int:
        attempt = activity.info().attempt
        if attempt <= times:
            raise ApplicationError(f"attempt {attempt}", type="Stumbled")
        return attempt

    @activity.defn
    async def park(self, _=None) -> None:
        """Is to be completed by somebody else."""
        info = activity.info()
        self._parked.setdefault(info.workflow_id, []).append(info)
        activity.raise_complete_async()

    @activity.defn
    async def beats(self, word=None) -> str:
        """Heartbeats until it is told to stop, and says so."""
        seen = self.cancellations.setdefault(activity.info().workflow_id, [])
        self._parked.setdefault(activity.info().workflow_id, []).append(activity.info())
        try:
            while True:
                activity.heartbeat(word)
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            seen.append([word, details.cancel_requested, details.not_found, details.timed_out])
            raise
