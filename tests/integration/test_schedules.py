"""Schedules under real workers, and what an operator does to them by the command."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django import app

from queue_tasks import schedules
from queue_tasks.management.usage import USAGE
from queue_tasks.periodic import rows_for
from queue_tasks.statements import SYNC_SCHEDULES
from queue_tasks.store import schedule_as_json
from queue_tasks.worker import maintenance
from tests.schedules import declare, nothing_declared
from tests.testapp.tasks import add, noop, tell_tick
from tests.waiting import wait_until
from tests.workers import running_worker

pytestmark = pytest.mark.django_db(transaction=True)
NOOP = noop.module_path
EACH_SECOND = "* * * * * *"
NEVER_SOON = "0 0 29 2 *"


@pytest.fixture(autouse=True)
def _nothing_declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("COLUMNS", raising=False)
    with nothing_declared():
        yield


def sql(statement: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def sync() -> None:
    """What a worker does with the declarations when it starts."""
    rows, wrong = rows_for("default")
    assert wrong == []
    with connection.cursor() as cursor:
        cursor.execute(SYNC_SCHEDULES, {"declared": f"[{','.join(map(schedule_as_json, rows))}]"})


def queue(*arguments: Any) -> str:
    out = StringIO()
    call_command("queue", *map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


def refused(*arguments: Any) -> CommandError:
    with pytest.raises(CommandError) as refusal:
        queue(*arguments)
    return refusal.value


# ------------------------------------------------------------------------------------------------------ under a worker


def test_a_task_finds_the_tick_it_is_for_in_its_context() -> None:
    declare(tell_tick, cron=EACH_SECOND)

    def told() -> list[Any]:
        return sql(
            "select qt_result #>> '{}', qt_meta ->> 'scheduled_for' from procrastinate_jobs where status = 'succeeded'"
        )

    with running_worker():
        wait_until(lambda: len(told()) >= 2)
    assert all(result == tick for result, tick in told())
    job = tell_tick.enqueue()
    with running_worker():
        wait_until(lambda: sql("select 1 from procrastinate_jobs where id = %s and status = 'succeeded'", int(job.id)))
    job.refresh()
    assert job.return_value is None


def test_a_change_reaches_a_running_worker_by_notification() -> None:
    declare(noop, cron=NEVER_SOON)
    # It polls so seldom that only a notification can tell it in time.
    with running_worker(poll_interval=300):
        wait_until(lambda: sql("select 1 from queue_tasks_schedules where next_tick is not null"))
        queue("schedule", NOOP, "--cron", EACH_SECOND)
        wait_until(lambda: sql("select 1 from procrastinate_jobs"))
        queue("schedule", NOOP, "--pause")
        count = sql("select count(*) from procrastinate_jobs")
        queue("schedule", "sum", "--add", add.module_path, "--args", "[1]", "--every", "1")
        wait_until(lambda: sql("select 1 from procrastinate_jobs where task_name = %s", add.module_path))
        assert sql("select count(*) from procrastinate_jobs where task_name = %s", NOOP) == count


def test_a_worker_that_drains_fires_nothing() -> None:
    from tests.workers import drain

    declare(noop, cron=EACH_SECOND)
    drain()
    assert sql("select count(*) from queue_tasks_schedules") == [(0,)]


# ---------------------------------------------------------------------------------------------------- by the command


def test_it_lists_nothing_when_there_is_nothing() -> None:
    assert queue("schedules") == "no schedules. Declare one with @periodic, and start a worker\n"
    assert queue("schedules", "--json") == "[]\n"


def test_it_lists_schedules_in_words() -> None:
    declare(noop, cron="0 3 * * *", timezone="Europe/Paris")
    declare(add, every=900, args=(1,), name="sum")
    sync()
    title, first, second = queue("schedules").splitlines()
    assert title.split() == ["NAME", "TICKS", "NEXT", "LAST", "STATE"]
    assert first.startswith("sum")
    assert "every 15 minutes" in first
    assert "in " in first
    assert NOOP in second
    assert "at 03:00 every day, Europe/Paris" in second
    assert second.endswith("active")


@pytest.mark.parametrize("use_tz", [True, False])
def test_it_lists_procrastinates_periodic_tasks_beside_them(settings: Any, use_tz: bool) -> None:
    settings.USE_TZ, settings.TIME_ZONE = use_tz, "Asia/Kathmandu"
    name = "tests.integration.tidy"

    @app.periodic(cron="0 3 * * *")
    @app.task(name=name)
    def tidy(timestamp: int) -> None: ...

    try:
        (line,) = [line for line in queue("schedules").splitlines() if name in line]
    finally:
        app.tasks.pop(name)
        app.periodic_registry.periodic_tasks.pop((name, ""))
    assert "0 3 * * *, UTC  in " in line
    assert line.endswith("procrastinate's")


def test_it_lists_schedules_for_programs() -> None:
    declare(add, every=900, args=(1,), name="sum")
    sync()
    queue("schedule", "sum", "--run")
    (found,) = json.loads(queue("schedules", "--json"))
    assert found["name"] == "sum"
    assert found["args"] == {"args": [1], "kwargs": {}}
    assert found["every"] == 900
    assert (found["state"], found["overridden"], found["declared"]) == ("active", False, True)
    assert found["job_status"] == "todo"
    assert len(found["next"]) == 1


def test_it_previews_the_next_ticks_in_the_schedules_zone() -> None:
    declare(noop, cron="0 3 * * *", timezone="Asia/Tokyo")
    sync()
    title, *ticks = queue("schedules", "--next", 10).splitlines()
    assert title == f"{NOOP}: at 03:00 every day, Asia/Tokyo"
    assert len(ticks) == 10
    assert all("03:00:00+0900" in tick for tick in ticks)
    assert len(json.loads(queue("schedules", NOOP, "--next", 3, "--json"))[0]["next"]) == 3


def test_it_says_the_same_where_the_project_has_naive_times(settings: Any) -> None:
    declare(noop, cron="0 3 * * *", timezone="Asia/Tokyo")
    sync()
    queue("schedule", NOOP, "--run")
    settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Kathmandu"
    assert f"{NOOP}  at 03:00 every day, Asia/Tokyo  in " in queue("schedules")
    assert "03:00:00+0900  in " in queue("schedules", "--next", 1)
    assert "+0900  job " in queue("schedule", NOOP)
    (found,) = json.loads(queue("schedules", "--json"))
    assert datetime.fromisoformat(found["next"][0]).utcoffset() == timedelta(hours=9)


def test_pause_and_resume() -> None:
    declare(noop, cron="@daily")
    sync()
    assert queue("schedule", NOOP, "--pause") == f'schedule "{NOOP}" is paused\n'
    assert str(refused("schedule", NOOP, "--pause")) == f'schedule "{NOOP}" is paused already'
    (line,) = schedules.list_schedules()
    assert (line.state, line.preview(3)) == ("paused", [])
    assert "paused" in queue("schedules")
    before = timezone.now()
    assert queue("schedule", NOOP, "--resume") == f'schedule "{NOOP}" ticks at 00:00 every day, UTC\n'
    assert sql("select last_tick >= %s from queue_tasks_schedules", before) == [(True,)]
    assert str(refused("schedule", NOOP, "--resume")) == f'schedule "{NOOP}" is not paused'


def test_an_override_wins_is_shown_as_such_and_can_be_reset() -> None:
    declare(noop, cron="0 3 * * *", timezone="Europe/Paris")
    sync()
    said = queue("schedule", NOOP, "--cron", "30 4 * * *")
    assert said == f'schedule "{NOOP}" ticks at 04:30 every day, Europe/Paris\n'
    said = queue("schedule", NOOP, "--timezone", "Asia/Tokyo")
    assert said == f'schedule "{NOOP}" ticks at 04:30 every day, Asia/Tokyo\n'
    sync()
    assert "active, overridden" in queue("schedules")
    told = queue("schedule", NOOP)
    assert "ticks       at 04:30 every day, Asia/Tokyo\n" in told
    assert "declared    at 03:00 every day, Europe/Paris; --reset brings it back\n" in told
    assert queue("schedule", NOOP, "--every", 60) == f'schedule "{NOOP}" ticks every minute\n'
    assert queue("schedule", NOOP, "--reset") == f'schedule "{NOOP}" ticks at 03:00 every day, Europe/Paris\n'
    assert str(refused("schedule", NOOP, "--reset")) == f'schedule "{NOOP}" is as it was declared'


def test_run_now() -> None:
    declare(noop, cron="@daily")
    sync()
    said = queue("schedule", NOOP, "--run")
    ((job_id,),) = sql("select id from procrastinate_jobs")
    assert said == f'schedule "{NOOP}": job {job_id} is enqueued\n'
    assert f"job {job_id}, waiting, run by hand" in queue("schedule", NOOP)


def test_add_and_remove() -> None:
    job = ["--add", add.module_path, "--args", "[1]", "--kwargs", '{"b": 2}']
    policy = ["--missed", 5, "--overlap", "skip", "--jitter", 30]
    said = queue("schedule", "sum", *job, "--cron", "@daily", "--timezone", "Europe/Paris", *policy)
    assert said == 'schedule "sum" ticks at 00:00 every day, Europe/Paris\n'
    (line,) = schedules.list_schedules("sum")
    assert (line.declared, line.missed, line.max_missed, line.overlap, line.jitter) == (False, "all", 5, "skip", 30)
    assert json.loads(line.args) == {"args": [1], "kwargs": {"b": 2}}
    told = queue("schedule", "sum")
    assert "added by an operator, active" in told
    assert "missed: the newest 5 make jobs; overlap: skip; jitter: 30 s" in told
    assert "there is a schedule" in str(refused("schedule", "sum", "--add", NOOP, "--cron", "@daily"))
    declare(noop, cron="@daily")
    sync()
    assert "is declared in code" in str(refused("schedule", NOOP, "--remove"))
    assert queue("schedule", "sum", "--remove") == 'schedule "sum" is removed\n'
    assert [line.name for line in schedules.list_schedules()] == [NOOP]


def test_the_history_says_what_made_no_job() -> None:
    declare(noop, cron="@daily")
    sync()
    sql(
        "insert into queue_tasks_ticks (schedule_id, tick, outcome, passed) "
        "select id, timestamptz '2026-06-01', 'overlap', 1 from queue_tasks_schedules union all "
        "select id, timestamptz '2026-06-02', 'missed', 12 from queue_tasks_schedules"
    )
    told = queue("schedule", NOOP)
    assert "2026-06-01 00:00:00+0000  no job: the last one was unfinished" in told
    assert "2026-06-02 00:00:00+0000  missed, and 11 before" in told
    history = json.loads(queue("schedule", NOOP, "--json"))["history"]
    assert [tick["outcome"] for tick in history] == ["missed", "overlap"]


@pytest.mark.parametrize(
    "deed", [["--pause"], ["--resume"], ["--run"], ["--reset"], ["--remove"], ["--cron", "@daily"], []]
)
def test_a_schedule_that_is_not_there_is_said(deed: list[str]) -> None:
    declare(noop, cron="@daily", name="nightly")
    sync()
    error = refused("schedule", "nigthly", *deed)
    assert 'There is no schedule "nigthly". Did you mean "nightly"?' in str(error)
    assert error.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["--cron", "61 * * * *"], "the field minute is wrong", 1),
        (["--timezone", "Mars/Olympus"], "expected an IANA name", 1),
        (["--every", "0.1"], "expected a timedelta, or 1 to", 1),
        (["--pause", "--cron", "@daily"], "--pause goes without --cron", USAGE),
        (["--jitter", "3"], "go with --add", USAGE),
        (["--add", "nowhere.task", "--cron", "@daily"], "cannot be imported", 1),
        (["--add", "tests.testapp.tasks.add", "--cron", "@daily"], "missing a required argument: 'a'", 1),
        (["--add", "tests.testapp.tasks.add", "--args", "{}"], "is not a JSON array", USAGE),
        (["--add", "tests.testapp.tasks.add", "--kwargs", "x"], "is not JSON", USAGE),
        (["--every", "1", "--cron", "@daily"], "not allowed with", USAGE),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(arguments: list[str], said: str, code: int) -> None:
    declare(noop, cron="@daily")
    sync()
    before = sql("select * from queue_tasks_schedules")
    error = refused("schedule", NOOP, *arguments)
    assert said in str(error)
    assert error.returncode == code
    assert sql("select * from queue_tasks_schedules") == before


# ------------------------------------------------------------------------------------------------------------ retention


def test_finished_jobs_go_by_themselves_when_their_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "PRUNE_EVERY", 0.02)
    job = noop.enqueue()
    with running_worker():
        wait_until(lambda: sql("select 1 from procrastinate_jobs where status = 'succeeded'"))
        # As long as the default says.
        ((kept,),) = sql("select qt_expires_at - qt_finished_at from procrastinate_jobs")
        assert timedelta(days=7) <= kept < timedelta(days=7, hours=1)
        sql("update procrastinate_jobs set qt_expires_at = now() where id = %s", int(job.id))
        wait_until(lambda: not sql("select 1 from procrastinate_jobs"))
