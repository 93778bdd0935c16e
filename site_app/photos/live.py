"""How open pages are told about photos."""

import json
from collections.abc import Collection, Iterable
from typing import Any

from django.template.loader import render_to_string

from site_app.live.topic import Topic
from site_app.photos.attempts import settle
from site_app.photos.models import Photo

CHANNEL = "site_photos"


def cards(ids: Collection[int]) -> dict[int, str]:
    """The cards of these photos, as the gallery shows them."""
    return letters(ids, "photos/_card.html")


def sheets(ids: Collection[int]) -> dict[int, str]:
    """These photos as their own pages show them."""
    return letters(ids, "photos/_sheet.html")


def letters(ids: Collection[int], template: str) -> dict[int, str]:
    """What is sent about each photo: its state in values and the HTML that shows it, or that it is gone."""
    found = Photo.objects.filter(pk__in=ids).prefetch_related("steps")
    said = {photo.pk: {**summary(photo), "html": render_to_string(template, {"photo": photo})} for photo in found}
    return {id_: json.dumps(said.get(id_, {"id": id_, "gone": True})) for id_ in sorted(ids)}


def summary(photo: Photo) -> dict[str, Any]:
    """The photo's state in values, for programs."""
    return {
        "id": photo.pk,
        "title": photo.title,
        "state": photo.state.value,
        "steps": len(photo.steps_in_order),
        "done": photo.steps_done,
        "reason": photo.reason,
    }


def newer_than(photo_id: int) -> list[int]:
    """The photos uploaded since, oldest first."""
    newer: Iterable[int] = Photo.objects.filter(pk__gt=photo_id).order_by("pk").values_list("pk", flat=True)[:50]
    return list(newer)


def none_newer(_photo_id: int) -> list[int]:
    """A photo's own page shows no other."""
    return []


def rows_of_jobs(job_ids: Collection[str] | None) -> list[int]:
    """None: a step's own row says everything, and settling one changes it, which is heard."""
    settle(job_ids)
    return []


CARDS = Topic(name="row", channel=CHANNEL, render=cards, newer=newer_than, rows_of_jobs=rows_of_jobs)
SHEETS = Topic(name="row", channel=CHANNEL, render=sheets, newer=none_newer, rows_of_jobs=rows_of_jobs)
