"""Listener: hears, whatever is said, and hears again after its connection was lost."""

import json
from typing import Any, Self

import psycopg
import pytest

from queue_tasks.conf import Options
from queue_tasks.store import Store
from queue_tasks.worker.listener import ANY_QUEUE, ONE_QUEUE, SCHEDULED, Errand, Listener, channels_of
from tests.roles.parts import NOOP, Calls, Rows
from tests.waiting import await_until

SESSION = "queue_tasks listen"

HOSTILE_PAYLOADS = [
    "",
    "garbage",
    "null",
    "[]",
    "17",
    '"abort"',
    "abort_job_requested",
    '["abort_job_requested"]',
    '{"type": "abort_job_requested"',
    '{"type": ["abort_job_requested"]}',
    '{"type": {"abort_job_requested": 1}, "job_id": "x"}',
    '{"abort": ' + "[" * 3900 + "]" * 3900 + "}",
    '{"abort": ' + "9" * 7900 + "}",
    "x" * 7999,
    "abort \\ud800 \\u0000 '; drop table procrastinate_jobs; --",
]


class Ears:
    """A listener and what it passes on."""

    def __init__(
        self, options: Options, queues: list[str] | None = None, worker_id: int = 7, errand: Errand | None = None
    ) -> None:
        self.ready, self.scheduled, self.abort, self.listening = Calls(), Calls(), Calls(), Calls()
        self.schedules = Calls()
        self.listener = Listener(
            options,
            worker_id,
            queues,
            on_ready=self.ready,
            on_scheduled=self.scheduled,
            on_schedules=self.schedules,
            on_abort=self.abort,
            on_listening=self.listening,
            errand=errand,
        )

    async def __aenter__(self) -> Self:
        await self.listener.__aenter__()
        await await_until(lambda: self.listening)
        self.forget()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listener.stop()

    def forget(self) -> None:
        for calls in (self.ready, self.scheduled, self.schedules, self.abort):
            calls.all.clear()


async def test_it_hears_of_a_new_job_and_of_nothing_else(rows: Rows, options: Options) -> None:
    async with Ears(options) as ears:
        rows.add()
        await await_until(lambda: ears.ready)
        assert not ears.abort
        assert not ears.scheduled


async def test_it_hears_of_a_changed_schedule_and_not_of_its_ticks(rows: Rows, options: Options) -> None:
    async with Ears(options) as ears:
        rows.db.execute(
            "insert into queue_tasks_schedules (name, task_name, queue_name, args, cron, timezone, missed, overlap) "
            "values ('s', 't', 'q', '{}', '@daily', 'UTC', 'skip', 'skip')"
        )
        await await_until(lambda: ears.schedules)
        ears.forget()
        rows.db.execute("update queue_tasks_schedules set last_tick = now(), next_tick = now()")
        rows.db.execute("update queue_tasks_schedules set revision = revision + 1")
        await await_until(lambda: ears.schedules)
        assert len(ears.schedules) == 1
        assert not ears.ready


async def test_it_hears_of_a_scheduled_job(rows: Rows, options: Options) -> None:
    async with Ears(options) as ears:
        rows.due_in(1, 60)
        await await_until(lambda: ears.scheduled)
        assert not ears.ready


async def test_it_hears_of_an_abort_and_passes_on_no_id(rows: Rows, options: Options) -> None:
    async with Ears(options) as ears:
        rows.db.execute("select pg_notify(%s, %s)", [ANY_QUEUE, '{"type": "abort_job_requested", "job_id": 5}'])
        await await_until(lambda: ears.abort)
        assert ears.abort.all == [()]


async def test_one_of_some_queues_does_not_hear_of_the_others(rows: Rows, options: Options) -> None:
    async with Ears(options, ["mine"]) as ears:
        rows.add(queue_name="other")
        rows.add(queue_name="mine")
        await await_until(lambda: ears.ready)
        assert len(ears.ready) == 1


async def test_it_hears_again_after_its_backend_was_terminated(rows: Rows, options: Options, failures: list) -> None:
    async with Ears(options) as ears:
        assert len(rows.terminate(SESSION)) == 1
        await await_until(lambda: len(ears.listening) == 2)
        # What was said while it was deaf is found by looking.
        assert all((ears.ready, ears.scheduled, ears.abort))
        ears.forget()
        rows.add()
        await await_until(lambda: ears.ready)
    assert [failure.service for failure in failures] == ["listener"]


async def test_it_holds_the_worker_s_lock_and_holds_it_again_after_a_reconnection(rows: Rows, options: Options) -> None:
    (worker,) = rows.db.execute("insert into procrastinate_workers default values returning id").fetchone().values()

    def holders() -> list[int]:
        found = rows.db.execute(
            "select pid from pg_locks where locktype = 'advisory' and granted and "
            "(classid::bigint << 32 | objid::bigint) = queue_tasks_worker_lock_v1(%s) "
            "and database = (select oid from pg_database where datname = current_database())",
            [worker],
        )
        return [row["pid"] for row in found]

    async with Ears(options, worker_id=worker) as ears:
        assert holders() == rows.sessions(SESSION)
        rows.terminate(SESSION)
        await await_until(lambda: len(ears.listening) == 2)
        assert len(holders()) == 1
    await await_until(lambda: not holders())


