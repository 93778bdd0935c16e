"""Stock procrastinate on our tables: its worker, its ways to defer, its commands and its admin do what they did.

The waits between polls are a minute wherever a notification must do it: a test that would wait for a poll fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import procrastinate
import pytest
from procrastinate import builtin_tasks, exceptions
from procrastinate.jobs import Status

from tests.postgres import PROJECT
from tests.sql.session import Session, manage
from tests.waiting import PATIENCE, await_until

NO_POLLING: dict[str, Any] = {"fetch_job_polling_interval": 60, "abort_job_polling_interval": 60}


@pytest.fixture
async def app(migrated_database: str) -> AsyncIterator[procrastinate.App]:
    connector = procrastinate.PsycopgConnector(conninfo=migrated_database, min_size=1, max_size=4)
    with own_tasks_given_back():
        async with procrastinate.App(connector=connector).open_async() as found:
            yield found


@contextmanager
def own_tasks_given_back() -> Iterator[None]:
    """A new app takes procrastinate's own tasks for itself, from Django's: here it gives them back."""
    builtin = builtin_tasks.builtin
    tasks = builtin.tasks
    owned = [(task, task.name, task.blueprint, list(task.aliases)) for task in set(tasks.values())]
    try:
        yield
    finally:
        builtin.tasks = tasks
        for task, name, blueprint, aliases in owned:
            task.name, task.blueprint, task.aliases = name, blueprint, aliases


@pytest.fixture
def look(migrated_database: str) -> Iterator[Session]:
    session = Session(migrated_database)
    yield session
    session.close()


async def work(app: procrastinate.App, **options: Any) -> None:
    """Run what is there, as `procrastinate worker --one-shot`."""
    await app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False, **options)


class Rest:
    """Tells when the stock worker waits for a notification: it loses one that comes while it fetches."""

    def __init__(self, app: procrastinate.App) -> None:
        self._fetch = app.job_manager.fetch_job
        self._resting = asyncio.Event()
        app.job_manager.fetch_job = self._watched  # type: ignore[method-assign,assignment]

    async def _watched(self, **arguments: Any) -> Any:
        self._resting.clear()
        job = await self._fetch(**arguments)
        if job is None:
            # What it does next, up to its wait, it does without giving way to anybody.
            self._resting.set()
        return job

    async def begun(self) -> None:
        await asyncio.wait_for(self._resting.wait(), PATIENCE)


@asynccontextmanager
async def working(app: procrastinate.App, look: Session, **options: Any) -> AsyncIterator[Rest]:
    """A stock worker that runs beside the test and never polls; yielded when it listens and waits."""
    rest = Rest(app)
    task = asyncio.create_task(app.run_worker_async(install_signal_handlers=False, **(NO_POLLING | options)))
    try:
        # It listens once it has looked for jobs: the connection that listens is its own.
        await await_until(
            lambda: look.value(
                "select count(*) from pg_stat_activity where datname = current_database() and query like 'LISTEN%'"
            )
        )
        await rest.begun()
        yield rest
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_deferred_job_runs_and_tells_its_story(app, look):
    ran = []

    @app.task(name="t")
    async def task(a):
        ran.append(a)

    job = await task.defer_async(a=1)
    await work(app)
    assert ran == [1]
    assert look.row(job, "status::text", "attempts") == ("succeeded", 1)
    assert look.events(job) == ["deferred", "started", "succeeded"]
    assert await app.job_manager.get_job_status_async(job) == Status.SUCCEEDED


async def test_many_jobs_in_order_of_priority(app):
    ran = []

    @app.task(name="t")
    async def task(n):
        ran.append(n)

    await app.configure_task("t").batch_defer_async(*({"n": n} for n in range(20)))
    await app.configure_task("t", priority=5).defer_async(n=99)
    await work(app)
    assert ran == [99, *range(20)]


async def test_sync_tasks_and_sync_defer(app, migrated_database):
    ran = []

    @app.task(name="t")
    def task(n):
        ran.append(n)

    with (
        app.replace_connector(procrastinate.SyncPsycopgConnector(conninfo=migrated_database)) as sync_app,
        sync_app.open(),
    ):
        sync_app.configure_task("t").defer(n=1)
    await work(app)
    assert ran == [1]


async def until_succeeded(look: Session, job: int) -> None:
    await await_until(lambda: look.row(job, "status::text") == "succeeded", message=f"job {job} has not succeeded")


async def test_a_notification_wakes_the_worker(app, look):
    @app.task(name="t", queue="q")
    async def task():
        pass

    async with working(app, look, queues=["q"]):
        await until_succeeded(look, await task.defer_async())


async def test_a_retry_wakes_the_worker_which_upstream_never_did(app, look):
    @app.task(name="t", retry=procrastinate.RetryStrategy(max_attempts=3), pass_context=True)
    async def task(context):
        if context.job.attempts == 0:
            await rest.begun()
            raise ValueError

    async with working(app, look, concurrency=5) as rest:
        await until_succeeded(look, await task.defer_async())
    assert "deferred_for_retry" in look.column("select type::text from procrastinate_events")


async def test_a_released_lock_wakes_the_worker_which_upstream_never_did(app, look):
    ran: list[int] = []

    @app.task(name="t")
    async def task(number):
        if not ran:
            await rest.begun()
        ran.append(number)

    async with working(app, look, concurrency=5) as rest:
        jobs = await task.configure(lock="one").batch_defer_async({"number": 1}, {"number": 2})
        for job in jobs:
            await until_succeeded(look, job)
    assert ran == [1, 2]


async def test_jobs_of_one_lock_run_one_by_one_in_order(app):
    running: list[int] = []
    order: list[int] = []

    @app.task(name="t", lock="one")
    async def task(n):
        assert running == []
        running.append(n)
        await asyncio.sleep(0)
        running.remove(n)
        order.append(n)

    for n in range(10):
        await task.defer_async(n=n)
    # A one-shot worker leaves when its fetch finds the lock held; upstream's waits for no release.
    for _ in range(10):
        await work(app, concurrency=5)
    assert order == list(range(10))


async def test_a_job_of_which_the_time_has_come_is_fetched_as_before(app, look):
    @app.task(name="t")
    async def task():
        pass

    past = await task.configure(schedule_in={"seconds": -5}).defer_async()
    future = await task.configure(schedule_in={"hours": 1}).defer_async()
    await work(app)
    assert look.row(past, "status::text") == "succeeded"
    assert look.row(future, "status::text") == "todo"
    assert look.events(future) == ["scheduled", "deferred"]


async def test_a_parked_job_is_left_alone(app, look):
    @app.task(name="t")
    async def task():
        pass

    job = await task.defer_async()
    look.rows("update procrastinate_jobs set scheduled_at = queue_tasks_parked_until_v1()")
    await work(app)
    assert look.row(job, "status::text") == "todo"


async def test_a_queueing_lock_is_refused_by_its_name(app, look):
    @app.task(name="t", queueing_lock="one")
    async def task():
        pass

    await task.defer_async()
    with pytest.raises(exceptions.AlreadyEnqueued):
        await task.defer_async()
    await work(app)
    await task.defer_async()
    assert sorted(look.statuses().values()) == ["succeeded", "todo"]


async def test_periodic_tasks(app, look):
    @app.periodic(cron="* * * * * */1")
    @app.task(name="t", pass_context=False)
    async def task(timestamp):
        pass

    async with working(app, look, fetch_job_polling_interval=1):
        await await_until(lambda: look.value("select count(*) from procrastinate_jobs where status = 'succeeded'") >= 2)
    assert look.value("select count(*) from procrastinate_periodic_defers") == 1
    stamps = look.column("select args ->> 'timestamp' from procrastinate_jobs")
    assert len(set(stamps)) == len(stamps)


async def test_cancel(app, look):
    @app.task(name="t")
    async def task():
        pass

    job, gone = await task.defer_async(), await task.defer_async()
    assert await app.job_manager.cancel_job_by_id_async(job)
    assert await app.job_manager.cancel_job_by_id_async(gone, delete_job=True)
    assert look.statuses() == {job: "cancelled"}
    assert not await app.job_manager.cancel_job_by_id_async(job)


@pytest.mark.parametrize("queues", [None, ["q"]])
async def test_an_abort_reaches_the_worker_by_notification(app, look, queues):
    @app.task(name="t", queue="q")
    async def task():
        await asyncio.Event().wait()

    async with working(app, look, queues=queues, fetch_job_polling_interval=1):
        job = await task.defer_async()
        await await_until(lambda: look.row(job, "status::text") == "doing")
        assert await app.job_manager.cancel_job_by_id_async(job, abort=True)
        await await_until(lambda: look.row(job, "status::text") == "aborted")
    assert look.events(job) == ["deferred", "started", "abort_requested", "aborted"]


@pytest.mark.parametrize(
    ("mode", "left"), [("always", []), ("successful", ["failed"]), ("never", ["failed", "succeeded"])]
)
async def test_jobs_deleted_when_they_end(app, look, mode, left):
    @app.task(name="t")
    async def task(fail):
        if fail:
            raise ValueError

    await task.defer_async(fail=False)
    await task.defer_async(fail=True)
    await work(app, delete_jobs=mode)
    assert sorted(look.statuses().values()) == left
    assert look.value("select count(distinct job_id) from procrastinate_events") == len(left)


async def test_old_jobs_are_deleted(app, look):
    @app.task(name="t")
    async def task():
        pass

    old, new = await task.defer_async(), await task.defer_async()
    await work(app)
    waiting = await task.defer_async()
    look.rows("update procrastinate_events set at = at - interval '3 hours' where job_id <> %s", new)
    await app.job_manager.delete_old_jobs(nb_hours=2)
    assert sorted(look.statuses()) == [new, waiting]
    assert look.value("select count(*) from procrastinate_events where job_id = %s", old) == 0


async def test_the_lists(app):
    @app.task(name="t", queue="q", lock="l")
    async def task():
        pass

    first, _ = await task.defer_async(), await task.defer_async()
    manager = app.job_manager
    assert [job.id for job in await manager.list_jobs_async(status="todo")] == [first, first + 1]
    (queue,) = await manager.list_queues_async()
    assert (queue["name"], queue["jobs_count"], queue["todo"]) == ("q", 2, 2)
    assert [row["name"] for row in await manager.list_tasks_async()] == ["t"]
    assert [row["name"] for row in await manager.list_locks_async()] == ["l"]


async def test_stalled_jobs_are_found_and_their_workers_pruned(app, look):
    @app.task(name="t")
    async def task():
        pass

    job = await task.defer_async()
    manager = app.job_manager
    worker = await manager.register_worker()
    fetched = await manager.fetch_job(queues=None, worker_id=worker)
    assert fetched is not None
    assert list(await manager.get_stalled_jobs()) == []
    look.rows("update procrastinate_workers set last_heartbeat = now() - interval '1 hour'")
    assert [stalled.id for stalled in await manager.get_stalled_jobs()] == [job]
    assert await manager.prune_stalled_workers(30) == [worker]
    assert look.row(job, "worker_id") is None
    assert [stalled.id for stalled in await manager.get_stalled_jobs()] == [job]
    await manager.retry_job(fetched)
    await work(app)
    assert look.row(job, "status::text", "attempts") == ("succeeded", 2)


async def test_two_stock_workers_share_the_work(app, look):
    ran: list[int] = []

    @app.task(name="t")
    async def task(n):
        ran.append(n)

    await task.configure().batch_defer_async(*({"n": n} for n in range(60)))
    await asyncio.gather(work(app, concurrency=3), work(app, concurrency=3))
    assert sorted(ran) == list(range(60))
    assert set(look.statuses().values()) == {"succeeded"}


# --------------------------------------------------------------------------------------- its commands, beside our tasks


def test_its_commands_and_our_tasks(migrated_database, look):
    """A stock worker runs a job of ours by its stand-in; it keeps no result, since only our worker does."""
    job = look.value("select queue_tasks_enqueue_v1('tests.testapp.tasks.add', args => '[1]', kwargs => '{\"b\": 2}')")
    assert "OK" in manage(migrated_database, "procrastinate", "healthchecks")
    manage(
        migrated_database, "procrastinate", "defer", "tests.testapp.tasks.echo", json.dumps({"args": [1], "kwargs": {}})
    )
    manage(migrated_database, "procrastinate", "worker", "--one-shot", "--queues=default")
    assert look.statuses() == {job: "succeeded", job + 1: "succeeded"}
    assert look.row(job, "qt_result") is None
    assert look.value("select count(*) from procrastinate_workers") == 0


# ------------------------------------------------------------------------------------------------------------ its admin


def test_its_admin_shows_and_changes_jobs(migrated_database, look):
    look.job(status="failed", qt_result='{"a": 1}', qt_errors="[]")
    look.jobs(5, lock="a", queueing_lock=None)
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.stock_admin"],
        cwd=PROJECT,
        env={**os.environ, "DATABASE_URL": migrated_database},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {status for status in found.values() if status} == {200}
    assert [key for key, status in found.items() if not status] == [
        "retry -> todo",
        "cancel -> cancelled",
        "abort -> cancelled",
    ]
