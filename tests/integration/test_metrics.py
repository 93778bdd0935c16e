"""The metrics page: what is counted is what is there, and who may ask."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from queue_tasks import enqueue_many, exporter, metrics
from queue_tasks.caller import reading
from queue_tasks.overview import measure_backlog
from tests.testapp import tasks

pytestmark = pytest.mark.django_db

TOKEN = "a token of forty characters for the test"
BACKEND = {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": []}

urlpatterns = [path("metrics", exporter.view)]


def sql(statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def values(text: str) -> dict[tuple[str, ...], float]:
    """Each sample by its name and its labels' values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def make_jobs() -> None:
    """In the queue "mail": four ready, two of them with a lock, one scheduled, one parked, one running, two ended."""
    mail = tasks.add.using(queue_name="mail")
    enqueue_many([mail.bind(1), mail.using(priority=5).bind(2)])
    enqueue_many([mail.using(lock=lock, priority=priority).bind(3) for lock, priority in (("a", 0), ("b", 9))])
    mail.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(4)
    parked, running, *ended = (int(mail.enqueue(number).id) for number in range(5, 9))
    sql("update procrastinate_jobs set scheduled_at = queue_tasks_parked_until_v1() where id = %s", parked)
    sql("insert into procrastinate_workers (qt_name, qt_concurrency) values ('w', 4), ('gone', 8)")
    sql("update procrastinate_workers set last_heartbeat = now() - interval '1 hour' where qt_name = 'gone'")
    sql(
        "update procrastinate_jobs j set status = 'doing', worker_id = w.id"
        " from procrastinate_workers w where w.qt_name = 'w' and j.id = %s",
        running,
    )
    sql(
        "update procrastinate_jobs set status = 'succeeded', qt_attempted_at = now(),"
        " qt_finished_at = now() + interval '3 s' where id = any(%s)",
        ended,
    )
    # The oldest is the one that priority keeps behind all others.
    sql(
        "update procrastinate_jobs set qt_enqueued_at = statement_timestamp() - interval '1 minute' * (10 - priority)"
        " where status = 'todo' and scheduled_at is null"
    )


def test_each_queue_is_measured() -> None:
    make_jobs()
    tasks.add.using(queue_name="other").enqueue(1)
    mail, other = measure_backlog(most=100)
    assert (mail.name, mail.ready, mail.scheduled, mail.parked, mail.running) == ("mail", 4, 1, 1, 1)
    assert mail.oldest_ready is not None
    assert mail.oldest_ready == pytest.approx(600, abs=60)
    assert (mail.mean_run, mail.work) == (3.0, 12.0)
    assert (other.name, other.ready, other.mean_run, other.work) == ("other", 1, None, None)


def test_counting_stops_at_the_limit() -> None:
    enqueue_many([tasks.add.bind(number) for number in range(5)])
    (backlog,) = measure_backlog(most=3)
    assert backlog.ready == 3


def test_an_empty_database_has_nothing_to_tell() -> None:
    assert measure_backlog(most=3) == []


def test_the_command_prints_them() -> None:
    make_jobs()
    out = StringIO()
    call_command("queue", "metrics", stdout=out)
    found = values(out.getvalue())
    assert found["queue_tasks_jobs", "mail", "ready"] == 4
    assert found["queue_tasks_jobs", "mail", "parked"] == 1
    assert found["queue_tasks_ready_work_seconds", "mail"] == 12
    assert (found["queue_tasks_workers",], found["queue_tasks_slots",]) == (1, 4)


@pytest.mark.django_db(transaction=True)
def test_looking_has_a_limit_and_changes_nothing() -> None:
    with pytest.raises(OperationalError, match="statement timeout"), reading("default", 0.05) as cursor:
        cursor.execute("select pg_sleep(30)")
    with pytest.raises(Exception, match="read-only"), reading("default", 5) as cursor:
        cursor.execute("delete from procrastinate_jobs")
    with reading("default", 5) as cursor:
        cursor.execute("show statement_timeout")
        assert cursor.fetchall() == [("5s",)]
    sql("create temporary table written_after (number integer)")


# -------------------------------------------------------------------------------------------------------- who may ask


def ask(client: Client, token: str | None = None, method: str = "get") -> HttpResponse:
    headers = {} if token is None else {"Authorization": token}
    with override_settings(
        ROOT_URLCONF=__name__,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TASKS={"default": {**BACKEND, "OPTIONS": {"metrics_token": TOKEN}}},
    ):
        answer: HttpResponse = getattr(client, method)("/metrics", headers=headers)
    return answer


@override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies")
def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_who_has_the_token_may_ask() -> None:
    tasks.add.using(queue_name="mail").enqueue(1)
    answer = ask(Client(), f"Bearer {TOKEN}")
    assert answer.status_code == 200
    assert answer["Content-Type"] == metrics.CONTENT_TYPE
    assert "no-store" in answer["Cache-Control"]
    assert values(answer.content.decode())["queue_tasks_jobs", "mail", "ready"] == 1


@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"])
def test_who_has_not_may_not(token: str | None) -> None:
    assert ask(Client(), token).status_code == 403


def test_nobody_may_ask_by_a_token_where_there_is_none() -> None:
    with override_settings(ROOT_URLCONF=__name__):
        assert Client().get("/metrics", headers={"Authorization": "Bearer None"}).status_code == 403


def test_who_may_see_jobs_may_ask() -> None:
    user = User.objects.create_user("ada")
    client = logged_in(user)
    assert ask(client).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_job"))
    assert ask(client).status_code == 200
    assert ask(client, method="post").status_code == 405
    user.is_active = False
    user.save()
    assert ask(client).status_code == 403
