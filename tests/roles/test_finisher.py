"""Finisher: every outcome is written or fenced off; one that is refused harms no other."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import psycopg
import pytest

from queue_tasks.conf import Options
from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import OutcomeKind
from queue_tasks.store import Store, Written, client
from queue_tasks.worker import finisher as module
from queue_tasks.worker.finisher import Finisher
from tests.chaos.proxy import Proxy
from tests.roles.parts import Rows, outcome
from tests.waiting import PATIENCE, await_until

SESSION = "queue_tasks finish"


class Pen:
    """A finisher, and what it says of each batch."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.batches: list[list[int]] = []
        self.statuses: dict[int, str | None] = {}
        self.finisher = Finisher(store.jobs, self.written)
        self.finisher.worker_id = store.worker_id

    def written(self, batch: Sequence[Written], statuses: dict[int, str]) -> None:
        self.batches.append([job.id for job, _, _ in batch])
        for job, _, _ in batch:
            self.statuses[job.id] = statuses.get(job.id)

    async def fetch(self, count: int) -> list[FetchedJob]:
        return await self.store.jobs.fetch_jobs(None, count)


@pytest.fixture
async def pen(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pen]:
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.2)
    pen = Pen(store)
    async with pen.finisher:
        yield pen


def refuse(db: psycopg.Connection[Any], condition: str, times: int, sqlstate: str) -> None:
    """A trigger that refuses updates of some rows, a number of times; a sequence counts, for it is not rolled back."""
    db.execute("create sequence tests_refusals")
    db.execute(
        "create function tests_refuse() returns trigger language plpgsql as $$ begin "
        f"if {condition} and nextval('tests_refusals') <= {times} then "
        f"raise exception 'refused by the test' using errcode = '{sqlstate}'; end if; return new; end $$"
    )
    db.execute(
        "create trigger tests_refuse before update on procrastinate_jobs for each row "
        "when (old.status = 'doing') execute function tests_refuse()"
    )


@pytest.fixture(autouse=True)
def _no_trigger(db: psycopg.Connection[Any]) -> Any:
    yield
    db.execute("drop trigger if exists tests_refuse on procrastinate_jobs")
    db.execute("drop function if exists tests_refuse")
    db.execute("drop sequence if exists tests_refusals")


async def test_what_ends_together_is_written_in_one_statement(pen: Pen, rows: Rows) -> None:
    rows.add(200)
    for job in await pen.fetch(200):
        pen.finisher.put(job, outcome())
    await pen.finisher.flush()
    assert [len(batch) for batch in pen.batches] == [200]
    assert rows.statuses() == {"succeeded": 200}


async def test_no_statement_has_more_than_the_largest_batch(
    pen: Pen, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 50)
    rows.add(130)
    for job in await pen.fetch(130):
        pen.finisher.put(job, outcome())
    await pen.finisher.flush()
    assert [len(batch) for batch in pen.batches] == [50, 50, 30]


async def test_flush_returns_at_once_when_nothing_is_pending(pen: Pen) -> None:
    await asyncio.wait_for(pen.finisher.flush(), PATIENCE)
    assert pen.finisher.backlog == 0


async def test_each_kind_of_outcome_is_written(pen: Pen, rows: Rows) -> None:
    kinds = list(OutcomeKind)
    rows.add(len(kinds))
    jobs = await pen.fetch(len(kinds))
    for job, kind in zip(jobs, kinds, strict=True):
        error = ValueError("why") if kind in (OutcomeKind.FAILED, OutcomeKind.RETRIED, OutcomeKind.ABORTED) else None
        pen.finisher.put(job, outcome(kind, error=error))
    await pen.finisher.flush()
    assert {kind.value: pen.statuses[job.id] for job, kind in zip(jobs, kinds, strict=True)} == {
        "succeeded": "succeeded",
        "failed": "failed",
        "aborted": "aborted",
        "retried": "todo",
        "snoozed": "todo",
        "released": "todo",
    }
    spent = {kind.value: rows.get(job.id)["attempts"] for job, kind in zip(jobs, kinds, strict=True)}
    assert spent == {"succeeded": 1, "failed": 1, "aborted": 1, "retried": 1, "snoozed": 0, "released": 0}


