"""The activities of all versions of the refund."""

from temporalio import activity


@activity.defn
async def pay_back(customer: str, amount: float) -> str:
    print(f"   paid back {amount} to {customer}")
    return f"paid back {amount}"


@activity.defn
async def send_letter(customer: str) -> None:
    print(f"   a letter to {customer}")


@activity.defn
async def send_email(customer: str) -> None:
    print(f"   an email to {customer}")


ACTIVITIES = [pay_back, send_letter, send_email]
