"""The page at which Prometheus reads the figures of the queues, within the user's own Django."""

from __future__ import annotations

from importlib.util import find_spec

from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from queue_tasks import compat, metrics
from queue_tasks.backend import PostgresBackend

PERMISSION = "queue_tasks.view_job"
"""What a user needs who asks without a token: the dashboard's permission to see jobs."""


@never_cache
@require_safe
def view(request: HttpRequest, backend: str = compat.DEFAULT_TASK_BACKEND_ALIAS) -> HttpResponse:
    """What waits and runs in each queue, and who works, for Prometheus.

    backend: the entry of TASKS.
    For those who send `Authorization: Bearer` with the option `metrics_token`, or are logged in and may see jobs.
    Raises PermissionDenied for all others, and ImproperlyConfigured when prometheus-client is not installed.
    """
    ours = compat.task_backends[backend]
    if not isinstance(ours, PostgresBackend):
        raise ImproperlyConfigured(f'TASKS["{backend}"] uses {type(ours).__name__}, which has no jobs in Postgres.')
    if not (_has_token(request, ours.settings.metrics_token) or _may_see_jobs(request)):
        raise PermissionDenied
    if find_spec("prometheus_client") is None:
        raise ImproperlyConfigured(f"The metrics need {metrics.NEEDED}.")
    figures = metrics.of_queues(ours.settings)
    return HttpResponse(metrics.exposition(figures), content_type=metrics.CONTENT_TYPE)


def _has_token(request: HttpRequest, token: str | None) -> bool:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    return token is not None and kind.lower() == "bearer" and constant_time_compare(given.strip(), token)


def _may_see_jobs(request: HttpRequest) -> bool:
    # Nobody is logged in where there is no authentication.
    user = getattr(request, "user", None)
    return user is not None and user.is_active and user.has_perm(PERMISSION)
