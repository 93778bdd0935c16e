"""S35 every-call-fails: each statement that is sent on the way of a job fails once, before, after and amid its answer.

First runs without a fault note every statement: of the enqueuer, the worker's five connections, and the bodies. Then
one run for each that all of them sent, for its first and its second time, and for each way to fail. Not by chance: all.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.db import Error as DjangoError
from django.db import connections, transaction
from procrastinate.contrib.django import app

from queue_tasks.worker.process import run
from queue_tasks.worker.worker import Worker
from tests.chaos import ledger, tasks
from tests.chaos.accounting import Acked
from tests.chaos.harness import Chaos
from tests.chaos.proxy import Loss, Proxy
from tests.conftest import point_django_at
from tests.waiting import wait_until
from tests.workers import make_worker

WAYS: dict[str, Callable[..., Loss]] = {
    "before the server has it": Proxy.drop_request,
    "after the server has answered": Proxy.drop_reply_after,
    "amid the answer": Proxy.break_reply,
}
TIMES = (1, 2)
BACK_OFF = 1.5
"""Seconds until a worker that could not start is started again."""
LATE = 3.0
"""Seconds for a statement that comes when all jobs have ended, such as a heartbeat."""
NOT_COMMITTED = """
    select count(*) as n from procrastinate_jobs j, jsonb_array_elements(j.qt_errors) e
    where e ->> 'exception' like '%AtomicNotCommitted'
