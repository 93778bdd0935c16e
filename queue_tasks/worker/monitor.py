"""Monitor: looks at its worker once a second from a thread of its own, which a blocked event loop does not stop.

It has the loop take a turn, recycles the worker when its memory has grown too much, and reports to the supervisor.
Under one, it also holds off the end of the process: when no thread has run for `dead_after` seconds, because C code
does not let go of the interpreter, the process writes its stacks and ends, as its jobs are others' by then.
"""

from __future__ import annotations

import faulthandler
import threading
import time
from types import TracebackType
from typing import Self

from queue_tasks.worker.health import Health
from queue_tasks.worker.memory import give_back, resident_here
from queue_tasks.worker.report import EVERY, Report, SupervisorLine
from queue_tasks.worker.worker import Worker

LOOP_LIMIT = 5.0
"""Seconds without a turn after which the event loop is dead."""

DATABASE_LIMIT = 10.0
"""Seconds without an answer of the database after which a worker is not ready."""

FAILING_LIMIT = 10.0
"""Seconds for which the fetcher or the finisher may fail again and again before the worker is not ready."""

HOPELESS_AFTER = 60.0
"""Seconds of that after which it is dead, unless the database is away."""

MB = 2**20


class Monitor:
    """Looks while it is entered.

    max_memory: bytes of resident memory above which the worker recycles. line: to the supervisor, if there is one.
    """

    def __init__(self, worker: Worker, *, max_memory: int | None = None, line: SupervisorLine | None = None) -> None:
        self.worker = worker
        self.line = line
        self._max_memory = max_memory
        self._memory_at_first = resident_here()
        # Written by the loop, or by this thread when there is none.
        self._turned_at = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="queue_tasks monitor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(1)
        self._report()
        if self.line is not None:
            faulthandler.cancel_dump_traceback_later()

    def health(self) -> Health:
        """What is wrong at this moment. From any thread."""
        worker, crew, now = self.worker, self.worker.crew, time.monotonic()
        dead, unready = [], []
        if (still := now - self._turned_at) > LOOP_LIMIT:
            dead.append(f"the event loop has not turned for {still:.0f} s")
        if crew is not None:
            dead += [f"the {name} is dead" for name in worker.dead]
            away = now - crew.heartbeat.answered_at
            if away > max(DATABASE_LIMIT, 3 * worker.options.heartbeat):
                unready.append(f"the database has not answered for {away:.0f} s")
            for service in (crew.fetcher, crew.finisher):
                failing = service.failing_for
                problem = f"the {service.name} has been failing for {failing:.0f} s"
                if failing > HOPELESS_AFTER and not unready:
                    dead.append(problem)
                elif failing > FAILING_LIMIT:
                    unready.append(problem)
        if worker.stopping:
            unready.append("it is stopping")
        elif not worker.ready:
            unready.append("it is starting")
        return Health(tuple(dead), tuple(unready))

    def _look(self) -> None:
        begun = False
        while not self._over.is_set():
            if self.line is not None:
                # Waited for by a thread that needs no interpreter; begun anew each time.
                faulthandler.dump_traceback_later(self.worker.options.dead_after, file=2, exit=True)
            if not self.worker.call_soon(self._turned):
                self._turned()
            if self.worker.ready and not begun:
                begun = True
                # What reading the project has left.
                give_back()
            self._judge_memory()
            self._report()
            self._over.wait(EVERY)

    def _turned(self) -> None:
        self._turned_at = time.monotonic()

    def _judge_memory(self) -> None:
        limit = self._max_memory
        if limit is None or self.worker.recycled or not self.worker.ready:
            return
        used = resident_here()
        if used > limit:
            hint = "; it had more before it ran a job: give more" if self._memory_at_first > limit else ""
            self.worker.recycle(f"{used / MB:.0f} MB of memory, more than {limit / MB:.0f} MB{hint}", stuck=False)

    def _report(self) -> None:
        if self.line is None:
            return
        worker, health = self.worker, self.health()
        self.line.send(
            Report(
                worker_id=worker.worker_id,
                ready=worker.ready,
                listening=worker.ready and worker.listening,
                dead=health.dead,
                unready=health.unready,
                ended=worker.tally.ended,
                failed=worker.tally.failed,
                memory=resident_here(),
                recycled=worker.recycled,
                meter=worker.meter,
            )
        )
