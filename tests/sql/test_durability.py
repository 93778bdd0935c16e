"""A job whose transaction has committed is found after a crash of the server, whatever the role is set to."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from site_app.embedded_postgres import FORGETFUL, EmbeddedPostgres
from tests.sql.session import Session, manage

ENQUEUE = "select queue_tasks_enqueue_v1('tests.testapp.tasks.noop')"
SETTING = "select current_setting('synchronous_commit')"


def test_a_transaction_of_jobs_waits_for_the_disk(open_session):
    session = open_session()
    session.rows("set synchronous_commit = off")
    with session.connection.transaction():
        assert session.value(SETTING) == "off"
        session.value(ENQUEUE)
        assert session.value(SETTING) == "on"
    assert session.value(SETTING) == "off", "as it was"


def test_a_savepoint_that_is_rolled_back_takes_it_with_the_job(open_session):
    session = open_session()
    session.rows("set synchronous_commit = off")
    with session.connection.transaction():
        with session.connection.transaction(force_rollback=True):
            session.value(ENQUEUE)
        assert session.value(SETTING) == "off"


@pytest.mark.parametrize("setting", ["local", "remote_write", "on", "remote_apply"])
def test_who_waits_for_the_disk_goes_on_to_wait_for_what_he_did(open_session, setting):
    session = open_session()
    session.rows(f"set synchronous_commit = {setting}")
    with session.connection.transaction():
        session.value(ENQUEUE)
        assert session.value(SETTING) == setting


def test_a_role_may_say_that_its_jobs_need_not(open_session):
    session = open_session()
    session.rows("set synchronous_commit = off")
    session.rows("set queue_tasks.durable_enqueue = off")
    with session.connection.transaction():
        session.value(ENQUEUE)
        assert session.value(SETTING) == "off"


def test_a_job_outlives_a_crash_of_a_server_whose_commits_do_not_wait(tmp_path: Path):
    # Nothing but a commit that waits brings the log to the disk within ten seconds.
    settings = {**FORGETFUL, "synchronous_commit": "off", "wal_writer_delay": "10s"}
    with EmbeddedPostgres(tmp_path / "pg", settings=settings, temporary=True) as server:
        manage(server.url, "migrate", "--verbosity", "0")
        session = Session(server.url)
        job = session.value(ENQUEUE)
        server.halt("immediate")
        session.close()
        server.resume()
        with psycopg.connect(server.url, application_name="tests.sql") as connection:
            found = connection.execute("select id, status::text from procrastinate_jobs").fetchall()
        assert found == [(job, "todo")]
