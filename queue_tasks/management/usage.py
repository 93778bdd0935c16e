"""How commands speak of wrong usage: one clear line on stderr and exit code 2, never a page of help."""

from __future__ import annotations

import argparse
import getpass
from typing import NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser

from queue_tasks.backend import PostgresBackend
from queue_tasks.compat import DEFAULT_TASK_BACKEND_ALIAS, task_backends

USAGE = 2
"""The exit code of wrong usage."""

BIGINT = 2**63


def refuse(parser: CommandParser, message: str) -> NoReturn:
    """Say what is wrong and where to read more, in a line; exit, or raise CommandError when called from Python."""
    text = f"{parser.prog.split(maxsplit=1)[-1]}: {message.rstrip('.')}."
    if parser.called_from_command_line:
        parser.exit(USAGE, f"{text} See: {parser.prog} --help\n")
    raise CommandError(text, returncode=USAGE)


class OneLineParser(CommandParser):
    """Django's parser, but an error is one line."""

    def error(self, message: str) -> NoReturn:
        """See `refuse`."""
        refuse(self, message)


def find_backend(alias: str | None) -> PostgresBackend:
    """The entry of TASKS that a command is about: the named one; else "default", or the only one that is ours.

    Raises CommandError with exit code 2.
    """
    ours = [name for name in task_backends.settings if isinstance(task_backends[name], PostgresBackend)]
    if alias is None:
        alias = ours[0] if len(ours) == 1 else DEFAULT_TASK_BACKEND_ALIAS
    if alias not in task_backends.settings:
        raise CommandError(
            f'TASKS has no entry "{alias}"; it has: {", ".join(task_backends.settings)}.', returncode=USAGE
        )
    backend = task_backends[alias]
    if not isinstance(backend, PostgresBackend):
        remedy = (
            f"Give --backend one of: {', '.join(ours)}"
            if ours
            else "Set BACKEND to queue_tasks.backend.PostgresBackend"
        )
        raise CommandError(
            f'TASKS["{alias}"] uses {type(backend).__name__}, which has no jobs in Postgres. {remedy}.',
            returncode=USAGE,
        )
    try:
        # Read at first use, which is here: of what is wrong with them, a command says the sentence alone.
        _ = backend.settings
    except ImproperlyConfigured as exc:
        raise CommandError(str(exc), returncode=USAGE) from exc
    return backend


def whole(text: str) -> int:
    """A whole number, 1 or more."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < BIGINT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def operator() -> str:
    """Who runs the command, for what is written of a change."""
    try:
        return f"{getpass.getuser()}, by manage.py"
    except (KeyError, OSError, ImportError):
        return "manage.py"
