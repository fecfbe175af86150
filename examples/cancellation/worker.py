"""The steps of a backup, in a folder that has to go in the end."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from temporalio import activity


@activity.defn
async def create_staging_area(database: str) -> str:
    # The same one in each attempt.
    area = Path(tempfile.gettempdir()) / f"backup-{database}-{activity.info().workflow_run_id}"
    area.mkdir(exist_ok=True)
    print(f"   created {area}")
    return str(area)


@activity.defn
async def copy_tables(area: str, tables: int) -> int:
    try:
        for table in range(tables):
            (Path(area) / f"table-{table}").write_text("rows\n")
            activity.heartbeat(table + 1)
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        print(f"   the copy stops, after {table + 1} tables")
        raise
    return tables


@activity.defn
async def delete_staging_area(area: str) -> None:
    if activity.info().attempt == 1:
        print("   deleting the staging area: it is busy")
        raise OSError("the staging area is busy")
    shutil.rmtree(area, ignore_errors=True)
    print(f"   deleted {area}")


ACTIVITIES = [create_staging_area, copy_tables, delete_staging_area]
