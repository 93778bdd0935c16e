"""The functions of schedules by SQL: one tick makes one job, whoever fires, also in the same moment; edits win."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.sql.session import Session
from tests.waiting import PATIENCE, wait_for_lock

Open = Callable[[str], Session]
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def row(name: str = "s", **values: Any) -> dict[str, Any]:
    return {
        "name": name,
        "task_name": "t",
        "queue_name": "q",
        "priority": 0,
        "lock": None,
        "args": {"args": [], "kwargs": {}},
        "ephemeral": False,
        "cron": "@hourly",
        "every": None,
        "timezone": "UTC",
        "missed": "all",
        "max_missed": 10,
        "overlap": "allow",
        "jitter": 0,
        **values,
    }


def sync(session: Session, *rows: dict[str, Any]) -> list[tuple[Any, ...]]:
    return session.rows("select name, change from queue_tasks_sync_schedules_v1(%s)", json.dumps(rows))


def seen_until(session: Session, tick: datetime = NOON) -> None:
    session.rows("update queue_tasks_schedules set last_tick = %s, next_tick = %s", tick, tick + timedelta(hours=1))


FIRE = """
    select tick, outcome, job_id from queue_tasks_fire_schedule_v1(
        (select id from queue_tasks_schedules where name = 's'), %(revision)s, %(last_tick)s, %(ticks)s, 0, null,
        %(last)s, %(following)s, 0.1
    )
