"""manage.py queue_worker: run jobs until told to stop."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from queue_tasks.backend import PostgresBackend
from queue_tasks.compat import DEFAULT_TASK_BACKEND_ALIAS
from queue_tasks.conf import Options
from queue_tasks.database_errors import StatementRefused, brief, is_of_the_role, is_of_the_schema, migration
from queue_tasks.exceptions import OptionsInvalid
from queue_tasks.management.usage import USAGE, find_backend, refuse, whole
from queue_tasks.meter import Meter
from queue_tasks.worker.answer import Answer
from queue_tasks.worker.child import program
from queue_tasks.worker.health import Health
from queue_tasks.worker.monitor import MB, Monitor
from queue_tasks.worker.process import default_name, run
from queue_tasks.worker.report import SupervisorLine
from queue_tasks.worker.settings import WorkerSettings
from queue_tasks.worker.stop_signals import STOP_SIGNALS
from queue_tasks.worker.worker import Worker

if TYPE_CHECKING:
    from queue_tasks.worker.port import Port

logger = logging.getLogger("queue_tasks.worker")

COMMAND = "queue_worker"
LAST_PORT = 65_535

FLAGS_OF_OPTIONS = ("concurrency", "grace", "poll_interval")
"""Flags that take the place of the option of that name."""
SWITCHES = ("drain", "no_listen", "traceback", "no_color", "force_color")
"""Flags without a value that a process of a supervisor is told as well."""

TOLD = {
    "health": ("whether it works, and why not", "what probes it"),
    "metrics": ("the names of queues and tasks, and how much they do", "your scraper"),
}
"""What a port tells, and to whom it should."""

LAST_WORDS = 0.5
"""Seconds exit functions may take, such as those that flush logs."""


class Command(BaseCommand):
    """Run jobs. Exit codes: 0 done, 1 failed, 2 wrong usage."""

    help = "Run jobs until told to stop. SIGTERM or Ctrl-C: finish what runs, then stop; a second one: stop at once."

    def add_arguments(self, parser: CommandParser) -> None:
        """The flags; each has a default."""
        parser.add_argument("--queues", metavar="A,B", type=names, help="work these queues only (default: all)")
        parser.add_argument("--concurrency", metavar="N", type=whole, help="jobs run at a time (default: 20)")
        parser.add_argument(
            "--processes", metavar="N", type=whole, help="run N workers, and replace those that end (default: this one)"
        )
        parser.add_argument(
            "--drain", action="store_true", help="run what is ready and due, then exit: 1 if a job failed"
        )
        parser.add_argument("--max-jobs", metavar="N", type=whole, help="exit after N jobs")
        parser.add_argument("--max-memory", metavar="MB", type=whole, help="exit when it uses more resident memory")
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
        parser.add_argument(
            "--health-port", metavar="PORT", type=port, help="answer there at /livez and /readyz (0: any free port)"
        )
        parser.add_argument(
            "--health-host", metavar="HOST", default="127.0.0.1", help="where to answer (default: 127.0.0.1)"
        )
        parser.add_argument(
            "--metrics-port", metavar="PORT", type=port, help="tell Prometheus there at /metrics (0: any free port)"
        )
        parser.add_argument(
            "--metrics-host", metavar="HOST", default="127.0.0.1", help="where to tell it (default: 127.0.0.1)"
        )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """A parser whose errors are one line."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.error = partial(refuse, parser)  # type: ignore[method-assign]
        return parser

    def handle(self, **flags: Any) -> None:
        """Run the worker, or supervise several, and exit with the code."""
        backend = find_backend(flags["backend"])
        options = read_options(backend, flags)
        line = SupervisorLine.take()
        set_up_logging(supervised=line is not None)
        if flags["processes"] is not None and line is None:
            code = self._supervise(flags, options)
        else:
            code = self._work(flags, options, line)
        if getattr(self, "_called_from_command_line", False):
            leave(code)
        if code:
            sys.exit(code)

    def _supervise(self, flags: dict[str, Any], options: Options) -> int:
        from queue_tasks.worker.supervisor import (  # noqa: PLC0415 - no worker has to hold it
            Supervisor,
            SupervisorSettings,
        )

        processes, drain = flags["processes"], flags["drain"]
        name = flags["name"] or default_name()
        if settings.SETTINGS_MODULE:
            # For a child that is started in another way than this process was.
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings.SETTINGS_MODULE)
        start, given = program(COMMAND), child_flags(flags)
        supervisor = Supervisor(
            SupervisorSettings(processes=processes, grace=options.grace, dead_after=options.dead_after, drain=drain),
            lambda number: [*start, COMMAND, *given, "--name", f"{name}-{number}"],
            lambda reports: self._say(
                f"ready: {processes} processes, workers {', '.join(str(report.worker_id) for report in reports)}, "
                f"{describe(flags, options, all(report.listening for report in reports), ' each')}"
            ),
        )
        with ports(flags, supervisor.health, supervisor.measure):
            code = supervisor.run()
        self._say(f"stopped: {processes} processes, {supervisor.ended} attempts, {supervisor.failed} jobs failed")
        return code

    def _work(self, flags: dict[str, Any], options: Options, line: SupervisorLine | None) -> int:
        worker = Worker(
            options,
            WorkerSettings(
                queues=flags["queues"],
                concurrency=options.concurrency,
                name=flags["name"] or default_name(),
                listen=not flags["no_listen"],
                drain=flags["drain"],
                max_jobs=flags["max_jobs"],
            ),
            lambda worker: None if line else self._say_ready(worker, flags),
        )
        limit = flags["max_memory"]
        monitor = Monitor(worker, max_memory=None if limit is None else limit * MB, line=line)
        try:
            with ports(flags, monitor.health, lambda: worker.meter):
                code = run(worker, STOP_SIGNALS, monitor)
        except StatementRefused as exc:
            raise CommandError(f"queue_worker could not start: {brief(exc)}.{remedy(exc, options.database)}") from exc
        tally = worker.tally
        if not line:
            self._say(f"stopped: worker {worker.worker_id}, {tally.ended} attempts, {tally.failed} jobs failed")
        return code

    def _say_ready(self, worker: Worker, flags: dict[str, Any]) -> None:
        self._say(f"ready: worker {worker.worker_id}, {describe(flags, worker.options, worker.listening)}")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def remedy(error: Exception, database: str) -> str:
    """What to do about a database that refuses to have this worker; nothing when that is not ours to know."""
    if is_of_the_role(error):
        return " What a worker's role needs: manage.py queue roles"
    return f" Run: {migration(database)}" if is_of_the_schema(error) else ""


