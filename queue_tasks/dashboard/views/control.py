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
    control.resume_queue(name, database=database_alias())


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
    gate = _gate(name) if order.about == "queue" else None
    return page(
        request,
        "control.html",
        {
            "order": order,
            "name": name,
            "gate": gate,
            "seen": _seen(order, gate),
            "delays": DELAYS,
            "ticket": uuid.uuid4(),
            "error": error,
        },
        status=400 if error else 200,
    )


def _do(request: HttpRequest, order: Order, name: str) -> HttpResponse:
    """Do it, once, and go back to where it shows."""
    verb, _, about = order.name.partition("_")

    def run() -> None:
        if about == "queue":
            _require(order, _gate(name), request.POST.get("seen", ""))
        order.run(name, request)

    try:
        new, _ = change_log.to_named(
            request,
            f"{about} {verb}",
            name if about == "queue" else f"worker {name}",
            run,
            lambda: _settings_of(order, name),
            ticket=ticket_of(request),
            database=database_alias(),
        )
    except ControlInvalid as exc:
        return _ask(request, order, name, error=str(exc))
    return go(request, f"{about}s", {"told": order.name if new else "repeated"})


def _gate(name: str) -> overview.QueueControl:
    """What is decided about a queue now."""
    return overview.list_controls(database=database_alias()).get(name, overview.QueueControl(name))


def _seen(order: Order, gate: overview.QueueControl | None) -> str:
    """What an order changes, as the page shows it: a form that says another was filled in for something else.

    A worker has none: being told the same twice, or to stop after something milder, is what both want.
    """
    if gate is None:
        return ""
    if order.name == "limit_queue":
        return f"limit {gate.concurrency}"
    return f"paused {gate.paused_at} {gate.paused_until}" if gate.paused else "open"


def _require(order: Order, gate: overview.QueueControl, seen: str) -> None:
    """Raises ConflictError when a queue is not as it was seen any more."""
    if _seen(order, gate) == seen:
        return
    if order.name == "limit_queue":
        now = "has no limit" if gate.concurrency is None else f"has a limit of {gate.concurrency}"
    elif gate.paused:
        now = f"is paused by {gate.paused_by}" if gate.paused_by else "is paused"
    else:
        now = "is not paused"
    raise ConflictError(f"The queue {gate.name} {now} now, which it was not when you looked. Nothing was done.")


def _settings_of(order: Order, name: str) -> Mapping[str, Any]:
    """What is written down; of a queue, nobody else changes it until the transaction ends."""
    database = database_alias()
    if order.about == "queue":
        change_log.lock_queue(name, database=database)
        gate = _gate(name)
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
