"""One run: the server, the queues that are there, and how much of everything is measured."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.contestants import ALL, OURS, Contestant
from benchmarks.harness import Series, Turn, TurnFailed, paired
from benchmarks.programs import Program
from benchmarks.server import Server, running, statement

POLL = 0.01
"""Seconds between looks at whether all jobs have ended, after the last body."""


@dataclass
class Bench:
    """What every measure gets."""

    server: Server
    rounds: int
    scale: float = 1.0
    """The part of the usual number of jobs; smaller for a quick look."""
    contestants: list[Contestant] = field(default_factory=list)
    """Those that are there; ours is the first."""
    absent: dict[str, str] = field(default_factory=dict)
    """Name -> why a queue is left out."""

    def count(self, usual: int) -> int:
        """So many jobs, at this run's scale."""
        return max(20, round(usual * self.scale))

    def paired(self, turns: dict[str, Turn], *, rounds: int | None = None, required: tuple[str, ...] = ()) -> Series:
        """See harness.paired."""
        return paired(turns, rounds or self.rounds, required=required, say=say)

    def describe_peers(self) -> str:
        """The other queues with their versions, and those that are absent."""
        there = [f"{peer.name} {peer.version()}" for peer in self.contestants if peer is not OURS]
        gone = [f"{name} left out: {why}" for name, why in self.absent.items()]
        return "; ".join([f"beside us: {', '.join(there) or 'nobody'}", *gone])


@contextmanager
def prepared(rounds: int, scale: float) -> Iterator[Bench]:
    """A server with a database for each queue that is installed."""
    with running() as server:
        bench = Bench(server, rounds, scale)
        for contestant in ALL:
            if contestant.version() is None:
                bench.absent[contestant.name] = "not installed (make bench-peers)"
                continue
            try:
                contestant.prepare(server)
            except TurnFailed as exc:
                if contestant is OURS:
                    raise
                bench.absent[contestant.name] = str(exc)
                continue
            bench.contestants.append(contestant)
        yield bench


def say(text: str) -> None:
    """Tell whoever watches how far it is; the tables go to standard output."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


@contextmanager
def clients(bench: Bench, contestants: list[Contestant]) -> Iterator[dict[Contestant, Program]]:
    """A client of each queue that can have one; the others are noted as absent."""
    with contextlib.ExitStack() as stack:
        found = {}
        for contestant in contestants:
            try:
                found[contestant] = stack.enter_context(contestant.client(bench.server))
            except TurnFailed as exc:
                if contestant is OURS:
                    raise
                bench.absent[contestant.name] = str(exc)
        yield found


def until_ended(server: Server, contestant: Contestant, every: float = POLL) -> None:
    """Return when its database knows of no job that has not ended. Raises TurnFailed.

    In one session: to open one for each look would take a fortieth of the two processors that are measured.
    """
    text = statement(f"{contestant.name}/unfinished").encode()
    with server.connect(contestant.database) as session:

        def ended() -> bool:
            row = session.execute(text).fetchone()
            return row is not None and not row[0]

        wait_until(ended, "all jobs ended", every=every)


def wait_until(check: Callable[[], bool], what: str, patience: float = 60.0, every: float = POLL) -> None:
    """Look again and again. Raises TurnFailed."""
    limit = time.monotonic() + patience
    while not check():
        if time.monotonic() > limit:
            raise TurnFailed(f"{what}: not within {patience:g} s")
        time.sleep(every)
