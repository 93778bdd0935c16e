"""How values are written on pages: filters and tags of the dashboard's templates, which escape what these give."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from queue_tasks.dashboard.access import Permission
from queue_tasks.dashboard.filters import JobFilter
from queue_tasks.dashboard.queries import CAP

register = template.Library()

MINUTE, HOUR, DAY = 60, 3600, 86_400


@register.filter
def duration(seconds: float | None) -> str:  # noqa: PLR0911 - one return for each unit
    """A length of time for people: 0.4 ms, 3.2 s, 4 m 10 s, 2 h 5 m, 3 d 4 h."""
    if seconds is None:
        return ""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < MINUTE:
        return f"{seconds:.3g} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} m {seconds % MINUTE:.0f} s"
    if seconds < DAY:
        return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} m"
    return f"{seconds // DAY:,.0f} d {seconds % DAY // HOUR:.0f} h"


@register.filter
def ago(at: datetime | None, now: datetime) -> SafeString | str:
    """How long ago, or in how long, with the exact time beside it."""
    if at is None:
        return ""
    seconds = (now - at).total_seconds()
    words = f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact(at), words)


@register.filter
def exact(at: datetime | None) -> str:
    """A time to the millisecond, in the current time zone."""
    if at is None:
        return ""
    try:
        local = timezone.localtime(at)
    except (OverflowError, ValueError):  # at the edge of what a calendar holds
        local = at.astimezone(UTC)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03} {local:%Z}"


@register.filter
def counted(number: int) -> str:
    """A count that ends somewhere."""
    return f"{CAP:,}+" if number >= CAP else f"{number:,}"


@register.filter
def last_name(path: str) -> str:
    """The last part of a dotted path."""
    return path.rpartition(".")[2]


@register.simple_tag(takes_context=True)
def can(context: template.Context, name: str) -> bool:
    """Whether the visitor has one of the dashboard's permissions."""
    return bool(context["request"].user.has_perm(Permission[name]))


@register.inclusion_tag("queue_tasks/_state.html")
def state(word: Any) -> dict[str, Any]:
    """A job's state as a coloured word."""
    return {"word": str(word)}


@register.filter
def after(at: datetime, before: datetime) -> str:
    """The time between two times."""
    return duration((at - before).total_seconds())


@register.filter
def in_own_zone(at: datetime) -> str:
    """A time in the time zone it has."""
    return f"{at:%Y-%m-%d %H:%M:%S %Z}"


@register.filter
def queue_filter(name: str) -> str:
    """The filter that finds a queue's jobs."""
    return str(JobFilter(queue=name))
