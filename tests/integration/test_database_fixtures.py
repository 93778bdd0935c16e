"""The databases and guards of conftest.py themselves."""

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection, connections

from tests.waiting import wait_until


def count_jobs(url: str) -> int:
    with psycopg.connect(url) as session:
        row = session.execute("select count(*) from procrastinate_jobs").fetchone()
    assert row is not None
    return int(row[0])


INSERT_JOB = "insert into procrastinate_jobs (queue_name, task_name, args) values ('default', 'none', '{}')"


@pytest.mark.django_db
def test_django_and_dsn_lead_to_the_same_database(dsn):
    with connection.cursor() as cursor:
        cursor.execute("select current_database()")
        found = cursor.fetchone()
    with psycopg.connect(dsn) as session:
        assert session.execute("select current_database()").fetchone() == found


@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.django_db
def test_a_test_in_a_transaction_leaves_nothing(turn):
    assert not User.objects.exists()
    User.objects.create(username="ada")


@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.django_db(transaction=True)
def test_a_test_that_commits_leaves_nothing(turn, dsn):
    assert not User.objects.exists()
    assert count_jobs(dsn) == 0
    User.objects.create(username="ada")
    with connection.cursor() as cursor:
        cursor.execute(INSERT_JOB)
    assert count_jobs(dsn) == 1


def test_a_fresh_database_is_empty(fresh_database):
    with psycopg.connect(fresh_database) as session:
        tables = session.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
    assert tables == (0,)


def test_a_migrated_database_is_nobody_elses(migrated_database):
    assert count_jobs(migrated_database) == 0
    with psycopg.connect(migrated_database) as session:
        session.execute(INSERT_JOB)
    assert count_jobs(migrated_database) == 1


def test_the_database_is_closed_to_tests_that_did_not_ask_for_it():
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        connections["default"].cursor()


def test_waiting_fails_with_the_last_value():
    with pytest.raises(pytest.fail.Exception, match="the sun to rise; the last value was 0"):
        wait_until(lambda: 0, timeout=0.05, message="the sun to rise")
