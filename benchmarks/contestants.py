"""The queues that are measured, each on a database of its own of the same server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import peers
from benchmarks.harness import TurnFailed
from benchmarks.programs import Program
from benchmarks.server import Server

CONCURRENCY = 20
"""Jobs our worker runs at a time, unless a measure says otherwise: the default of queue_tasks."""


@dataclass(frozen=True)
class Contestant:
    """A queue: its name, which is also that of its folder in sql/, and how its programs are started."""

    name: str
    side: Callable[[str], Sequence[str]]
    """The command of a role: client, worker or schema."""
    version: Callable[[], str | None]
    """None: it is not installed."""

    @property
    def database(self) -> str:
        """Its own."""
        return self.name.replace("-", "_")

    def client(self, server: Server, **told: str) -> Program:
        """Whoever enqueues, once it is ready. told: what its environment has beside what every side reads."""
        program = Program(self.side("client"), {**environment(server, self.database), **told})
        program.wait_for("ready")
        return program

    def worker(self, server: Server, *, count: int = 0) -> Program:
        """A worker; its `ready` is not waited for. count: bodies after which it says `last`."""
        return Program(self.side("worker"), {**environment(server, self.database), "BENCHMARK_COUNT": str(count)})

    def prepare(self, server: Server) -> None:
        """Make its database and its tables. Raises TurnFailed."""
        server.for_database("create_database", self.database)
        with Program(self.side("schema"), environment(server, self.database)) as program:
            program.succeed()

    def reset(self, server: Server) -> None:
        """Empty its tables."""
        server.rows(self.database, f"{self.name}/reset")

    def settle(self, server: Server) -> None:
        """After many jobs were enqueued: statistics as a queue in use has them, and no checkpoint meanwhile."""
        for name in (f"{self.name}/vacuum", "server/checkpoint"):
            server.rows(self.database, name)


def environment(server: Server, database: str) -> dict[str, str]:
    """What every side reads."""
    return {
        **server.libpq(database),
        "DATABASE_URL": server.url(database),
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "PYTHONUNBUFFERED": "1",
        "NODE_PATH": str(peers.NODE_MODULES),
    }


def _ours(role: str) -> list[str]:
    if role == "worker":
        return our_worker()
    if role == "schema":
        return [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity=0"]
    return [sys.executable, "-m", "benchmarks.sides.ours", role]


def our_worker(*flags: str, concurrency: int = CONCURRENCY) -> list[str]:
    """The command of our worker."""
    return [sys.executable, "-m", "django", "queue_worker", f"--concurrency={concurrency}", *flags]


def start_ours(server: Server, database: str, command: Sequence[str], *, count: int = 0, mark: int = 0) -> Program:
    """A worker of ours with other flags, or on another database, once it is ready."""
    told = {**environment(server, database), "BENCHMARK_COUNT": str(count), "BENCHMARK_MARK": str(mark)}
    program = Program(command, told)
    try:
        program.wait_for("ready")
    except TurnFailed:
        program.stop()
        raise
    return program


OURS = Contestant("queue_tasks", _ours, lambda: "")
GRAPHILE = Contestant(
    "graphile-worker",
    lambda role: [peers.node(), "benchmarks/sides/graphile-worker.cjs", role],
    peers.graphile_version,
)
PGQUEUER = Contestant(
    "pgqueuer",
    lambda role: [str(peers.PYTHON), "-m", "benchmarks.sides.pgqueuer", role],
    peers.pgqueuer_version,
)
STOCK = Contestant(
    "procrastinate",
    lambda role: [sys.executable, "-m", "benchmarks.sides.procrastinate", role],
    peers.procrastinate_version,
)
ALL = (OURS, GRAPHILE, PGQUEUER, STOCK)

BARE = [sys.executable, "-m", "benchmarks.sides.bare"]
"""The command of no queue at all."""
