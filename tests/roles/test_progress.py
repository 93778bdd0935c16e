"""ProgressWriter and the context that feeds it: the newest wins, seldom, and only of jobs that are ours."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest

from queue_tasks.store import Store
from queue_tasks.worker import progress as module
from queue_tasks.worker.attempt import Attempt
from queue_tasks.worker.context import TaskContext
from queue_tasks.worker.progress import ProgressWriter
from tests.roles.parts import Rows, attempt_of, fetched
from tests.waiting import await_until


@pytest.fixture
async def writer(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProgressWriter]:
    monkeypatch.setattr(module, "EVERY", 0.05)
    writer = ProgressWriter(store.jobs)
    async with writer:
        yield writer


def told(rows: Rows, job_id: int) -> Any:
    return (rows.get(job_id)["qt_meta"] or {}).get("progress")


def note(done: float) -> dict[str, Any]:
    return {"done": done, "total": 10, "message": ""}


async def test_the_newest_of_each_job_is_written(store: Store, rows: Rows, writer: ProgressWriter) -> None:
    rows.add(3)
    jobs = await store.jobs.fetch_jobs(None, 3)
    for done in range(1, 6):
        for job in jobs:
            writer.note(job, note(done))
    await await_until(lambda: all(told(rows, job.id) == note(5) for job in jobs))


async def test_a_flood_from_many_threads_is_a_few_statements(store: Store, rows: Rows, writer: ProgressWriter) -> None:
    rows.add(4)
    jobs = await store.jobs.fetch_jobs(None, 4)
    writes = 0
    original = store.jobs.progress_jobs

    async def counted(notes: Any) -> Any:
        nonlocal writes
        writes += 1
        return await original(notes)

    store.jobs.progress_jobs = counted  # type: ignore[method-assign]

    def flood(job: Any) -> None:
        for done in range(20_000):
            writer.note(job, note(done))

    begun = time.monotonic()
    threads = [threading.Thread(target=flood, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    await await_until(lambda: all(told(rows, job.id) == note(19_999) for job in jobs))
    for thread in threads:
        thread.join()
    assert writes <= 2 + (time.monotonic() - begun) / module.EVERY


async def test_progress_of_a_job_given_to_another_changes_nothing(
    store: Store, rows: Rows, writer: ProgressWriter
) -> None:
    rows.add(2)
    mine, theirs = await store.jobs.fetch_jobs(None, 2)
    rows.db.execute("update procrastinate_jobs set qt_lease = qt_lease + 1 where id = %s", [theirs.id])
    writer.note(theirs, note(1))
    writer.note(mine, note(1))
    await await_until(lambda: told(rows, mine.id))
    assert told(rows, theirs.id) is None


@pytest.fixture
def _only_ascii(rows: Rows) -> Iterator[None]:
    """The database takes progress in ASCII only."""
    rows.db.execute(
        "create function tests_refuse() returns trigger language plpgsql as $$ begin "
        "raise exception 'refused by the test' using errcode = '22P05'; end $$"
    )
    rows.db.execute(
        "create trigger tests_refuse before update on procrastinate_jobs for each row "
        "when (new.qt_meta::text ~ '[^\\x01-\\x7f]') execute function tests_refuse()"
    )
    yield
    rows.db.execute("drop function tests_refuse cascade")


@pytest.mark.usefixtures("_only_ascii")
async def test_a_message_with_letters_that_the_database_cannot_hold_is_written_in_ascii(
    store: Store, rows: Rows, writer: ProgressWriter
) -> None:
    rows.add(2)
    plain, lettered = await store.jobs.fetch_jobs(None, 2)
    writer.note(plain, note(1))
    writer.note(lettered, {**note(1), "message": "Łódź"})
    await await_until(lambda: told(rows, plain.id) and told(rows, lettered.id))
    assert told(rows, plain.id) == note(1)
    assert told(rows, lettered.id) == {**note(1), "message": r"\u0141\xf3d\u017a"}


async def test_what_is_forgotten_is_not_written(store: Store, rows: Rows, writer: ProgressWriter) -> None:
    rows.add(2)
    kept, forgotten = await store.jobs.fetch_jobs(None, 2)
    writer.note(forgotten, note(1))
    writer.note(kept, note(1))
    writer.forget(forgotten.id)
    writer.forget(12345)
    await await_until(lambda: told(rows, kept.id))
    assert told(rows, forgotten.id) is None


async def test_a_note_after_the_loop_has_gone_is_dropped(store: Store) -> None:
    writer = ProgressWriter(store.jobs)
    loop = asyncio.new_event_loop()
    loop.close()
    writer._loop_of_notes = loop
    writer.note(fetched(), note(1))


# ------------------------------------------------------------------------------------------------------------- context


def context(notes: list[Any]) -> TaskContext:
    attempt: Attempt = attempt_of(fetched(), lambda job, progress: notes.append(progress))
    return TaskContext(task_result=None, run=attempt)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((1,), (1, None, "")),
        ((1, 4, "a quarter"), (1, 4, "a quarter")),
        ((0.5, 1.0), (0.5, 1.0, "")),
        ((Decimal("2.5"), True), (2.5, 1.0, "")),
        ((10**30, 2**60), (1e30, float(2**60), "")),
        ((1, None, "a\x00b\ud800"), (1, None, "a\\x00b\\ud800")),
        ((1, None, 17), (1, None, "17")),
    ],
)
def test_what_json_can_hold_is_told(given: tuple[Any, ...], kept: tuple[Any, ...]) -> None:
    notes: list[Any] = []
    context(notes).progress(*given)
    assert notes == [dict(zip(("done", "total", "message"), kept, strict=True))]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 10**400, "many", None, [], 1j, Decimal("NaN")]
)
@pytest.mark.parametrize("where", ["done", "total"])
def test_what_is_no_finite_number_is_refused_where_it_is_told(where: str, value: Any) -> None:
    if where == "total" and value is None:
        return
    arguments: dict[str, Any] = {"done": 1, "total": 2, where: value}
    with pytest.raises(ValueError, match=rf"progress\({where}="):
        context([]).progress(**arguments)


def test_a_long_message_is_cut() -> None:
    notes: list[Any] = []
    context(notes).progress(1, message="x" * 10_000)
    assert len(notes[0]["message"]) < 1_100