"""
RECORDINGS = 3
"""Runs without a fault: the first, with all to be loaded and prepared, is longer, and sends more."""
RUNS = 5
"""For a fault that does not happen: some statements are sent at some moments only, in most runs and not in another."""
SLOW = b"fetch_jobs"
"""A fetch whose answer is lost leaves jobs that are missed only when no fetch can still be under way: for a while."""


class Statements:
    """What was sent through the proxy: the beginnings of statements, which tell one from another, and how often."""

    def __init__(self) -> None:
        self.seen: Counter[bytes] = Counter()
        self._lock = threading.Lock()

    def note(self, statement: bytes) -> bool:
        """For a Loss: strikes nothing."""
        with self._lock:
            self.seen[statement[:40]] += 1
        return False

    def faults(self) -> Iterator[tuple[bytes, int, str]]:
        """Every statement, time and way."""
        for (head, count), time, way in itertools.product(sorted(self.seen.items()), TIMES, WAYS):
            if time <= count:
                yield head, time, way


class Workers:
    """A worker in this process that is started anew when it ends with an error, as a service manager does."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self._stopping = threading.Event()
        self._worker = self._make()
        self._thread = threading.Thread(target=self._serve, name="chaos worker")

    def _make(self) -> Worker:
        return make_worker(concurrency=3, heartbeat=0.2, poll_interval=0.5, statement_timeout=3, grace=10)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                self.codes.append(run(self._worker))
            except psycopg.OperationalError:
                # It could not register: the command says so in a line, and ends with 1.
                self.codes.append(1)
                self._stopping.wait(BACK_OFF)
            if not self._stopping.is_set():
                self._worker = self._make()

    @contextmanager
    def working(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._worker.stop()
            self._thread.join(60)
            assert not self._thread.is_alive(), "the worker did not stop"


@pytest.fixture
def _ticking() -> Iterator[None]:
    """A task of procrastinate's that is due each second."""

    @app.periodic(cron="* * * * * *")
    @app.task(name="tests.chaos.tick", queue="ticks")
    def tick(timestamp: int) -> int:
        return timestamp

    yield
    app.tasks.pop("tests.chaos.tick")
    app.periodic_registry.periodic_tasks.pop(("tests.chaos.tick", ""))


@pytest.fixture
def _ledger_here(chaos: Chaos, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bodies run in this process: one connection and some threads for the ledger, closed at the end."""
    monkeypatch.setenv("CHAOS_LEDGER_URL", chaos.url)
    with psycopg.connect(chaos.url, autocommit=True) as connection, ThreadPoolExecutor(2) as writers:
        monkeypatch.setattr(ledger, "_local", SimpleNamespace(connection=connection))
        monkeypatch.setattr(ledger, "_writers", writers)
        yield


@pytest.mark.usefixtures("_ticking", "_ledger_here")
def test_whatever_statement_fails_and_whenever_no_job_is_lost_or_stuck(chaos: Chaos) -> None:
    proxy = chaos.proxy()
    point_django_at(proxy.url)
    statements = recorded(chaos, proxy)
    for _ in range(RECORDINGS - 1 if chaos.full else 0):
        statements.seen &= recorded(chaos, proxy).seen
    faults = list(statements.faults())
    some = [fault for fault in faults if SLOW not in fault[0]]
    # In the quick form a few that happen at once.
    few = None if chaos.full else 3
    chosen = faults if chaos.full else chaos.random.sample(some, 2 * 3)
    ended: list[tuple[bytes, int, str, list[int]]] = []
    missed: list[tuple[bytes, int, str]] = []
    tried = 0
    for head, time, way in chosen:
        if tried - len(missed) == few:
            break
        tried += 1
        for _ in range(RUNS if chaos.full else 1):
            loss = WAYS[way](proxy, beginning(head), nth=time)
            codes = one_run(chaos, loss)
            if codes[-1] or (len(codes) > 1 and b"register_worker" not in head and b"prepare_session" not in head):
                ended.append((head, time, way, codes))
            if loss.happened.wait(1):
                break
            proxy.withdraw(loss)
        else:
            missed.append((head, time, way))
    not_committed = chaos.rows(NOT_COMMITTED)[0]["n"]
    chaos.report(
        most_duplicates=tried,
        # An atomic attempt whose first statement failed is an attempt, and its body did not start.
        charged=not_committed,
        figures={"statements": len(statements.seen), "faults": tried - len(missed)},
        criteria={
            f"the worker goes on, unless it could not even register: {ended}": not ended,
            f"every fault happened: {missed}": not missed if chaos.full else tried - len(missed) == few,
        },
    )


def recorded(chaos: Chaos, proxy: Proxy) -> Statements:
    """What one run sends."""
    statements = Statements()
    recording = proxy.drop_request(statements.note)
    assert one_run(chaos) == [0]
    proxy.withdraw(recording)
    return statements


def beginning(head: bytes) -> Callable[[bytes], bool]:
    """Judges whether a statement is the one that begins so."""
    return lambda statement: statement.startswith(head)


def one_run(chaos: Chaos, loss: Loss | None = None) -> list[int]:
    """A few jobs of every kind from their enqueueing to their end; how the worker ended, each time it did."""
    workers = Workers()
    with workers.working():
        jobs = enqueue(chaos)
        unfinished = "select id from procrastinate_jobs where id = any (%s) and status in ('todo', 'doing')"
        wait_until(lambda: not chaos.rows(unfinished, [job.job_id for job in jobs]), 120, "every job ended")
        if loss is not None:
            # Some come when the worker stops: the caller looks again.
            loss.happened.wait(LATE)
        else:
            ticked = "select id from procrastinate_jobs where task_name = 'tests.chaos.tick' and status = 'succeeded'"
            wait_until(lambda: len(chaos.rows(ticked)) > 1, 60, "two ticks")
    return workers.codes


def enqueue(chaos: Chaos) -> list[Acked]:
    """Enqueue in one transaction, as often as it takes until its commit is answered."""
    while True:
        modes = [mode for mode in [*chaos.modes, "sync", "sync"] if mode != "process"]
        keys = [chaos.key() for _ in modes]
        try:
            with transaction.atomic():
                for number, (mode, key) in enumerate(zip(modes, keys, strict=True)):
                    tasks.MODES[mode].using(**options(number)).enqueue(key)
            answered = True
        except (DjangoError, psycopg.Error):
            connections["default"].close()
            answered = False
        # A commit without an answer may have come about all the same: the rows tell.
        rows = chaos.rows("select id, args -> 'args' ->> 0 as key from procrastinate_jobs where id > %s", newest(chaos))
        ids = {row["key"]: row["id"] for row in rows}
        assert ids.keys() >= set(keys) or not (answered or ids.keys() & set(keys)), "all or nothing"
        acked = [Acked(key, ids[key], mode == "atomic") for mode, key in zip(modes, keys, strict=True) if key in ids]
        chaos.acked += acked
        if answered:
            return acked


def newest(chaos: Chaos) -> int:
    """The newest job that is known of."""
    return max((job.job_id for job in chaos.acked), default=0)


def options(number: int) -> dict[str, Any]:
    """Some have a lock, and one comes later."""
    return {"run_after": timedelta(seconds=0.2)} if number == 0 else {"lock": "one"} if number % 2 else {}
