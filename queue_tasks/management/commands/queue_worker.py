"""manage.py queue_worker: run jobs until told to stop."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from queue_tasks.compat import DEFAULT_TASK_BACKEND_ALIAS
from queue_tasks.connections import StatementRefused
from queue_tasks.exceptions import OptionsInvalid
from queue_tasks.management.usage import USAGE, find_backend, refuse, whole
from queue_tasks.worker.process import default_name, run
from queue_tasks.worker.worker import Worker, WorkerSettings

LAST_WORDS = 0.5
"""Seconds an ended worker's process may take to leave."""


class Command(BaseCommand):
    """Run jobs. Exit codes: 0 done, 1 failed, 2 wrong usage."""

    help = "Run jobs until told to stop. SIGTERM or Ctrl-C: finish what runs, then stop; a second one: stop at once."

    def add_arguments(self, parser: CommandParser) -> None:
        """The flags; each has a default."""
        parser.add_argument("--queues", metavar="A,B", type=names, help="work these queues only (default: all)")
        parser.add_argument("--concurrency", metavar="N", type=whole, help="jobs run at a time (default: 20)")
        parser.add_argument(
            "--drain", action="store_true", help="run what is ready and due, then exit: 1 if a job failed"
        )
        parser.add_argument("--max-jobs", metavar="N", type=whole, help="exit after N jobs")
        parser.add_argument(
            "--grace", metavar="SECONDS", type=duration, help="time running jobs have to end (default: 30)"
        )
        parser.add_argument(
            "--poll-interval", metavar="SECONDS", type=duration, help="between looks without a wake-up (default: 5)"
        )
        parser.add_argument("--no-listen", action="store_true", help="poll only: for connections that cannot LISTEN")
        parser.add_argument(
            "--backend", metavar="ALIAS", default=DEFAULT_TASK_BACKEND_ALIAS, help="entry of TASKS (default: default)"
        )
        parser.add_argument("--name", metavar="NAME", help="the worker's name, for people (default: host-pid)")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """A parser whose errors are one line."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.error = partial(refuse, parser)  # type: ignore[method-assign]
        return parser

    def handle(self, **flags: Any) -> None:
        """Run the worker and exit with its code."""
        worker = self._worker(flags)
        set_up_logging()
        try:
            code = run(worker, (signal.SIGTERM, signal.SIGINT))
        except StatementRefused as exc:
            hint = " Run: manage.py migrate" if (exc.sqlstate or "").startswith("42") else ""
            raise CommandError(f"queue_worker could not start: {' '.join(str(exc).split())}.{hint}") from exc
        tally = worker.tally
        self.stdout.write(f"stopped: worker {worker.worker_id}, {tally.ended} attempts, {tally.failed} jobs failed")
        self.stdout.flush()
        if getattr(self, "_called_from_command_line", False):
            if worker.stuck:
                sys.stderr.flush()
                os._exit(code)
            # A thread that does not end (a body that never returns) must not keep the process: its job was given back.
            limit = threading.Timer(LAST_WORDS, os._exit, [code])
            limit.daemon = True
            limit.start()
        if code:
            sys.exit(code)

    def _worker(self, flags: dict[str, Any]) -> Worker:
        backend = find_backend(flags["backend"])
        given = dict(backend.options)
        for flag in ("concurrency", "grace", "poll_interval"):
            if flags[flag] is not None:
                given[flag] = flags[flag]
        try:
            options = type(backend.settings).read(given)
        except (OptionsInvalid, ImproperlyConfigured) as exc:
            raise CommandError(f"queue_worker: {exc}", returncode=USAGE) from exc
        settings = WorkerSettings(
            queues=flags["queues"],
            concurrency=options.concurrency,
            name=flags["name"] or default_name(),
            listen=not flags["no_listen"],
            drain=flags["drain"],
            max_jobs=flags["max_jobs"],
        )
        return Worker(options, settings, self._say_ready)

    def _say_ready(self, worker: Worker) -> None:
        settings = worker.settings
        queues = "all" if settings.queues is None else ",".join(settings.queues)
        how = "listening" if worker.listening else f"polling every {worker.options.poll_interval:g} s"
        self.stdout.write(
            f"ready: worker {worker.worker_id}, queues {queues}, concurrency {settings.concurrency}, {how}"
        )
        self.stdout.flush()


def names(text: str) -> list[str]:
    """Queue names from "a,b"."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty queue name; expected names separated by commas")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise argparse.ArgumentTypeError(f"{text!a} is not UTF-8 text; expected names separated by commas") from exc
    return found


def duration(text: str) -> float:
    """Seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return value


def set_up_logging() -> None:
    """Show what the worker says when the project's LOGGING does not say where it should go."""
    logger = logging.getLogger("queue_tasks")
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