"""


def fire(session: Session, *hours: int, revision: int = 1, last_tick: datetime = NOON) -> list[str]:
    """See to the ticks so many hours after noon; the outcomes."""
    ticks = [NOON + timedelta(hours=hour) for hour in hours]
    values = {
        "revision": revision,
        "last_tick": last_tick,
        "ticks": ticks,
        "last": ticks[-1],
        "following": ticks[-1] + timedelta(hours=1),
    }
    return [found[1] for found in session.connection.execute(FIRE.encode(), values).fetchall()]


def jobs(session: Session) -> int:
    return int(session.value("select count(*) from procrastinate_jobs"))


def test_a_tick_is_seen_to_once(open_session: Open) -> None:
    one = open_session("one")
    sync(one, row())
    seen_until(one)
    assert fire(one, 1, 2) == ["enqueued", "enqueued"]
    assert fire(one, 1, 2) == []
    assert jobs(one) == 2
    assert one.rows("select last_tick, next_tick from queue_tasks_schedules") == [
        (NOON + timedelta(hours=2), NOON + timedelta(hours=3))
    ]


def test_of_two_who_fire_in_the_same_moment_the_second_does_not_wait_and_does_nothing(open_session: Open) -> None:
    one, two = open_session("one"), open_session("two")
    sync(one, row())
    seen_until(one)
    with one.connection.transaction():
        assert fire(one, 1) == ["enqueued"]
        assert fire(two, 1) == []
    assert fire(two, 1) == []
    assert jobs(one) == 1


def test_who_dies_at_a_tick_leaves_it_to_the_others(open_session: Open) -> None:
    one, two = open_session("one"), open_session("two")
    sync(one, row())
    seen_until(one)
    with one.connection.transaction(force_rollback=True):
        assert fire(one, 1) == ["enqueued"]
    assert jobs(two) == 0
    assert fire(two, 1) == ["enqueued"]


def test_the_key_of_schedule_and_tick_is_the_last_guard(open_session: Open) -> None:
    one = open_session("one")
    sync(one, row())
    seen_until(one)
    assert fire(one, 1) == ["enqueued"]
    with pytest.raises(psycopg.errors.UniqueViolation):
        one.rows(
            "insert into queue_tasks_ticks (schedule_id, tick, outcome)"
            " select schedule_id, tick, outcome from queue_tasks_ticks"
        )


def test_a_schedule_that_was_changed_since_it_was_read_is_not_fired(open_session: Open) -> None:
    one = open_session("one")
    sync(one, row())
    seen_until(one)
    one.rows("update queue_tasks_schedules set revision = revision + 1")
    assert fire(one, 1) == []
    assert fire(one, 1, revision=2) == ["enqueued"]


@pytest.mark.parametrize("column", ["paused_at", "gone_at"])
def test_a_schedule_that_is_paused_or_gone_is_not_fired(open_session: Open, column: str) -> None:
    one = open_session("one")
    sync(one, row())
    seen_until(one)
    one.rows(f"update queue_tasks_schedules set {column} = now()")  # noqa: S608
    assert fire(one, 1) == []


def test_an_edit_waits_for_a_tick_that_is_being_seen_to_and_comes_after_it(
    open_session: Open, migrated_database: str
) -> None:
    import threading

    one, two = open_session("one"), open_session("schedule edit")
    sync(one, row())
    seen_until(one)
    edit = threading.Thread(target=lambda: two.rows("update queue_tasks_schedules set revision = revision + 1"))
    with one.connection.transaction():
        assert fire(one, 1) == ["enqueued"]
        edit.start()
        wait_for_lock(migrated_database, "schedule edit")
    edit.join(PATIENCE)
    assert one.value("select revision from queue_tasks_schedules") == 2
    assert fire(one, 2, last_tick=NOON + timedelta(hours=1)) == []
    assert fire(one, 2, revision=2, last_tick=NOON + timedelta(hours=1)) == ["enqueued"]


def test_a_tick_that_the_databases_clock_has_not_reached_is_not_fired(open_session: Open) -> None:
    one = open_session("one")
    sync(one, row())
    now = one.value("select date_trunc('hour', now())")
    one.rows("update queue_tasks_schedules set last_tick = %s", now)
    hours = round((now - NOON).total_seconds() / 3600)
    assert fire(one, hours + 2, last_tick=now) == []
    assert jobs(one) == 0


def test_a_tick_in_the_history_makes_no_second_job_though_the_schedule_was_put_back(open_session: Open) -> None:
    one = open_session("one")
    sync(one, row())
    seen_until(one)
    assert fire(one, 1, 2) == ["enqueued", "enqueued"]
    seen_until(one)
    assert fire(one, 1, 2, 3) == ["enqueued", "enqueued", "enqueued"]
    assert jobs(one) == 3
    seen_until(one)
    assert fire(one, 1, 2, 3) == ["enqueued", "enqueued", "enqueued"]
    assert jobs(one) == 3


def test_sync_says_what_changed_and_only_that(open_session: Open) -> None:
    one = open_session("one")
    assert sync(one, row("a"), row("b")) == [("a", "added"), ("b", "added")]
    assert sync(one, row("a"), row("b")) == []
    assert sync(one, row("a", cron="@daily")) == [("a", "changed"), ("b", "gone")]
    assert sync(one, row("a", cron="@daily")) == []
    assert sync(one, row("a", cron="@daily"), row("b")) == [("b", "back")]


def test_what_only_changes_the_job_does_not_change_when_it_ticks(open_session: Open) -> None:
    one = open_session("one")
    sync(one, row())
    seen_until(one)
    assert sync(one, row(priority=5, args={"args": [1], "kwargs": {}})) == [("s", "changed")]
    assert one.value("select last_tick from queue_tasks_schedules") == NOON
    assert sync(one, row(cron="@daily")) == [("s", "changed")]
    assert one.value("select last_tick from queue_tasks_schedules") > NOON


def test_what_an_operator_has_overridden_or_paused_or_added_stays(open_session: Open) -> None:
    one = open_session("one")
    sync(one, row())
    one.rows("update queue_tasks_schedules set override_cron = '@daily', paused_at = now()")
    one.rows(
        "insert into queue_tasks_schedules "
        "(name, declared, task_name, queue_name, args, every, timezone, missed, overlap) "
        "values ('own', false, 't', 'q', '{}', 60, 'UTC', 'skip', 'allow')"
    )
    seen_until(one)
    assert sync(one, row(cron="@weekly")) == [("s", "changed")]
    found = one.rows(
        "select cron, override_cron, paused_at is null, last_tick from queue_tasks_schedules where name = 's'"
    )
    assert found == [("@weekly", "@daily", False, NOON)]
    assert one.value("select gone_at is null from queue_tasks_schedules where name = 'own'") is True


def test_workers_that_start_together_sync_one_after_the_other(open_session: Open, migrated_database: str) -> None:
    import threading

    one, two = open_session("one"), open_session("second sync")
    said: list[Any] = []
    other = threading.Thread(target=lambda: said.extend(sync(two, row())))
    with one.connection.transaction():
        assert sync(one, row()) == [("s", "added")]
        other.start()
        wait_for_lock(migrated_database, "second sync")
    other.join(PATIENCE)
    assert said == []


def test_run_now_makes_a_job_at_no_tick_and_counts_as_the_last_one(open_session: Open) -> None:
    one = open_session("one")
    sync(one, row(overlap="skip"))
    seen_until(one)
    one.rows("update queue_tasks_schedules set paused_at = now()")
    first = one.value("select queue_tasks_run_schedule_v1('s')")
    second = one.value("select queue_tasks_run_schedule_v1('s')")
    assert first < second
    assert one.value("select queue_tasks_run_schedule_v1('nobody')") is None
    one.rows("update queue_tasks_schedules set paused_at = null")
    assert fire(one, 1) == ["overlap"]
    assert jobs(one) == 2
    assert one.column("select outcome from queue_tasks_ticks order by tick") == ["overlap", "run", "run"]


def test_a_rolled_back_run_leaves_nothing(open_session: Open) -> None:
    one = open_session("one")
    sync(one, row())
    with one.connection.transaction(force_rollback=True):
        assert one.value("select queue_tasks_run_schedule_v1('s')") is not None
    assert jobs(one) == 0
    assert one.value("select count(*) from queue_tasks_ticks") == 0
