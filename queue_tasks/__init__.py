"""A task queue for Django that needs nothing but Postgres.

from queue_tasks import task

@task(queue_name="media")
def resize(photo_id: int, width: int = 256) -> str: ...

resize.enqueue(photo.id)    # a row, in the transaction that wrote the photo
"""

from __future__ import annotations

from queue_tasks.enqueue import aenqueue_many, aenqueue_stream, enqueue_many, enqueue_stream
from queue_tasks.exceptions import Discard, Retry, Snooze
from queue_tasks.explain import Explanation, explain
from queue_tasks.periodic import All, periodic
from queue_tasks.results import Progress, TaskResult
from queue_tasks.retry import RetryPolicy
from queue_tasks.specs import JobSpec
from queue_tasks.tasks import Task, task

__version__ = "0.1.0"

__all__ = [
    "All",
    "Discard",
    "Explanation",
    "JobSpec",
    "Progress",
    "Retry",
    "RetryPolicy",
    "Snooze",
    "Task",
    "TaskResult",
    "aenqueue_many",
    "aenqueue_stream",
    "enqueue_many",
    "enqueue_stream",
    "explain",
    "periodic",
    "task",
]
