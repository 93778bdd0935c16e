"""Why a job is not running: each reason, with real rows."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection

from queue_tasks import explain
from queue_tasks.exceptions import JobNotFound
from queue_tasks.explain import Why
from tests.testapp.tasks import add

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


def value(statement, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()[0]


def job(**columns):
    columns = {"queue_name": "default", "task_name": add.module_path, "args": '{"args": [1], "kwargs": {}}', **columns}
    names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
    return value(f"insert into procrastinate_jobs ({names}) values ({marks}) returning id", *columns.values())  # noqa: S608


def worker(**columns):
    columns = {"qt_name": "camel", "qt_concurrency": 2, **columns}
    names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
    return value(f"insert into procrastinate_workers ({names}) values ({marks}) returning id", *columns.values())  # noqa: S608


def why(job_id):
    return [reason.why for reason in explain(job_id).reasons]


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled", "aborted"])
def test_it_has_ended(status):
    found = explain(job(status=status))
    assert [reason.why for reason in found.reasons] == [Why.ENDED]
    assert f"it is {status}." in str(found)
    assert ("Retry it" in str(found)) == (status != "succeeded")


def test_it_is_running():
    mine = worker()
    found = explain(job(status="doing", worker_id=mine, qt_attempted_at=NOW))
    assert [(reason.why, reason.worker_id) for reason in found.reasons] == [(Why.RUNNING, mine)]
    assert f"on worker {mine}." in str(found)


def test_it_was_told_to_stop():
    assert why(job(status="doing", worker_id=worker(), abort_requested=True)) == [Why.STOPPING]


@pytest.mark.parametrize("gone", [True, False])
def test_its_worker_is_lost(gone):
    lost = None if gone else worker(last_heartbeat=NOW - timedelta(hours=1))
    assert why(job(status="doing", worker_id=lost)) == [Why.LOST]


def test_it_is_due_later():
    worker()
    found = explain(job(scheduled_at=NOW + timedelta(hours=2, minutes=30)))
    assert [reason.why for reason in found.reasons] == [Why.DUE]
    assert str(found).startswith("It is due in 2 h ")


def test_it_failed_and_is_tried_again_later():
    worker()
    assert "It failed once and is tried again in 1" in str(
        explain(job(scheduled_at=NOW + timedelta(days=2), attempts=1))
    )
    assert "It failed 3 times" in str(explain(job(scheduled_at=NOW + timedelta(days=2), attempts=3)))


def test_it_is_due_and_nobody_has_looked_yet():
    worker()
    assert "its time came" in str(explain(job(scheduled_at=NOW - timedelta(minutes=5))))


def test_it_is_parked():
    worker()
    parked = job()
    value("update procrastinate_jobs set scheduled_at = queue_tasks_parked_until_v1() returning id")
    assert why(parked) == [Why.PARKED]


@pytest.mark.parametrize("lost", [False, True])
def test_no_worker_is_alive(lost):
    if lost:
        worker(last_heartbeat=NOW - timedelta(hours=1))
    found = explain(job())
    assert [reason.why for reason in found.reasons] == [Why.NO_WORKER]
    assert "manage.py queue_worker" in str(found)


def test_no_live_worker_serves_its_queue():
    worker(qt_queues=["media", "mail"])
    found = explain(job())
    assert [reason.why for reason in found.reasons] == [Why.NOT_SERVED]
    assert "they serve mail, media." in str(found)
    worker(qt_queues=["default"])
    assert why(found.job.id) == [Why.NEXT]


def test_nobody_here_knows_its_task():
    worker()
    found = explain(job(task_name="tests.testapp.tasks.addd"))
    assert found.reasons[0].why == Why.UNKNOWN_TASK
    assert "Did you mean" in str(found)


def test_its_lock_is_held():
    mine = worker()
    holder = job(status="doing", lock="one", worker_id=mine, qt_attempted_at=NOW - timedelta(minutes=4))
    found = explain(job(lock="one"))
    assert [(reason.why, reason.job_id, reason.worker_id) for reason in found.reasons] == [(Why.LOCKED, holder, mine)]
    assert f'Its lock "one" is held by job {holder}' in str(found)
    assert f"on worker {mine}." in str(found)


def test_an_earlier_job_of_its_lock_is_first():
    worker()
    first, second = job(lock="one"), job(lock="one", queue_name="media")
    assert why(first) == [Why.NEXT]
    assert [(reason.why, reason.job_id) for reason in explain(second).reasons] == [(Why.BEHIND_LOCK, first)]


def test_jobs_are_ahead_of_it_by_priority_and_age():
    worker()
    job(), job(queue_name="media"), job(priority=-5), job(lock="one")
    mine = job()
    job(priority=5), job()
    found = explain(mine)
    assert [reason.why for reason in found.reasons] == [Why.BEHIND]
    assert str(found) == "3 jobs are ahead of it in its queue."


def test_how_long_those_ahead_will_take():
    worker()
    for _ in range(3):
        job(status="succeeded", qt_finished_at=NOW)
        job()
    value(
        "update procrastinate_jobs set qt_finished_at = statement_timestamp() where status = 'succeeded' returning id"
    )
    assert str(explain(job())) == "3 jobs are ahead of it in its queue: about 1 m 0 s at the speed of the last minute."


def test_every_slot_is_taken():
    mine = worker(qt_concurrency=1)
    job(status="doing", worker_id=mine)
    found = explain(job())
    assert [reason.why for reason in found.reasons] == [Why.BUSY]
    worker(qt_concurrency=1)
    assert why(found.job.id) == [Why.NEXT]


def test_several_reasons_stand_together():
    holder = job(status="doing", lock="one")
    job()
    assert why(job(lock="one")) == [Why.NO_WORKER, Why.LOCKED, Why.BEHIND]
    assert why(job(lock="one", scheduled_at=NOW + timedelta(days=1))) == [Why.DUE, Why.NO_WORKER, Why.LOCKED]
    assert holder


@pytest.mark.parametrize("job_id", [999_999, "999999", "x", "-1", 2**63, "٣"])
def test_a_job_that_is_not_there(job_id):
    with pytest.raises(JobNotFound):
        explain(job_id)


def test_a_backend_that_is_not_ours(settings):
    settings.TASKS = {"other": {"BACKEND": "tests.integration.test_explain.Foreign"}}
    with pytest.raises(ImproperlyConfigured, match="name one that is ours"):
        explain(1, backend="other")


class Foreign:
    """A backend of somebody else's."""

    def __init__(self, alias, params):
        self.alias = alias


def test_the_command_says_the_same():
    mine, out = job(), StringIO()
    call_command("queue", "explain", str(mine), stdout=out)
    assert out.getvalue().startswith(f"job {mine}, {add.module_path}, is ready\nNo worker is alive")
    out = StringIO()
    call_command("queue", "explain", str(mine), "--json", stdout=out)
    assert '"why": "no_worker"' in out.getvalue()
    with pytest.raises(CommandError, match="does not exist"):
        call_command("queue", "explain", "999999")