def read_options(backend: PostgresBackend, flags: dict[str, Any]) -> Options:
    """The backend's options with those that flags replace. Raises CommandError with exit code 2."""
    given = dict(backend.options)
    for flag in FLAGS_OF_OPTIONS:
        if flags[flag] is not None:
            given[flag] = flags[flag]
    try:
        return type(backend.settings).read(given)
    except (OptionsInvalid, ImproperlyConfigured) as exc:
        text = str(exc)
        for flag in FLAGS_OF_OPTIONS:
            if flags[flag] is not None:
                text = text.replace(f'OPTIONS["{flag}"]', f"--{flag.replace('_', '-')}")
        raise CommandError(f"queue_worker: {text}", returncode=USAGE) from exc


def describe(flags: dict[str, Any], options: Options, listening: bool, each: str = "") -> str:  # noqa: FBT001 - a fact
    """What a worker works, and how; the end of its first line."""
    queues = "all" if flags["queues"] is None else ",".join(flags["queues"])
    how = "listening" if listening else f"polling every {options.poll_interval:g} s"
    how = "draining" if flags["drain"] else how
    return f"queues {queues}, concurrency {options.concurrency}{each}, {how}"


def child_flags(flags: dict[str, Any]) -> list[str]:
    """What a process of a supervisor is told: the flags it was given itself, without those that are its own."""
    # The supervisor has made Django's checks, if it was to. They import the URLconf, and whoever makes them holds it.
    told = ["--skip-checks"]
    if flags["queues"] is not None:
        told += ["--queues", ",".join(flags["queues"])]
    for flag in (
        "concurrency",
        "max_jobs",
        "max_memory",
        "grace",
        "poll_interval",
        "backend",
        "settings",
        "pythonpath",
        "verbosity",
    ):
        if flags.get(flag) is not None:
            told += [f"--{flag.replace('_', '-')}", str(flags[flag])]
    told += [f"--{flag.replace('_', '-')}" for flag in SWITCHES if flags.get(flag)]
    return told


