"""The job that does nothing, to measure everything else."""

from queue_tasks import task


@task(queue_name="default")
async def nothing() -> None:
    """Do nothing."""
