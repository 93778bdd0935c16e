"""What is decided about queues and workers: a page that asks first, and the form on it that does it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse

from queue_tasks import control, overview
from queue_tasks.dashboard import changes as change_log
from queue_tasks.dashboard.access import GuardedView, Permission, guarded, sees
from queue_tasks.dashboard.changes import ConflictError
from queue_tasks.dashboard.deeds import DELAYS
from queue_tasks.dashboard.filters import FilterInvalid
from queue_tasks.dashboard.pages import go, page, problem
from queue_tasks.dashboard.preferences import database_alias
from queue_tasks.dashboard.serving import tellable_workers
from queue_tasks.dashboard.views.asked import number, ticket_of
from queue_tasks.exceptions import ControlInvalid


@dataclass(frozen=True, slots=True)
class Order:
    """One thing that can be decided."""

    name: str
    """Of its address, and of what is written down, with a space."""
    title: str
    """Of its button."""
    note: str
    run: Callable[[str, HttpRequest], Any]
    """Does it to what the form names."""

    @property
    def about(self) -> str:
        """What it is about: queue or worker."""
        return self.name.partition("_")[2]

    @property
    def permission(self) -> Permission:
        """What it needs."""
        return Permission.CONTROL_QUEUE if self.about == "queue" else Permission.CONTROL_WORKER


def _by(request: HttpRequest) -> str:
    return request.user.get_username()


def _pause(name: str, request: HttpRequest) -> None:
    word = request.POST.get("until", "")
    if word and word not in DELAYS:
        raise ControlInvalid(f'until: "{word[:60]}" is none of the times of the form.')
    until: timedelta | None = DELAYS[word] if word else None
    control.pause_queue(name, until, by=_by(request), database=database_alias())


def _resume(name: str, _: HttpRequest) -> None:
    if not control.resume_queue(name, database=database_alias()):
        raise ConflictError(f"The queue {name} is not paused any more. Nothing was done.")


def _limit(name: str, request: HttpRequest) -> None:
    text = request.POST.get("concurrency", "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) <= 10):  # noqa: PLR2004 - digits of an integer
        raise ControlInvalid(f'"{text[:60]}" is not a whole number. Leave it empty for no limit.')
    control.limit_queue(name, int(text) if text else None, by=_by(request), database=database_alias())


def _tell(tell: Callable[..., bool]) -> Callable[[str, HttpRequest], None]:
    def run(name: str, _: HttpRequest) -> None:
        if not tell(int(name), database=database_alias()):
            raise ConflictError(
                f"Worker {name} was not told: it is gone, it is stopping, or it is a stock procrastinate worker."
            )

    return run


ORDERS = (
    Order("pause_queue", "Pause", "No worker fetches its jobs until then. What runs goes on.", _pause),
    Order("resume_queue", "Resume", "Workers fetch its jobs again, at once.", _resume),
    Order("limit_queue", "Limit", "At most so many of its jobs run at once, on all workers together.", _limit),
    Order(
        "quiet_worker",
        "Quiet",
        "It fetches nothing more. What it runs goes on, and it stays.",
        _tell(control.quiet_worker),
    ),
    Order("resume_worker", "Fetch again", "It fetches jobs again.", _tell(control.resume_worker)),
    Order(
        "stop_worker",
        "Stop",
        "It fetches nothing more, and its jobs have the time of grace to end; then its process ends. Where a "
        "supervisor keeps a number of processes, another takes its place.",
        _tell(control.stop_worker),
    ),
)


def orders(every: Iterable[Order]) -> dict[str, GuardedView]:
    """A view for each: GET asks, POST does it."""
    return {order.name: _order(order) for order in every}


def _order(order: Order) -> GuardedView:
    @guarded(get=order.permission, post=order.permission)
    def answer(request: HttpRequest) -> HttpResponse:
        try:
            name = _named(order, request.POST if request.method == "POST" else request.GET)
            if order.about == "queue" and not sees(request, name):
                return problem(request, 404, "There is no such queue", "None of this name is yours to see.")
            if order.about == "worker" and int(name) not in tellable_workers(request):
                return problem(
                    request, 404, "There is no such worker", f"None with the number {name} that you may tell."
                )
            return _do(request, order, name) if request.method == "POST" else _ask(request, order, name)
        except FilterInvalid as exc:
            return problem(request, 400, "That cannot be done", str(exc))
        except ConflictError as exc:
            return problem(request, 409, "Somebody was quicker", str(exc))

    return answer


def _ask(request: HttpRequest, order: Order, name: str, *, error: str = "") -> HttpResponse:
    controls = overview.list_controls(database=database_alias())
    return page(
        request,
        "control.html",
        {
            "order": order,
            "name": name,
            "gate": controls.get(name) if order.about == "queue" else None,
            "delays": DELAYS,
            "ticket": uuid.uuid4(),
            "error": error,
        },
        status=400 if error else 200,
    )


def _do(request: HttpRequest, order: Order, name: str) -> HttpResponse:
    """Do it, once, and go back to where it shows."""
    verb, _, about = order.name.partition("_")
    try:
        new, _ = change_log.to_named(
            request,
            f"{about} {verb}",
            name if about == "queue" else f"worker {name}",
            lambda: order.run(name, request),
            lambda: _settings_of(order, name),
            ticket=ticket_of(request),
            database=database_alias(),
        )
    except ControlInvalid as exc:
        return _ask(request, order, name, error=str(exc))
    return go(request, f"{about}s", {"told": order.name if new else "repeated"})


def _settings_of(order: Order, name: str) -> Mapping[str, Any]:
    database = database_alias()
    if order.about == "queue":
        gate = overview.list_controls(database=database).get(name, overview.QueueControl(name))
        until = gate.paused_until or "resumed" if gate.paused else None
        return {"paused_until": until, "concurrency": gate.concurrency}
    told = [line.told for line in overview.list_workers(database=database) if line.id == int(name)]
    return {"told": told[0] if told else None}


def _named(order: Order, given: Any) -> str:
    """What a form is about. Raises FilterInvalid."""
    name: str = given.get("name", "")
    if order.about == "worker":
        worker_id = number(name)
        if worker_id is None:
            raise FilterInvalid("The form names no worker.")
        return str(worker_id)
    if not 1 <= len(name) <= control.MAX_NAME or "\x00" in name:
        raise FilterInvalid(f"The form names no queue: a name has 1 to {control.MAX_NAME} characters.")
    return name
