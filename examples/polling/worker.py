"""A feed of some pages. They come with their text as it is on the wire, half a megabyte each, so that the history of
a workflow that follows it soon grows large."""

from temporalio import activity

LAST_PAGE = 23


@activity.defn
async def fetch_page(url: str, cursor: int) -> dict:
    print(f"   page {cursor} of {url}")
    items = [f"item {3 * cursor + index}" for index in range(3)]
    return {"items": items, "next_cursor": cursor + 1, "is_last": cursor == LAST_PAGE, "raw": "<br>" * 125_000}


ACTIVITIES = [fetch_page]