@pytest.mark.parametrize("sqlstate", ["P0001", "23505", "40P01", "40001", "53100", "57014", "55P03", "XX000", "54000"])
@pytest.mark.parametrize("times", [1, 6])
async def test_a_refused_outcome_is_tried_until_it_is_written_and_the_others_do_not_wait(
    pen: Pen, rows: Rows, db: psycopg.Connection[Any], sqlstate: str, times: int
) -> None:
    ids = rows.add(40)
    refuse(db, f"old.id = {ids[17]}", 1_000_000, sqlstate)
    for job in await pen.fetch(40):
        pen.finisher.put(job, outcome(OutcomeKind.FAILED, error=ValueError("why")))
    await await_until(lambda: len(pen.statuses) == 39)
    assert rows.get(ids[17])["status"] == "doing"
    assert pen.finisher.backlog == 1
    # Nor do those that come later.
    (late,) = rows.add()
    pen.finisher.put((await pen.fetch(1))[0], outcome())
    await await_until(lambda: pen.statuses.get(late) == "succeeded")
    db.execute("alter sequence tests_refusals restart with 1")
    refusals = f"nextval('tests_refusals') <= {times}"
    db.execute(
        "create or replace function tests_refuse() returns trigger language plpgsql as $$ begin "
        f"if old.id = {ids[17]} and {refusals} then raise exception 'again' using errcode = '{sqlstate}'; end if; "
        "return new; end $$"
    )
    await pen.finisher.flush()
    assert rows.statuses() == {"failed": 40, "succeeded": 1}
    assert pen.finisher.backlog == 0


@pytest.mark.parametrize(
    "values",
    [
        {"result": '"\\u0000"'},
        {"result": "not JSON"},
        {"result": "[" * 20_000},
        {"result": '"\ud800"'},
        {"lock": "\x00"},
        {"lock": "\udfff"},
        {"queue_name": "q" * 200},
        {"queue_name": object()},
        {"priority": 2**40},
        {"priority": "high"},
        {"wait": float("inf")},
        {"wait": 1e300},
        {"wait": "soon"},
        {"keep": -1e300},
    ],
    ids=lambda change: f"{next(iter(change))}={type(next(iter(change.values()))).__name__}",
)
async def test_what_can_never_be_written_makes_that_job_failed_and_no_other(
    pen: Pen, rows: Rows, values: dict[str, Any]
) -> None:
    ids = rows.add(20)
    kind = OutcomeKind.RETRIED if {"lock", "queue_name", "priority", "wait"} & set(values) else OutcomeKind.SUCCEEDED
    for job in await pen.fetch(20):
        pen.finisher.put(job, outcome(kind, **values) if job.id == ids[4] else outcome())
    await pen.finisher.flush()
    assert rows.statuses() == {"succeeded": 19, "failed": 1}
    refused = rows.get(ids[4])
    assert refused["status"] == "failed"
    assert len(refused["qt_errors"]) == 1


@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.RETRIED])
async def test_an_error_with_letters_that_the_database_cannot_hold_is_written_in_ascii(
    pen: Pen, rows: Rows, db: psycopg.Connection[Any], kind: OutcomeKind
) -> None:
    ids = rows.add(3)
    refuse(db, "new.qt_errors::text ~ '[^\\x01-\\x7f]'", 1_000_000, "22P05")
    for job in await pen.fetch(3):
        pen.finisher.put(job, outcome(kind, error=ValueError('"Łódź" \\u \\ \n' if job.id == ids[1] else "Lodz")))
    await pen.finisher.flush()
    assert [rows.get(job_id)["qt_errors"][-1]["message"] for job_id in ids] == [
        "Lodz",
        r'"\u0141\u00f3d\u017a" \u \ ' + "\n",
        "Lodz",
    ]
    assert rows.statuses() == {"failed" if kind is OutcomeKind.FAILED else "todo": 3}


async def test_a_terminated_backend_in_the_middle_of_a_write_costs_nothing(pen: Pen, rows: Rows, dsn: str) -> None:
    ids = rows.add(10)
    jobs = await pen.fetch(10)
    with psycopg.connect(dsn, application_name="tests.roles") as other:
        other.execute("select from procrastinate_jobs where id = %s for update", [ids[3]])
        for job in jobs:
            pen.finisher.put(job, outcome())
        await await_until(lambda: rows.waits_for_lock(SESSION))
        assert len(rows.terminate(SESSION)) == 1
        other.rollback()
    await pen.finisher.flush()
    assert rows.statuses() == {"succeeded": 10}
    assert set(pen.statuses.values()) == {"succeeded"}


