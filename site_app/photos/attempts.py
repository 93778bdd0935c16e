"""What a task's attempt writes into the photo's row: that it works, what it made, or why it did not.

The row is the site's own word, written in the task's own transactions; whether the job is tried again is decided by
the queue. A job that ends without a word (its worker died too often, an operator aborted it) is found by `settle`.
"""

from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now
from procrastinate.contrib.django.models import ProcrastinateJob

from queue_tasks import RetryPolicy
from site_app.photos.images import UnreadablePictureError
from site_app.photos.models import Photo, Step
from site_app.states import ENDED, State

READ_AGAIN = RetryPolicy(
    max_attempts=4, wait=1.0, backoff=3.0, max_wait=30.0, jitter=0.2, retry_on=(OSError,), give_up_on=(ValueError,)
)
"""A disk may come back (tried after 1, 3 and 9 seconds); a damaged picture stays damaged."""

JOB_ENDED_BADLY = ("failed", "cancelled", "aborted")  # the row's words; a job that succeeded has said so itself


@contextmanager
def attempt(context: Any, photo_id: int, name: str) -> Iterator[Photo | None]:
    """The photo this attempt is about, None when it was deleted; an error inside becomes the step's reason."""
    step = Step.objects.filter(photo_id=photo_id, name=name)
    if not step.update(**beginning(context)):
        yield None
        return
    try:
        yield Photo.objects.filter(pk=photo_id).first()
    except Exception as error:
        step.update(**ending(error, context))
        raise


@asynccontextmanager
async def aattempt(context: Any, photo_id: int, name: str) -> AsyncIterator[Photo | None]:
    """`attempt`, for an async task."""
    step = Step.objects.filter(photo_id=photo_id, name=name)
    if not await step.aupdate(**beginning(context)):
        yield None
        return
    try:
        yield await Photo.objects.filter(pk=photo_id).afirst()
    except Exception as error:
        await step.aupdate(**ending(error, context))
        raise


def beginning(context: Any) -> dict[str, Any]:
    """The columns of a step whose attempt begins."""
    return {"state": State.WORKING, "attempt": context.attempt, "started_at": Now(), "ended_at": None, "reason": ""}


def success(result: dict[str, Any]) -> dict[str, Any]:
    """The columns of a step that is done."""
    return {"state": State.DONE, "result": result, "ended_at": Now(), "reason": ""}


def ending(error: Exception, context: Any) -> dict[str, Any]:
    """The columns of a step whose attempt raised."""
    again = READ_AGAIN.wait_after(context.attempt, error) is not None
    return {"state": State.RETRYING if again else State.FAILED, "reason": reason_of(error), "ended_at": Now()}


def reason_of(error: Exception) -> str:
    """The error in words for a visitor, who must not learn where files lie; the job's own row has the traceback."""
    if isinstance(error, UnreadablePictureError):
        return str(error)
    if isinstance(error, OSError):
        return f"The photo's file cannot be read or written now: {error.strerror or type(error).__name__}."
    return f"Something went wrong inside the site ({type(error).__name__})."


def settle(job_ids: Collection[str] | None = None) -> None:
    """Mark the steps whose job ended without a word from its task. job_ids: where to look; None: everywhere."""
    unfinished = unfinished_steps(job_ids)
    waiting_for = [int(job_id) for job_id in unfinished.values_list("job_id", flat=True) if job_id.isdecimal()]
    if not waiting_for:
        return
    ended = ProcrastinateJob.objects.filter(id__in=waiting_for, status__in=JOB_ENDED_BADLY)
    for job_id, status in ended.values_list("id", "status"):
        reason = "It was stopped by an operator." if status != "failed" else "It could not be finished."
        unfinished_steps([str(job_id)]).update(state=State.FAILED, reason=reason, ended_at=Now())


def unfinished_steps(job_ids: Collection[str] | None) -> QuerySet[Step]:
    """The steps that have not ended."""
    unfinished = Step.objects.exclude(state__in=ENDED)
    return unfinished if job_ids is None else unfinished.filter(job_id__in=job_ids)