async def test_a_burst_of_equal_notifications_is_heard_and_survived(
    rows: Rows, options: Options, failures: list
) -> None:
    async with Ears(options) as ears:
        rows.db.execute(
            "select pg_notify('queue_tasks_scheduled', n::text), pg_notify(%s, n::text) "
            "from generate_series(1, 20000) n",
            [ANY_QUEUE],
        )
        await await_until(lambda: len(ears.ready) == len(ears.scheduled) == 20_000)
    assert not failures


@pytest.mark.parametrize("payload", HOSTILE_PAYLOADS)
async def test_a_hostile_payload_is_a_hint_to_look_and_nothing_more(
    rows: Rows, options: Options, failures: list, payload: str
) -> None:
    (job,) = rows.add(status="doing")
    async with Ears(options) as ears:
        rows.db.execute("select pg_notify(%s, %s)", [ANY_QUEUE, payload])
        rows.db.execute("select pg_notify(%s, %s)", [SCHEDULED, payload])
        await await_until(lambda: ears.ready and ears.scheduled)
        assert not ears.abort
    assert not failures
    assert rows.get(job)["status"] == "doing"


class Asked:
    """An errand that is always due; what it was answered."""

    due_in = 0.0

    def __init__(self, worker_id: int) -> None:
        self.worker_id = worker_id
        self.heed = Calls()

    def question(self) -> dict[str, Any]:
        return {"worker_id": self.worker_id, "queues": None, "memory": 1, "dead_after": 30, "silent_after": 3}


async def test_its_question_is_the_sign_of_life_of_one_that_has_nothing_to_do(
    store: Store, rows: Rows, options: Options
) -> None:
    rows.db.execute("update procrastinate_workers set last_heartbeat = now() - interval '1 hour'")
    asked = Asked(store.worker_id)
    async with Ears(options, errand=asked):
        await await_until(lambda: asked.heed)
        (beat,) = rows.db.execute(
            "select now() - last_heartbeat < interval '1 minute' as lately from procrastinate_workers"
        )
        assert beat["lately"]
        rows.db.execute("set session_replication_role = replica")  # nobody is told
        rows.add()
        await await_until(lambda: asked.heed.all[-1][1].ready)
        rows.db.execute("delete from procrastinate_workers")
        await await_until(lambda: asked.heed.all[-1] == (store.worker_id, None))


async def test_a_question_that_is_refused_leaves_it_its_ears(
    store: Store, rows: Rows, options: Options, dsn: str, failures: list
) -> None:
    asked = Asked(store.worker_id)
    with psycopg.connect(dsn, application_name="tests.roles") as other:
        other.execute("select from procrastinate_workers for update")
        async with Ears(options, errand=asked) as ears:
            pids = rows.sessions(SESSION)
            await await_until(lambda: rows.waits_for_lock(SESSION))
            await await_until(lambda: not rows.waits_for_lock(SESSION))
            rows.add()
            await await_until(lambda: ears.ready)
            # It is not asked again and again.
            await await_until(lambda: ears.listener._errand_in is None)
            assert not asked.heed
            assert rows.sessions(SESSION) == pids
    assert failures == []


def test_all_queues_are_one_channel() -> None:
    assert channels_of(None) == [ANY_QUEUE, SCHEDULED]


def test_each_queue_has_a_channel() -> None:
    assert channels_of(["a", "b"]) == [ONE_QUEUE + "a", ONE_QUEUE + "b", SCHEDULED]


@pytest.mark.parametrize(("name", "fits"), [("q" * 40, True), ("q" * 41, False), ("é" * 20, True), ("é" * 21, False)])
def test_a_name_too_long_for_a_channel_is_heard_on_that_of_all(name: str, fits: bool) -> None:
    own = [ONE_QUEUE + "a", ONE_QUEUE + name, SCHEDULED]
    assert channels_of(["a", name]) == (own if fits else [ANY_QUEUE, SCHEDULED])


@pytest.mark.parametrize("name", ["q" * 40, "é" * 128, 'quo"te; drop', "%s %(x)s {}", "back\\slash", "ünï 🙂", " "])
async def test_a_job_is_heard_of_whatever_its_queue_is_called(rows: Rows, options: Options, name: str) -> None:
    async with Ears(options, [name]) as ears:
        rows.add(queue_name=name, task_name=NOOP, args=json.dumps({"args": [], "kwargs": {}}))
        await await_until(lambda: ears.ready)