@contextlib.contextmanager
def ports(flags: dict[str, Any], health: Callable[[], Health], measure: Callable[[], Meter]) -> Iterator[None]:
    """The ports that there are to be. Raises CommandError when one cannot be had."""
    with contextlib.ExitStack() as stack:
        if flags["health_port"] is not None:
            stack.enter_context(open_port(flags, "health", lambda path: health().answer(path), "/livez and /readyz"))
        if flags["metrics_port"] is not None:
            from queue_tasks import metrics  # noqa: PLC0415 - most workers have none

            if find_spec("prometheus_client") is None:
                raise CommandError(f"queue_worker: --metrics-port needs {metrics.NEEDED}.", returncode=USAGE)
            # Not when it is first asked, which would hold up the jobs that run then.
            import_module("prometheus_client")
            stack.enter_context(open_port(flags, "metrics", lambda path: metrics_at(path, measure), "/metrics"))
        yield


def open_port(flags: dict[str, Any], name: str, answer: Callable[[str], Answer], paths: str) -> Port:
    """The port for --<name>-port at --<name>-host. Raises CommandError when it cannot be had."""
    from queue_tasks.worker.port import Port  # noqa: PLC0415 - most workers have none, and its server needs not a little

    host, number = flags[f"{name}_host"], flags[f"{name}_port"]
    try:
        opened = Port(name, host, number, answer)
    except OSError as exc:
        raise CommandError(
            f"queue_worker: port {number} of {host} cannot be opened for --{name}-port: {exc.strerror}."
        ) from exc
    place = f"[{host}]" if ":" in host else host
    logger.info("%s is told at http://%s:%d%s", name, place, opened.port, paths)
    if not opened.is_loopback:
        logger.warning(
            "--%s-host is %s: whoever reaches port %d of it is told %s, without being asked who they are. Let nobody "
            "reach it but %s, by a firewall or a network policy; or leave the flag out, for 127.0.0.1.",
            name,
            host,
            opened.port,
            *TOLD[name],
        )
    return opened


def metrics_at(path: str, measure: Callable[[], Meter]) -> Answer:
    """What is said to who asks for metrics at a path."""
    from queue_tasks import metrics  # noqa: PLC0415 - most workers are never asked

    if path != "/metrics":
        return Answer(HTTPStatus.NOT_FOUND, "text/plain", b"ask /metrics\n")
    return Answer(HTTPStatus.OK, metrics.CONTENT_TYPE, metrics.exposition(metrics.of_worker(measure())))


def leave(code: int) -> NoReturn:
    """End this process: its exit functions have a moment, and threads that do not end have none.

    Nothing else is taken apart: on a busy machine that takes seconds, in which nobody could end it any more.
    """
    limit = threading.Timer(LAST_WORDS, os._exit, [code])
    limit.daemon = True
    limit.start()
    connections.close_all()
    atexit._run_exitfuncs()  # noqa: SLF001 - what the interpreter itself calls
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


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


def port(text: str) -> int:
    """A TCP port, 0 to 65535."""
    if not text.isascii() or not text.isdigit() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to {LAST_PORT}")
    return int(text)


def set_up_logging(*, supervised: bool) -> None:
    """Show what the worker says when the project's LOGGING does not say where it should go."""
    ours = logging.getLogger("queue_tasks")
    if not ours.hasHandlers():
        who = "[%(process)d] " if supervised else ""
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {who}%(name)s: %(message)s"))
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)
