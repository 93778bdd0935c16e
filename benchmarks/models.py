"""A table of the project's own, for tasks that use it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Page(models.Model):
    """A page that is looked at."""

    ROWS: ClassVar[int] = 1000

    views = models.IntegerField(default=0)

    def __str__(self) -> str:
        """Its number."""
        return f"page {self.pk}"
