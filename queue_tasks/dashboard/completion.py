"""The words a filter may have next: keys, states, queues, tasks, workers. What the field of the filter offers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from django.http import HttpRequest

from queue_tasks import tasks
from queue_tasks.dashboard.access import Permission, may, sees, visible_queues
from queue_tasks.dashboard.filters import KEYS, STATES, JobFilter
from queue_tasks.dashboard.preferences import backend, is_hidden_somewhere
from queue_tasks.dashboard.serving import visible_workers
from queue_tasks.jobs import JobState
from queue_tasks.signatures import signature

MAX_WORDS = 500
"""Words that are offered at most."""

TIMES = ("15m", "1h", "24h", "7d")


def words(request: HttpRequest, queues: Iterable[str]) -> list[str]:
    """All words, once each. queues: names that the page shows anyhow; those of the options and of workers are added.

    Nothing that the visitor may not see: other queues, and names of arguments that cannot be looked for.
    """
    return list(dict.fromkeys(_all(request, queues)))[:MAX_WORDS]


def _all(request: HttpRequest, queues: Iterable[str]) -> Iterator[str]:
    yield from (f"{key}:" for key in KEYS if key != "args.NAME")
    yield from (str(JobFilter(states=(JobState(word),))) for word in STATES)
    yield from (f"since:{time}" for time in TIMES)
    workers = visible_workers(request)
    served = [name for worker in workers for name in worker.queues or ()]
    names = {*queues, *backend().queues, *served, *(visible_queues(request) or ())}
    yield from (str(JobFilter(queue=name)) for name in sorted(names) if sees(request, name))
    yield from (f"worker:{worker.id}" for worker in workers)
    known = sorted(tasks.declared)
    # The last name is enough, where it is one task's alone.
    last = Counter(path.rpartition(".")[2] for path in known)
    for path in known:
        name = path.rpartition(".")[2]
        yield str(JobFilter(task=name if last[name] == 1 else path))
    if may(request, Permission.VIEW_ARGS):
        parameters = {
            name
            for task in list(tasks.declared.values())
            for name in signature(task.func, takes_context=task.takes_context).parameters
        }
        yield from (f"args.{name}:" for name in sorted(parameters) if not is_hidden_somewhere(name))
