"""`check --deploy`: what is wrong with a deployment is said, and a good one is passed over in silence."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection

from queue_tasks.deploy_checks import check_server
from tests.acceptance.test_roles import django_as
from tests.dashboard.visitors import mount
from tests.pooler import PgBouncer, needs_pgbouncer

pytestmark = pytest.mark.django_db(transaction=True)

LIMITED = "set role pg_monitor"  # a role of Postgres' own that is no superuser


def found(*, databases: list[str] | None = None) -> set[str]:
    """The ids of ours among what `check --deploy` finds."""
    messages = run_checks(include_deployment_checks=True, databases=databases)
    return {str(message.id) for message in messages if str(message.id).startswith("queue_tasks.W0")}


def test_a_good_site_is_silent(settings: Any) -> None:
    mount(settings)
    assert found() == set()


def test_a_site_without_the_dashboard_needs_no_login(settings: Any) -> None:
    settings.MIDDLEWARE = []
    settings.LOGIN_URL = "/nowhere/"
    assert found() == set()


def test_a_dashboard_that_does_not_know_who_asks(settings: Any) -> None:
    mount(settings)
    settings.MIDDLEWARE = []
    assert found() == {"queue_tasks.W020"}


@pytest.mark.parametrize("place", ["/nowhere/", "no:such:name"])
def test_a_dashboard_that_sends_people_nowhere(settings: Any, place: str) -> None:
    mount(settings)
    settings.LOGIN_URL = place
    assert found() == {"queue_tasks.W021"}


def test_a_login_at_another_site_is_somewhere(settings: Any) -> None:
    mount(settings)
    settings.LOGIN_URL = "https://login.example.com/"
    assert found() == set()


def test_the_tests_own_server_is_none_to_deploy() -> None:
    """It belongs to a superuser, forgets, and is not vacuumed."""
    with connection.cursor() as cursor:
        cursor.execute("select current_setting('fsync'), current_setting('autovacuum')")
        fsync, autovacuum = cursor.fetchone()
    expected = {"queue_tasks.W030"}
    expected |= {"queue_tasks.W031"} if fsync == "off" else set()
    expected |= {"queue_tasks.W033"} if autovacuum == "off" else set()
    assert found(databases=["default"]) & {"queue_tasks.W030", "queue_tasks.W031", "queue_tasks.W033"} == expected
    # Without --database nobody asks the server.
    assert found() == set()


def test_a_role_that_is_no_superuser_is_right() -> None:
    def ids() -> set[str]:
        return {str(message.id) for message in check_server("default", None)}

    with connection.cursor() as cursor:
        try:
            cursor.execute(LIMITED)
            assert "queue_tasks.W030" not in ids()
        finally:
            cursor.execute("reset role")
        assert "queue_tasks.W030" in ids()


def test_enqueueing_that_waits_for_nothing_needs_two_settings() -> None:
    with connection.cursor() as cursor:
        for durable, expected in (("on", False), ("off", True)):
            cursor.execute("set synchronous_commit = off")
            cursor.execute("select set_config('queue_tasks.durable_enqueue', %s, false)", [durable])
            assert ("queue_tasks.W032" in found(databases=["default"])) is expected
    connection.close()


@needs_pgbouncer
def test_a_pooler_that_swallows_notifications(migrated_database: str, dsn: str) -> None:
    with PgBouncer(migrated_database) as pooler:
        with django_as(pooler.url, dsn):
            assert "queue_tasks.W034" in found(databases=["default"])
        assert "queue_tasks.W034" not in found(databases=["default"])
