"""Control of queues and workers from Python, the commands, and what running workers make of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from queue_tasks import compat, control, enqueue_many, events, explain
from queue_tasks.conf import Options
from queue_tasks.exceptions import ControlInvalid, JobNotFound
from queue_tasks.explain import Why
from queue_tasks.metrics import exposition, of_queues
from queue_tasks.overview import QueueControl, list_controls, list_workers
from queue_tasks.testing import drain
from tests.aliases import alias
from tests.testapp import tasks
from tests.waiting import PATIENCE, wait_until
from tests.workers import drain as run_worker
from tests.workers import running_worker

pytestmark = pytest.mark.django_db

MEDIA = tasks.noop.using(queue_name="media")


NOT_OURS = "another backend"


def tasks_setting(entries: dict[str, str]) -> dict[str, Any]:
    """TASKS with these entries of ours, each with the database its jobs live in, or of another backend."""
    ours = {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": []}
    other = {"BACKEND": f"{compat.FRAMEWORK}.backends.dummy.DummyBackend"}
    return {
        name: other if home == NOT_OURS else {**ours, "OPTIONS": {"database": home}} for name, home in entries.items()
    }


def queue(*words: Any) -> str:
    out = StringIO()
    call_command("queue", *map(str, words), stdout=out, stderr=StringIO(), no_color=True)
    return out.getvalue()


def gate(name: str = "media") -> QueueControl | None:
    return list_controls().get(name)


# ------------------------------------------------------------------------------------------------------------ from code


def test_a_queue_without_jobs_is_paused_limited_and_open_again() -> None:
    control.pause_queue("media", by="ada")
    control.limit_queue("media", 3)
    found = gate()
    assert found is not None
    assert (found.paused, found.paused_until, found.paused_by, found.concurrency) == (True, None, "ada", 3)
    assert control.resume_queue("media")
    assert not control.resume_queue("media")
    control.limit_queue("media", None)
    assert gate() is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "entries",
    [
        {"default": "jobs"},
        {"other": "jobs"},
        {"other": "default", "default": "jobs"},
        {"default": NOT_OURS, "other": "jobs"},
    ],
)
def test_it_acts_where_the_jobs_live(settings: Any, entries: dict[str, str]) -> None:
    settings.TASKS = tasks_setting(entries)
    told: list[events.QueuePaused] = []
    unsubscribe = events.subscribe(events.QueuePaused, told.append)
    with alias("jobs"), CaptureQueriesContext(connections["default"]) as elsewhere:
        control.pause_queue("media")
        control.resume_queue("media")
        control.limit_queue("media", None)
        assert (control.cancel([1]), control.abort([1]), control.retry([1]), control.delete([1])) == ([], {}, [], [])
        assert (control.count_expired(), control.prune(), control.stop_worker(1)) == (0, 0, False)
        with pytest.raises(JobNotFound):
            control.retry_job(1)
    unsubscribe()
    assert list(elsewhere) == []
    assert [event.database for event in told] == ["jobs"]


@pytest.mark.parametrize("entries", [{"default": NOT_OURS}, {"one": "jobs", "two": "jobs"}])
def test_where_nothing_says_where_the_jobs_live_it_acts_on_djangos_default(
    settings: Any, entries: dict[str, str]
) -> None:
    settings.TASKS = tasks_setting(entries)
    with alias("jobs"):
        control.pause_queue("media")
    assert gate() is not None


@pytest.mark.parametrize("until", [timedelta(hours=1), timezone.now() + timedelta(hours=1)])
def test_a_pause_has_an_end(until: timedelta | datetime) -> None:
    control.pause_queue("media")
    control.pause_queue("media", until)
    found = gate()
    assert found is not None
    assert found.paused_until is not None
    assert found.resumes_in is not None
    assert 3000 < found.resumes_in <= 3600


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: control.pause_queue(""), "1 to 128 characters"),
        (lambda: control.pause_queue("n" * 129), "1 to 128 characters"),
        (lambda: control.resume_queue("a\x00"), "without NUL"),
        (lambda: control.pause_queue("media", datetime(2030, 1, 1)), "a naive time"),  # noqa: DTZ001 - that it is
        (lambda: control.pause_queue("media", timedelta(0)), "over by the database's clock"),
        (lambda: control.pause_queue("media", datetime(2020, 1, 1, tzinfo=UTC)), "2020-01-01 00:00:00 UTC"),
        (lambda: control.limit_queue("media", 0), "pause the queue"),
        (lambda: control.limit_queue("media", 2**31), "whole number"),
        (lambda: control.limit_queue("media", True), "whole number"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_changed(act: Callable[[], object], told: str) -> None:
    with pytest.raises(ControlInvalid, match=told):
        act()
    assert list_controls() == {}


@pytest.mark.django_db(transaction=True)
def test_from_async_code() -> None:
    async def act() -> None:
        await control.apause_queue("media", timedelta(hours=1), by="ada")
        await control.alimit_queue("mail", 2)
        assert await control.aresume_queue("media")
        assert not await control.aquiet_worker(999)
        assert not await control.aresume_worker(999)
        assert not await control.astop_worker(999)

    asyncio.run(act())
    assert list(list_controls()) == ["mail"]


@pytest.mark.django_db(transaction=True)
def test_a_change_that_is_rolled_back_was_none() -> None:
    with transaction.atomic():
        control.pause_queue("media")
        transaction.set_rollback(True)
    assert list_controls() == {}


def test_the_drain_of_tests_obeys() -> None:
    control.pause_queue("media")
    held, other = MEDIA.enqueue(), tasks.noop.enqueue()
    drain()
    held.refresh()
    other.refresh()
    assert (held.is_finished, other.is_finished) == (False, True)
    control.resume_queue("media")
    control.limit_queue("media", 1)
    MEDIA.enqueue()
    assert len(drain()) == 2


# --------------------------------------------------------------------------------------------------------- the commands


def test_queues_are_paused_limited_and_shown_by_the_command() -> None:
    assert queue("pause", "media") == "queue media: paused until it is resumed; what runs goes on\n"
    assert queue("pause", "mail", "--until", "30m") == "queue mail: paused for 30 m 0 s; what runs goes on\n"
    assert "paused until 2999-01-31 06:00:00" in queue("pause", "late", "--until", "2999-01-31T06:00")
    assert queue("limit", "media", 3).startswith("queue media: at most 3 of its jobs run at once")
    lines = {line.split()[0]: line for line in queue("queues").splitlines()}
    assert lines["media"].endswith("paused, limit 3")
    assert "paused for 29 m" in lines["mail"] or "paused for 30 m" in lines["mail"]
    assert '"paused": true' in queue("queues", "--json")
    assert queue("resume", "media") == "queue media: resumed\n"
    assert queue("limit", "media", "none") == "queue media: no limit\n"
    with pytest.raises(CommandError, match="queue media is not paused"):
        queue("resume", "media")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pause", "media", "--until", "soon"], "'soon' is neither a number and a unit"),
        (["pause", "media", "--until", "2030-13-45T00:00"], "is neither"),
        (["pause", "media", "--until", "0s"], "over by the database's clock"),
        (["pause", "media", "--until", "999999999w"], "is neither"),
        (["limit", "media", "0"], "'0' is not a whole number"),
        (["pause", "m" * 200], "1 to 128 characters"),
    ],
)
def test_wrong_usage_of_the_command_is_said(words: list[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        queue(*words)
    assert list_controls() == {}


def test_workers_that_cannot_be_told() -> None:
    with connection.cursor() as cursor:
        cursor.execute("insert into procrastinate_workers default values returning id")
        (stock,) = cursor.fetchone()
        cursor.execute("insert into procrastinate_workers (qt_name) values ('w') returning id")
        (ours,) = cursor.fetchone()
    assert "told to fetch nothing more" in queue("quiet", ours)
    assert "quiet" in queue("workers")
    assert "told to fetch again" in queue("quiet", ours, "--undo")
    assert "told to stop" in queue("stop", ours)
    assert "stopping" in queue("workers")
    with pytest.raises(CommandError, match=f"worker {ours} was not told: it is stopping already"):
        queue("quiet", ours)
    with pytest.raises(CommandError, match=f"worker {stock} was not told: it is a stock procrastinate worker"):
        queue("stop", stock)
    with pytest.raises(CommandError, match="worker 999 was not told: there is none"):
        queue("quiet", 999)


# ---------------------------------------------------------------------------------------------- why a job does not run


def test_a_job_of_a_paused_queue_says_so() -> None:
    control.pause_queue("media", by="ada")
    result = MEDIA.enqueue()
    found = explain(result.id).reasons[0]
    assert (found.why, found.text) == (Why.PAUSED, 'Its queue "media" is paused until it is resumed, by ada.')
    control.pause_queue("media", timedelta(hours=2))
    assert "is paused until 2" in queue("explain", result.id)
    assert "for 1 h 59 m more." in queue("explain", result.id) or "for 2 h 0 m more." in queue("explain", result.id)


def test_a_job_of_a_queue_at_its_limit_says_who_runs() -> None:
    control.limit_queue("media", 2)
    first, second, third = (int(MEDIA.enqueue().id) for _ in range(3))
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into procrastinate_workers (qt_name, qt_concurrency) values ('w', 9) returning id",
        )
        (worker,) = cursor.fetchone()
        cursor.execute("select from queue_tasks_fetch_jobs_v1(%s, null, 5)", [worker])
    found = explain(third).reasons
    assert [(reason.why, reason.job_id) for reason in found] == [(Why.LIMITED, first)]
    assert found[0].text == f'The limit of 2 of its queue "media" is reached: 2 run ({first}, {second}).'
    control.quiet_worker(worker)
    assert [reason.why for reason in explain(third).reasons] == [Why.LIMITED, Why.QUIET]


def test_the_metrics_tell_of_pauses_and_limits() -> None:
    control.pause_queue("media")
    control.limit_queue("mail", 4)
    tasks.noop.enqueue()
    text = exposition(of_queues(Options())).decode()
    assert 'queue_tasks_queue_paused{queue="media"} 1.0' in text
    assert 'queue_tasks_queue_paused{queue="mail"} 0.0' in text
    assert 'queue_tasks_queue_paused{queue="default"} 0.0' in text
    assert 'queue_tasks_queue_limit{queue="mail"} 4.0' in text
    assert 'queue_tasks_queue_limit{queue="media"}' not in text


# ------------------------------------------------------------------------------------------------------ running workers


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "how", [{"poll_interval": 600}, {"listen": False, "poll_interval": 0.1}], ids=["told", "polls"]
)
def test_a_running_worker_obeys(how: dict[str, Any]) -> None:
    with running_worker(**how):
        control.pause_queue("media", timedelta(seconds=1))
        held = tasks.noop.using(queue_name="media", priority=50).enqueue()
        tasks.noop.enqueue().wait(PATIENCE)
        held.refresh()
        assert not held.is_finished or gate() is None, "while it is paused nothing of it runs"
        held.wait(PATIENCE)
        control.pause_queue("media")
        held = tasks.noop.using(queue_name="media", priority=50).enqueue()
        tasks.noop.enqueue().wait(PATIENCE)
        held.refresh()
        assert not held.is_finished
        control.resume_queue("media")
        held.wait(PATIENCE)


@pytest.mark.django_db(transaction=True)
def test_a_limited_queue_is_worked_to_its_end_without_polls_or_notifications() -> None:
    """A worker that does not listen is woken by the end of its own jobs."""
    control.limit_queue("media", 1)
    with running_worker(listen=False, poll_interval=600):
        tasks.noop.enqueue()
    results = enqueue_many([MEDIA.bind() for _ in range(20)])
    with running_worker(listen=False, poll_interval=600):
        for result in results:
            result.wait(PATIENCE)


@pytest.mark.django_db(transaction=True)
def test_nobody_spins_over_a_paused_queue_full_of_jobs() -> None:
    control.pause_queue("media")
    enqueue_many([tasks.noop.using(queue_name="media", priority=50).bind() for _ in range(2000)])
    with running_worker(poll_interval=600) as worker:
        tasks.noop.enqueue().wait(PATIENCE)
        before = worker.meter.fetches.count
        for _ in range(20):
            tasks.noop.enqueue().wait(PATIENCE)
        # One look that takes the job, one that finds no more; whoever spins looks as often as the database answers.
        assert worker.meter.fetches.count - before <= 20 * 4


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_drains_leaves_what_is_paused_and_ends() -> None:
    control.pause_queue("media")
    control.limit_queue("mail", 1)
    held = MEDIA.enqueue()
    results = enqueue_many([tasks.noop.using(queue_name="mail").bind() for _ in range(5)])
    assert run_worker().tally.succeeded == 5
    held.refresh()
    for result in results:
        result.refresh()
    assert (held.is_finished, all(result.is_finished for result in results)) == (False, True)


@pytest.mark.django_db(transaction=True)
def test_a_quiet_worker_stays_quiet_when_it_was_taken_for_dead() -> None:
    with running_worker(poll_interval=600, heartbeat=0.3, dead_after=20) as worker:
        first = worker.worker_id
        assert control.quiet_worker(first)
        wait_until(lambda: worker.crew.fetcher.hushed)
        with connection.cursor() as cursor:
            cursor.execute("delete from procrastinate_workers")
        wait_until(lambda: worker.worker_id != first)
        wait_until(lambda: [line.told for line in list_workers()] == ["quiet"])
        result = tasks.noop.enqueue()
        assert control.resume_worker(worker.worker_id)
        result.wait(PATIENCE)


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_does_not_listen_obeys_at_its_next_heartbeat() -> None:
    with running_worker(listen=False, poll_interval=0.1, heartbeat=0.2, dead_after=20) as worker:
        assert control.quiet_worker(worker.worker_id)
        wait_until(lambda: worker.crew.fetcher.hushed)
        result = tasks.noop.enqueue()
        assert control.resume_worker(worker.worker_id)
        result.wait(PATIENCE)
        assert control.stop_worker(worker.worker_id)
        wait_until(lambda: worker.stopping)
    assert worker.recycled == "an operator told it to stop"
