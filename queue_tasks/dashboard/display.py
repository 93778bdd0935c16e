"""How values are written on pages: filters and tags of the dashboard's templates, which escape what these give."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from queue_tasks import sizes
from queue_tasks.dashboard.access import Permission
from queue_tasks.dashboard.filters import JobFilter
from queue_tasks.dashboard.preferences import preferences
from queue_tasks.dashboard.queries import CAP
from queue_tasks.durations import in_words

register = template.Library()


@register.filter
def duration(seconds: float | None) -> str:
    """A length of time; "" for none."""
    return "" if seconds is None else in_words(seconds)


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
def size(number: int | None) -> str:
    """Bytes for people; "" when nobody knows."""
    return "" if number is None else sizes.in_words(number)


@register.filter
def percent(part: float) -> str:
    """A part of 1."""
    return f"{100 * part:.0f}%"


@register.filter
def breakable(name: str) -> SafeString:
    """A name_of_many_parts, of which a narrow window may begin a new line after each."""
    return format_html_join(mark_safe("_<wbr>"), "{}", ((part,) for part in name.split("_")))


@register.filter
def cut_version(version: str) -> str:
    """A server's version without what its packager adds."""
    return version.partition(" ")[0]


@register.filter
def last_name(path: str) -> str:
    """The last part of a dotted path."""
    return path.rpartition(".")[2]


@register.simple_tag(takes_context=True)
def can(context: template.Context, name: str) -> bool:
    """Whether the visitor has one of the dashboard's permissions."""
    return bool(context["request"].user.has_perm(Permission[name]))


@register.simple_tag
def refresh() -> int:
    """Seconds between looks of an open page that is not told of changes."""
    return preferences().refresh


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
