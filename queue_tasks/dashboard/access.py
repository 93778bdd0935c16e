"""Who may see a page, what it may cost, and the headers it carries. Every view of the dashboard goes through `guarded`.

Denied by default: a visitor who is not logged in is sent to log in, and one without the permission gets 403, whatever
DEBUG says. A method that a view has no permission for does not exist.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from functools import wraps
from typing import Any, Protocol

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.urls import reverse
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_protect

from queue_tasks.caller import rows
from queue_tasks.dashboard.pages import problem
from queue_tasks.dashboard.preferences import backend, database_alias, preferences
from queue_tasks.database_errors import is_of_the_schema, migration, sqlstate, waited_for_a_lock, was_beaten
from queue_tasks.statements import PREPARE_LOOK

READS = ("GET", "HEAD")
QUERY_CANCELLED = "57014"
"""The SQLSTATE of a statement that took too long."""


class Permission(StrEnum):
    """The permissions, as `user.has_perm` knows them; queue_tasks.models says what each allows."""

    VIEW_JOB = "queue_tasks.view_job"
    VIEW_ARGS = "queue_tasks.view_job_args"
    RETRY = "queue_tasks.retry_job"
    CANCEL = "queue_tasks.cancel_job"
    DELETE = "queue_tasks.delete_job"
    PAUSE = "queue_tasks.pause_schedule"
    RUN = "queue_tasks.run_schedule"
    CONTROL_QUEUE = "queue_tasks.control_queue"
    CONTROL_WORKER = "queue_tasks.control_worker"


View = Callable[..., HttpResponseBase]


class GuardedView(Protocol):
    """A view that says who may do what."""

    rules: Mapping[str, tuple[Permission, ...]]
    """Method -> the permissions it needs, all of them."""

    def __call__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer a request."""


def guarded(
    *, get: Permission | tuple[Permission, ...] = (), post: Permission | tuple[Permission, ...] = ()
) -> Callable[[View], GuardedView]:
    """Decorate a view with what a read and a change need, all of it; none: there is no such method.

    Each needs to see jobs as well.
    """
    rules: dict[str, tuple[Permission, ...]] = {}
    for methods, needed in ((READS, get), (("POST",), post)):
        every = (needed,) if isinstance(needed, Permission) else needed
        if every:
            rules |= dict.fromkeys(methods, tuple(dict.fromkeys((Permission.VIEW_JOB, *every))))

    def decorate(view: View) -> GuardedView:
        protected = csrf_protect(_bounded(view))

        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            request.queue_tasks_nonce = secrets.token_urlsafe(16)  # type: ignore[attr-defined]  # ours to add
            return with_headers(request, _refusal(request, rules) or protected(request, *args, **kwargs))

        answer.rules = rules  # type: ignore[attr-defined]  # a function may have any
        return answer  # type: ignore[return-value]

    return decorate


def may(request: HttpRequest, permission: Permission) -> bool:
    """Whether the visitor has a permission."""
    user: Any = request.user  # Django's, or the project's own
    return bool(user.has_perm(permission))


def visible_queues(request: HttpRequest) -> tuple[str, ...] | None:
    """The queues whose jobs, schedules and workers the visitor may see; None: all. All others do not exist for him.

    Raises ImproperlyConfigured when the preference `visible_queues` gives something else.
    """
    rule = preferences().visible_queues
    if rule is None:
        return None
    known: dict[str, Any] = request.__dict__
    if "queue_tasks_visible" not in known:
        found = (import_string(rule) if isinstance(rule, str) else rule)(request)
        names = None if found is None or isinstance(found, str) else tuple(dict.fromkeys(found))
        if isinstance(found, str) or not all(isinstance(name, str) for name in names or ()):
            problem = f"visible_queues gave {found!r}; expected names of queues, or None for all."
            raise ImproperlyConfigured(f"QUEUE_TASKS_DASHBOARD: {problem}")
        known["queue_tasks_visible"] = names
    visible: tuple[str, ...] | None = known["queue_tasks_visible"]
    return visible


def sees(request: HttpRequest, queue_name: str) -> bool:
    """Whether the visitor may see what is of a queue."""
    visible = visible_queues(request)
    return visible is None or queue_name in visible


def _refusal(request: HttpRequest, rules: Mapping[str, tuple[Permission, ...]]) -> HttpResponse | None:
    user = getattr(request, "user", None)
    if user is None:
        raise ImproperlyConfigured(
            "The dashboard needs to know who asks. Add django.contrib.sessions.middleware.SessionMiddleware and "
            "django.contrib.auth.middleware.AuthenticationMiddleware to MIDDLEWARE."
        )
    if not user.is_authenticated:
        # Only a page can be gone back to after the login.
        there = request.get_full_path() if request.method in READS else home(request)
        if request.headers.get("HX-Request"):
            return HttpResponse(status=401, headers={"HX-Redirect": redirect_to_login(home(request)).url})
        return redirect_to_login(there)
    if not user.has_perm(Permission.VIEW_JOB):
        return problem(request, 403, "You may not see this", "It needs the permission " + Permission.VIEW_JOB + ".")
    needed = rules.get(request.method or "")
    if needed is None:
        return HttpResponseNotAllowed(sorted(rules))
    for permission in needed:
        if not user.has_perm(permission):
            return problem(request, 403, "You may not do this", f"It needs the permission {permission}.")
    return None


def home(request: HttpRequest) -> str:
    """The address of the overview."""
    match = request.resolver_match
    return reverse("queue_tasks_dashboard:overview", current_app=match.namespace if match else None)


def _bounded(view: View) -> View:
    """The view within limits; what goes beyond them, and other errors that have words, as a page."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            with limited(reads=request.method in READS):
                return view(request, *args, **kwargs)
        except DatabaseError as exc:
            return problem(request, *in_words(exc))

    return answer


@contextlib.contextmanager
def limited(*, reads: bool) -> Iterator[None]:
    """A transaction of its own: statements end in time, and a read writes nothing, whatever is called in it."""
    database = backend().settings.database
    limits = {
        "statement_timeout": str(round(preferences().statement_timeout * 1000)),
        "read_only": "on" if reads else "off",
    }
    with transaction.atomic(using=database):
        rows(database, PREPARE_LOOK, limits)
        yield
        if reads:
            # Also within a transaction of others, which goes on without our limits.
            transaction.set_rollback(True, using=database)


def in_words(error: DatabaseError) -> tuple[int, str, str]:
    """Status, title and text for an error of the database that an operator can do something about; others go on."""
    if sqlstate(error) == QUERY_CANCELLED:
        text = (
            f"A statement took more than {preferences().statement_timeout:g} s and was ended, so that it harms nobody. "
            "Ask for less: a status, fewer jobs. On large tables see that autovacuum keeps up."
        )
        return 503, "This takes too long", text
    if was_beaten(error) or waited_for_a_lock(error):
        text = "Workers, or somebody else, were changing the same jobs. Nothing was done: go back and try again."
        return 409, "Somebody was quicker", text
    if is_of_the_schema(error):
        return 503, "The database is older than the code", f"Run: {migration(database_alias())}"
    raise error


def with_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """The answer with what keeps it safe: its own scripts and styles only, in no frame, in no cache."""
    nonce = request.queue_tasks_nonce  # type: ignore[attr-defined]  # set by `guarded`
    response.headers["Content-Security-Policy"] = "; ".join(
        (
            "default-src 'none'",
            f"script-src 'nonce-{nonce}'",
            f"style-src 'nonce-{nonce}'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers.setdefault("Cache-Control", "no-store")
    return response
