"""A photo and its steps. A step is one job: its row says where the job is and what it made."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import Any, TypedDict

from django.db import models
from django.db.models.functions import Now
from django.urls import reverse

from site_app.photos import steps
from site_app.states import ENDED, State, state_of_all


class Swatch(TypedDict):
    """A colour of the palette and its place on a strip 100 wide."""

    hex: str
    left: float
    width: float


class Photo(models.Model):
    """A picture somebody uploaded. Its files lie in a folder named by `key`, never by anything the visitor sent."""

    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    title = models.CharField(max_length=120)
    format = models.CharField(max_length=8)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    size_bytes = models.PositiveBigIntegerField()
    uploaded_at = models.DateTimeField(db_default=Now())

    class Meta:
        """Newest first."""

        ordering = ("-id",)

    def __str__(self) -> str:
        return str(self.title)

    def get_absolute_url(self) -> str:
        """The photo's own page."""
        return str(reverse("photos:detail", args=[self.pk]))

    # What pages show. All of it reads `steps`, which a page prefetches in one query.

    @cached_property
    def steps_in_order(self) -> list[Step]:
        """The steps as they are shown."""
        places = {name: place for place, name in enumerate(steps.LABELS)}
        all_steps: models.QuerySet[Step] = self.steps.all()  # type: ignore[attr-defined]  # the related name of Step.photo
        return sorted(all_steps, key=lambda step: places.get(step.name, len(places)))

    @property
    def state(self) -> State:
        """The one state that describes all steps."""
        return state_of_all([step.state for step in self.steps_in_order])

    @property
    def steps_done(self) -> int:
        """How many steps are done."""
        return sum(step.state == State.DONE for step in self.steps_in_order)

    @property
    def reason(self) -> str:
        """Why a step failed or is tried again, if one is."""
        return next((step.reason for step in self.steps_in_order if step.state == self.state and step.reason), "")

    @property
    def renditions(self) -> dict[str, dict[str, Any]]:
        """The files there are, by name: address, width, height, bytes."""
        return {
            step.name: {**step.result, "url": reverse("photos:rendition", args=[self.key, step.name])}
            for step in self.steps_in_order
            if step.state == State.DONE and step.name not in (steps.PALETTE, steps.DETAILS)
        }

    @property
    def thumbnail(self) -> dict[str, Any] | None:
        """The smallest rendition there is, for a card."""
        renditions = self.renditions
        return next((renditions[size.name] for size in steps.RENDITIONS if size.name in renditions), None)

    @property
    def largest(self) -> dict[str, Any] | None:
        """The largest rendition there is, for the photo's own page; WebP before JPEG."""
        renditions = self.renditions
        sizes = (steps.LARGE, steps.SHARED, steps.MEDIUM, steps.THUMBNAIL)
        return next((renditions[size.name] for size in sizes if size.name in renditions), None)

    @property
    def srcset(self) -> str:
        """Every WebP there is with its width, for the browser to choose from."""
        return ", ".join(
            f"{rendition['url']} {rendition['width']}w"
            for name, rendition in self.renditions.items()
            if name.endswith(".webp")
        )

    @property
    def palette(self) -> list[Swatch]:
        """The colours, most present first; none until the palette is found."""
        colours = self.result_of(steps.PALETTE).get("colours", [])
        swatches: list[Swatch] = []
        left = 0.0
        for colour in colours:
            width = 100 * colour["share"]
            swatches.append({"hex": colour["hex"], "left": round(left, 2), "width": round(width, 2)})
            left += width
        return swatches

    @property
    def details(self) -> list[tuple[str, str]]:
        """What the camera wrote: names and values, in the order they are shown."""
        found: list[tuple[str, str]] = self.result_of(steps.DETAILS).get("details", [])
        return found

    def result_of(self, name: str) -> dict[str, Any]:
        """What the step made; empty until it is done."""
        return next((step.result for step in self.steps_in_order if step.name == name), {})


class Step(models.Model):
    """One job of a photo. Written by the task itself, so that the state and what was made change together."""

    photo = models.ForeignKey(Photo, on_delete=models.CASCADE, related_name="steps")
    photo_id: int
    name = models.CharField(max_length=24)
    """A key of steps.LABELS."""
    job_id = models.CharField(max_length=64, db_index=True)
    """The newest job of this step: a TaskResult's id."""
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    attempt = models.PositiveSmallIntegerField(default=0)
    """The newest attempt, from 1; 0 while it waits for the first."""
    reason = models.TextField(default="", blank=True)
    """Why it failed, or is tried again."""
    result = models.JSONField(default=dict, blank=True)
    """What was made: of a rendition width, height and size_bytes; of the palette colours; of the details details."""
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """One step of each name."""

        constraints = (models.UniqueConstraint(fields=("photo", "name"), name="photos_step_once"),)
        indexes = (
            # What `attempts.settle` looks through: few, however many photos there are.
            models.Index(fields=("job_id",), name="photos_step_unfinished", condition=~models.Q(state__in=ENDED)),
        )

    def __str__(self) -> str:
        return f"{self.name} of photo {self.photo_id}"

    @property
    def label(self) -> str:
        """What a visitor reads."""
        return steps.LABELS.get(self.name, str(self.name))

    @property
    def seconds(self) -> float | None:
        """How long the newest attempt took; None until it has ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return float((self.ended_at - self.started_at).total_seconds())