@pytest.fixture
def patient(db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Finishes wait for rows until Postgres looks for a deadlock, which it does at once. Ask for it before the pen."""
    monkeypatch.setattr(client, "FINISH_LOCK_TIMEOUT", 60.0)
    (name,) = [row["current_database"] for row in db.execute("select current_database()")]
    db.execute(f"alter database {name} set deadlock_timeout = '20ms'")
    yield
    db.execute(f"alter database {name} reset deadlock_timeout")


async def test_the_victim_of_a_deadlock_is_written_all_the_same(
    patient: None, pen: Pen, rows: Rows, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    ids = rows.add(10)
    jobs = await pen.fetch(10)
    lock = "select from procrastinate_jobs where id = %s for update"
    with (
        psycopg.connect(dsn, application_name="tests.first") as first,
        psycopg.connect(dsn, application_name="tests.careless") as careless,
    ):
        # Whoever finds the deadlock is its victim: not the careless one, which looks for none.
        careless.execute("set deadlock_timeout = '1h'")
        first.execute(lock, [ids[4]])
        careless.execute(lock, [ids[8]])
        for job in jobs:
            pen.finisher.put(job, outcome())
        await await_until(lambda: rows.waits_for_lock(SESSION))
        back = asyncio.create_task(asyncio.to_thread(careless.execute, lock, [ids[0]]))
        await await_until(lambda: rows.waits_for_lock("tests.careless"))
        # Now the finish comes to the row of the careless one, which waits for one of the finish's.
        first.rollback()
        await back
        # It has the row that the finish had, whose transaction is therefore gone; it did not wait too long for a row.
        assert pen.finisher.backlog == 10
        assert "lock timeout" not in caplog.text
        careless.rollback()
    await pen.finisher.flush()
    assert rows.statuses() == {"succeeded": 10}
    assert set(pen.statuses.values()) == {"succeeded"}


async def test_it_does_not_give_up_while_the_database_refuses_connections(
    pen: Pen, rows: Rows, db: psycopg.Connection[Any]
) -> None:
    rows.add(5)
    jobs = await pen.fetch(5)
    (name,) = [row["current_database"] for row in db.execute("select current_database()")]
    with psycopg.connect(db.info.dsn, dbname="postgres", autocommit=True, application_name="tests.roles") as outside:
        outside.execute(f"alter database {name} with allow_connections false")
        try:
            rows.terminate(SESSION)
            for job in jobs:
                pen.finisher.put(job, outcome())
            # Superusers are refused as well: three new tries in vain.
            await asyncio.wait_for(asyncio.shield(_tries(pen, 3)), PATIENCE)
            assert pen.finisher.backlog == 5
        finally:
            outside.execute(f"alter database {name} with allow_connections true")
    await pen.finisher.flush()
    assert rows.statuses() == {"succeeded": 5}


async def _tries(pen: Pen, count: int) -> None:
    """Wait for so many statements, by their failures in the log."""
    import logging

    seen = asyncio.Semaphore(0)

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "finish of" in record.getMessage():
                seen.release()

    handler = Handler()
    logger = logging.getLogger("queue_tasks.worker")
    logger.addHandler(handler)
    try:
        for _ in range(count):
            await seen.acquire()
    finally:
        logger.removeHandler(handler)


async def test_a_job_given_to_another_is_reported_lost_and_changes_nothing(pen: Pen, rows: Rows) -> None:
    mine, theirs, deleted = rows.add(3)
    jobs = await pen.fetch(3)
    rows.db.execute("update procrastinate_jobs set qt_lease = qt_lease + 1 where id = %s", [theirs])
    rows.db.execute("delete from procrastinate_jobs where id = %s", [deleted])
    before = rows.get(theirs)
    for job in jobs:
        pen.finisher.put(job, outcome(OutcomeKind.FAILED, error=ValueError("zombie")))
    await pen.finisher.flush()
    assert pen.statuses == {mine: "failed", theirs: None, deleted: None}
    assert rows.get(theirs) == before


async def test_the_same_worker_s_older_lease_is_fenced_off_too(pen: Pen, rows: Rows) -> None:
    rows.add()
    (first,) = await pen.fetch(1)
    pen.finisher.put(first, outcome(OutcomeKind.RELEASED))
    await pen.finisher.flush()
    (second,) = await pen.fetch(1)
    pen.finisher.put(first, outcome())
    await pen.finisher.flush()
    assert pen.statuses == {first.id: None}
    assert rows.get(first.id)["status"] == "doing"
    pen.finisher.put(second, outcome())
    await pen.finisher.flush()
    assert pen.statuses == {first.id: "succeeded"}


async def test_stopping_writes_what_is_left(store: Store, rows: Rows) -> None:
    rows.add(30)
    pen = Pen(store)
    async with pen.finisher:
        for job in await pen.fetch(30):
            pen.finisher.put(job, outcome())
    assert rows.statuses() == {"succeeded": 30}
    await pen.finisher.stop()


async def test_stopping_gives_up_in_the_end_and_says_so(
    options: Options, rows: Rows, dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "GIVE_UP_AFTER", 0.1)
    # The server is to wait for the lock however long this machine takes to get there.
    monkeypatch.setattr(client, "FINISH_LOCK_TIMEOUT", PATIENCE)
    store = Store(options)
    await store.workers.register_worker("role", "host", 1, None, 10)
    rows.add(3)
    pen = Pen(store)
    await pen.finisher.__aenter__()
    jobs = await pen.fetch(3)
    with psycopg.connect(dsn, application_name="tests.roles") as other:
        other.execute("lock table procrastinate_jobs in exclusive mode")
        for job in jobs:
            pen.finisher.put(job, outcome())
        await await_until(lambda: rows.waits_for_lock(SESSION))
        before = time.monotonic()
        await pen.finisher.stop()
        assert time.monotonic() - before < PATIENCE
        other.rollback()
    assert "could not write 3 outcomes within 0.1 s" in caplog.text
    # What the server had been sent by then, it writes as soon as it can: under the fence.
    await await_until(lambda: not rows.sessions(SESSION))
    assert rows.statuses() == {"succeeded": 3}
    await store.close()


# ------------------------------------------------------------------------------------------------ answers that are lost


@pytest.fixture
async def cut_pen(proxy: Proxy, store: Store) -> AsyncIterator[Pen]:
    """A pen whose connections can be cut."""
    pen = Pen(store)
    async with pen.finisher:
        yield pen


@pytest.mark.parametrize("side", ["answer", "statement"])
async def test_a_lost_answer_is_no_lost_job(proxy: Proxy, cut_pen: Pen, rows: Rows, side: str) -> None:
    kinds = [*OutcomeKind, OutcomeKind.SUCCEEDED]
    rows.add(len(kinds))
    jobs = await cut_pen.fetch(len(kinds))
    lose = proxy.drop_reply_after if side == "answer" else proxy.drop_request
    loss = lose(b"queue_tasks_finish_jobs_v1", only=SESSION)
    for number, (job, kind) in enumerate(zip(jobs, kinds, strict=True)):
        # The last one keeps nothing: its row is gone when it is looked for.
        keep = 0.0 if number == len(kinds) - 1 else None
        cut_pen.finisher.put(job, outcome(kind, keep=keep, wait=600.0 if kind is OutcomeKind.RETRIED else 0.0))
    await cut_pen.finisher.flush()
    assert loss.happened.is_set()
    ended = ["succeeded", "failed", "aborted", "todo", "todo", "todo", "succeeded"]
    assert cut_pen.statuses == dict(zip((job.id for job in jobs), ended, strict=True))
    assert [rows.get(job.id).get("attempts") for job in jobs] == [1, 1, 1, 1, 0, 0, None]


async def test_a_job_given_to_another_after_a_lost_answer_is_lost(proxy: Proxy, cut_pen: Pen, rows: Rows) -> None:
    ids = rows.add(3)
    jobs = await cut_pen.fetch(3)
    proxy.drop_request(b"queue_tasks_finish_jobs_v1", only=SESSION)
    rows.db.execute("update procrastinate_jobs set qt_lease = qt_lease + 1 where id = %s", [ids[1]])
    rows.db.execute(
        "update procrastinate_jobs set status = 'todo', worker_id = null where id = %s", [ids[2]]
    )  # as rescue does
    for job in jobs:
        cut_pen.finisher.put(job, outcome())
    await cut_pen.finisher.flush()
    assert cut_pen.statuses == {ids[0]: "succeeded", ids[1]: None, ids[2]: None}
    assert [rows.get(job_id)["status"] for job_id in ids] == ["succeeded", "doing", "todo"]


async def test_a_deleted_row_is_lost_unless_its_success_may_have_deleted_it(
    proxy: Proxy, cut_pen: Pen, rows: Rows
) -> None:
    ids = rows.add(2)
    jobs = await cut_pen.fetch(2)
    proxy.drop_request(b"queue_tasks_finish_jobs_v1", only=SESSION)
    rows.db.execute("delete from procrastinate_jobs")
    cut_pen.finisher.put(jobs[0], outcome())
    cut_pen.finisher.put(jobs[1], outcome(keep=0.0))
    await cut_pen.finisher.flush()
    assert cut_pen.statuses == {ids[0]: None, ids[1]: "succeeded"}


@pytest.mark.parametrize("keep", [None, 0.0], ids=["kept", "vanishing"])
@pytest.mark.parametrize("committed", [True, False])
async def test_of_a_doubtful_commit_the_row_tells_what_became(
    pen: Pen, rows: Rows, committed: bool, keep: float | None
) -> None:
    (job_id,) = rows.add()
    (job,) = await pen.fetch(1)
    success = outcome(result="7", keep=keep)
    told: list[Any] = []
    pen.finisher._on_written = lambda batch, statuses: told.extend((batch[0][1:], statuses))
    if committed:
        await pen.store.jobs.finish_jobs([(job, success, None)])
    fallback = outcome(OutcomeKind.RETRIED, error=OSError("the network"), wait=60.0, perhaps=success)
    pen.finisher.put(job, fallback)
    await pen.finisher.flush()
    if committed:
        assert told == [(success, None), {job_id: "succeeded"}]
        assert rows.get(job_id) == {} if keep == 0 else rows.get(job_id)["qt_result"] == 7
    else:
        assert told[0][0] is fallback
        assert told[1] == {job_id: "todo"}
        assert rows.get(job_id)["attempts"] == 1


# --------------------------------------------------------------------------------------------- rows that somebody holds


async def test_a_row_that_somebody_holds_holds_up_no_other(pen: Pen, rows: Rows, dsn: str) -> None:
    ids = rows.add(300)
    jobs = await pen.fetch(300)
    sizes: list[int] = []
    finish = pen.store.jobs.finish_jobs

    async def counted(batch: Sequence[Written]) -> Any:
        sizes.append(len(batch))
        return await finish(batch)

    pen.store.jobs.finish_jobs = counted  # type: ignore[method-assign]
    with psycopg.connect(dsn, application_name="tests.roles") as other:
        other.execute("select from procrastinate_jobs where id = any (%s) for update", [[ids[7], ids[250]]])
        for job in jobs:
            pen.finisher.put(job, outcome())
        await await_until(lambda: len(pen.statuses) == 298)
        # What is held may have been tried again by now, both at once.
        assert sizes[:2] == [300, 298], "one lock timeout, not one for each halving"
        assert set(pen.finisher.pending_ids) == {ids[7], ids[250]}
        (late,) = rows.add()
        pen.finisher.put((await pen.fetch(1))[0], outcome())
        await await_until(lambda: pen.statuses.get(late) == "succeeded")
        other.rollback()
    await pen.finisher.flush()
    assert rows.statuses() == {"succeeded": 301}
    assert set(pen.statuses.values()) == {"succeeded"}


async def test_a_locked_table_is_waited_for_without_trying_each_row(
    pen: Pen, rows: Rows, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows.add(64)
    jobs = await pen.fetch(64)
    with psycopg.connect(dsn, application_name="tests.roles") as other:
        other.execute("lock table procrastinate_jobs in access exclusive mode")
        for job in jobs:
            pen.finisher.put(job, outcome())
        await await_until(lambda: caplog.text.count("finish of 64 jobs failed") >= 2)
        other.rollback()
    await pen.finisher.flush()
    assert [len(batch) for batch in pen.batches] == [64]
    assert rows.statuses() == {"succeeded": 64}
