"""When the site looks after itself. SITE_SCHEDULES=0 leaves it out, for programs that count jobs, as the demo does."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings

from queue_tasks import periodic

T = TypeVar("T")


def scheduled(**options: Any) -> Callable[[T], T]:
    """@periodic, unless the site was started without its schedules."""
    return periodic(**options) if settings.SCHEDULES else lambda task: task  # type: ignore[return-value]
