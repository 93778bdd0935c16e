"""One verb of `manage.py queue`: its words, what it understands, what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandParser

from queue_tasks.backend import PostgresBackend
from queue_tasks.management.console import Console


@dataclass(frozen=True, slots=True)
class Asked:
    """What a verb is asked: about which backend, with which flags; and where it answers."""

    backend: PostgresBackend
    flags: Mapping[str, Any]
    console: Console

    @property
    def database(self) -> str:
        """The alias of the database the jobs live in."""
        return self.backend.settings.database


@dataclass(frozen=True, slots=True)
class Verb:
    """A subcommand. It raises CommandError when it did not do all of what it was asked."""

    name: str
    help: str
    run: Callable[[Asked], None]
    add_arguments: Callable[[CommandParser], None] | None = None
    lists: bool = False
    """Whether it also answers in JSON, for programs: with --json."""
