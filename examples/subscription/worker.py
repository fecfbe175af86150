"""What a subscription does to its customer: it writes and it charges."""

from temporalio import activity


@activity.defn
async def send_email(customer: str, text: str) -> None:
    print(f"   to {customer}: {text}")


@activity.defn
async def charge(customer: str, price: int, number: int) -> str:
    # A bank that is given the number of a payment twice takes the money once.
    return f"payment {number} of {price} is received"


ACTIVITIES = [send_email, charge]
