"""sql/roles/roles.sql: each does all of its work, with a real worker, enqueues and pages, and nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connections, transaction
from psycopg import sql

from queue_tasks import enqueue_many, roles, statements
from queue_tasks.management.usage import USAGE
from tests import postgres
from tests.acceptance.workers import by_sql, worker_process
from tests.conftest import point_django_at
from tests.dashboard.visitors import OPERATES, address, mount, text_of, ticket, visitor
from tests.sql.test_statements import parameters
from tests.testapp import tasks
from tests.waiting import START, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

LOGINS = (*roles.ROLES, "nobody", "owner")
DENIED = psycopg.errors.InsufficientPrivilege


def name_of(word: str) -> str:
    """Roles are of the whole server, which several test processes share."""
    return f"{postgres.PREFIX} {word}'s"


@pytest.fixture
def _no_roles_left() -> Iterator[None]:
    """Requested before the database: roles go when what they were given has gone."""
    yield
    for word in LOGINS:
        for name in (f"{name_of(word)} login", name_of(word)):
            postgres.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(name)))


def login(word: str, *, member: bool = True, rights: str = "") -> str:
    """The name of a new login, of the role of that word."""
    name = f"{name_of(word)} login"
    grant = sql.SQL("in role {}").format(sql.Identifier(name_of(word))) if member else sql.SQL("")
    parts = [sql.SQL("create role {} login password 'made up'").format(sql.Identifier(name)), sql.SQL(rights), grant]
    postgres.execute(sql.SQL(" ").join(parts))
    return name


def url_as(url: str, name: str) -> str:
    place = urlsplit(url)
    quoted = name.replace(" ", "%20").replace("'", "%27")
    host = place.netloc.rpartition("@")[2]
    return urlunsplit(place._replace(netloc=f"{quoted}:made%20up@{host}"))


class House:
    """A database with the roles in it, and the URL of each one's login."""

    def __init__(self, url: str) -> None:
        self.owner = url
        self.urls = {word: url_as(url, login(word)) for word in roles.ROLES}
        self.nobody = url_as(url, login("nobody", member=False))

    def rows(self, statement: str, *given: Any, who: str | None = None) -> list[Any]:
        """Run a statement as somebody; None: the owner."""
        url = self.owner if who is None else self.urls[who]
        with psycopg.connect(url, autocommit=True, application_name="tests.roles") as connection:
            cursor = connection.execute(statement.encode(), given or None)
            return cursor.fetchall() if cursor.description else []

    def refuses(self, statement: str, who: str) -> None:
        """Assert that somebody may not run a statement."""
        with pytest.raises(DENIED):
            self.rows(statement, who=who)


@contextlib.contextmanager
def django_as(url: str, back: str) -> Iterator[None]:
    """Have Django's connection be somebody's."""
    point_django_at(url)
    try:
        yield
    finally:
        point_django_at(back)


@pytest.fixture
def house(_no_roles_left: None, migrated_database: str, dsn: str) -> House:
    names = {word: name_of(word) for word in roles.ROLES}
    with django_as(migrated_database, dsn):
        flags = [part for word, name in names.items() for part in (f"--{word}-role", name)]
        out = StringIO()
        # Twice: it brings what is there to what it should be.
        for _ in range(2):
            call_command("queue", "roles", "--apply", *flags, stdout=out)
        assert name_of("worker") in out.getvalue()
    return House(migrated_database)


def test_a_worker_of_that_role_does_all_of_a_worker(house: House, dsn: str) -> None:
    with django_as(house.owner, dsn):
        [stranded] = [int(tasks.add.enqueue(7).id)]
        dead = house.rows(
            "insert into procrastinate_workers (last_heartbeat) values (now() - interval '1 hour') returning id"
        )[0][0]
        house.rows("update procrastinate_jobs set status = 'doing', worker_id = %s where id = %s", dead, stranded)
        soon = by_sql("tests.testapp.tasks.add", "8")
        house.rows("update procrastinate_jobs set scheduled_at = now() + interval '1 second' where id = %s", soon)
        call_command(
            "queue", "schedule", "tick", "--add", "tests.testapp.tasks.noop", "--every", "1", stdout=StringIO()
        )
        with worker_process(house.urls["worker"]) as worker:
            assert "listening" in worker.lines[0]
            enqueue_many(
                [
                    tasks.add.bind(1),
                    tasks.noop.bind(),
                    tasks.noop_ephemeral.bind(),
                    tasks.signed_atomic.bind(2),
                    tasks.succeed_on_attempt.bind(2),
                    tasks.locked.bind("a"),
                    tasks.locked.bind("a"),
                    tasks.report_progress.bind(),
                    tasks.fail.bind(),
                ]
            )

            left = "select id, task_name, status::text from procrastinate_jobs where status in ('todo', 'doing')"
            # The schedule goes on and on.
            wait_until(
                lambda: not house.rows(f"{left} and task_name <> 'tests.testapp.tasks.noop'"),
                START,
                message=f"jobs are left: {house.rows(left)}; {worker.output}",
            )
            wait_until(lambda: house.rows("select 1 from queue_tasks_ticks where outcome = 'enqueued'"), START)
            assert worker.stop()[0] == 0, worker.output
        assert "permission denied" not in worker.output
        found = house.rows("select id, status::text from procrastinate_jobs where id = any (%s)", [stranded, soon])
        assert dict(found) == {stranded: "succeeded", soon: "succeeded"}
        assert [row[0] for row in house.rows("select task_name from procrastinate_jobs where status = 'failed'")] == [
            "tests.testapp.tasks.fail"
        ]


def test_a_worker_may_run_each_statement_of_a_worker_and_not_those_of_the_dashboard(house: House) -> None:
    source = "".join(path.read_text() for path in (postgres.PROJECT / "queue_tasks" / "store").glob("*.py"))
    names = [name for name in vars(statements) if name.isupper() and re.search(rf"\b{name}\b", source)]
    assert {"PRUNE_JOBS", "RECLAIM_JOBS", "RESCUE_JOBS"} <= set(names)
    with psycopg.connect(house.urls["worker"], autocommit=True, application_name="tests.roles") as connection:
        for name in names:
            text = getattr(statements, name)
            try:
                connection.execute(text, parameters(text) or None)
            except psycopg.Error as exc:
                # Such as a worker that is not registered: it was let in, and found nothing to do.
                assert not isinstance(exc, DENIED), f"{name}: {exc}"  # noqa: PT017 - others are right
    house.refuses("select 1 from queue_tasks_changes", "worker")
    house.refuses("drop table procrastinate_jobs", "worker")
    house.refuses("alter table procrastinate_jobs disable trigger all", "worker")
    house.refuses("create table mine ()", "worker")


def test_a_worker_whose_login_has_no_rights_says_what_it_needs(house: House) -> None:
    with worker_process(house.nobody, ready=False) as worker:
        assert worker.wait() == 1
    assert len(worker.errors) == 1, worker.output
    assert "permission denied" in worker.errors[0]
    assert worker.errors[0].endswith("What a worker's role needs: manage.py queue roles")


def test_a_worker_prunes(house: House) -> None:
    house.rows(
        "insert into procrastinate_jobs (queue_name, task_name, status, qt_expires_at) "
        "values ('q', 't', 'succeeded', now() - interval '1 s')"
    )
    assert house.rows("select queue_tasks_prune_jobs_v1(10)", who="worker") == [(1,)]
    assert house.rows("select 1 from procrastinate_jobs") == []


def test_a_producer_enqueues_in_every_way_and_reads_nothing(house: House, dsn: str) -> None:
    house.rows(
        "insert into procrastinate_jobs (queue_name, task_name, args, qt_result) "
        "values ('q', 't', '{\"card\": 4}', '5')"
    )
    house.rows("insert into queue_tasks_listeners (worker_id, asleep) values (1, true)")
    with django_as(house.urls["producer"], dsn), psycopg.connect(house.owner, autocommit=True) as listening:
        listening.execute("listen procrastinate_any_queue_v1")
        with transaction.atomic():
            one = tasks.add.enqueue(1)
        enqueue_many([tasks.add.bind(number) for number in range(3)])
        enqueue_many([tasks.add.bind(1), tasks.noop.bind(), tasks.locked.bind("a")])
        by_sql("tests.testapp.tasks.add", "1")
        assert next(listening.notifies(timeout=START)).channel == "procrastinate_any_queue_v1"
        with pytest.raises(ProgrammingError, match="permission denied"):
            one.refresh()
    assert house.rows("select count(*) from procrastinate_jobs") == [(9,)]
    assert house.rows("select count(distinct job_id) from procrastinate_events where type = 'deferred'")[0][0] >= 8
    for column in ("args", "qt_result", "qt_errors", "qt_meta", "lock", "status"):
        house.refuses(f"select {column} from procrastinate_jobs", "producer")  # noqa: S608 - from the line above
    for statement in (
        "insert into procrastinate_jobs (queue_name, task_name, args) values ('q', 't', '{}') returning args",
        "insert into procrastinate_jobs (queue_name, task_name, status) values ('q', 't', 'succeeded')",
        "insert into procrastinate_events (job_id, type) values (1, 'succeeded')",
        "set queue_tasks.fetching = 'on'; insert into procrastinate_events (job_id, type) values (1, 'succeeded')",
        "update procrastinate_jobs set args = '{}'",
        "delete from procrastinate_jobs",
        "select 1 from procrastinate_events",
        "select 1 from queue_tasks_schedules",
        "select queue_tasks_promote_jobs_v1(1)",
        "select queue_tasks_prune_jobs_v1(1)",
    ):
        house.refuses(statement, "producer")


def test_a_producer_who_cannot_see_what_is_due_tells_of_each_job_that_is_due_soon(house: House) -> None:
    schedule = (
        "select queue_tasks_enqueue_v1('tests.testapp.tasks.noop', run_after => now() + make_interval(secs => {}))"
    )
    with psycopg.connect(house.owner, autocommit=True) as listening:
        listening.execute("listen queue_tasks_scheduled")
        for seconds, told in ((100, True), (200, True), (4000, False)):
            house.rows(schedule.format(seconds), who="producer")
            house.rows("notify queue_tasks_scheduled, 'end'")
            heard = listening.notifies(timeout=START)
            payloads = list(iter(lambda: next(heard).payload, "end"))  # noqa: B023 - used up within the turn
            heard.close()
            assert payloads == ([""] if told else [])


FORGE = """
    create temporary table mine (job_id bigint);
    create function pg_temp.forge() returns trigger language plpgsql as $$
        begin
            insert into procrastinate_events (job_id, type) values (new.job_id, 'succeeded');
            return null;
        end
    $$;
    create trigger forge after insert on mine for each row execute function pg_temp.forge();
    insert into mine values (1)
"""


def test_a_producer_writes_history_of_its_own_only_where_it_may_make_tables(house: House) -> None:
    forged = "select 1 from procrastinate_events where type = 'succeeded'"
    house.rows("insert into procrastinate_jobs (queue_name, task_name) values ('q', 't')")
    house.rows(FORGE, who="producer")
    assert len(house.rows(forged)) == 1, "what docs/how-to/security.md admits"
    database = urlsplit(house.owner).path[1:]
    postgres.execute(sql.SQL("revoke temporary on database {} from public").format(sql.Identifier(database)))
    house.refuses(FORGE, "producer")
    assert len(house.rows(forged)) == 1


def test_a_viewer_serves_every_page_that_reads_and_changes_nothing(house: House, dsn: str, settings: Any) -> None:
    mount(settings)
    settings.TASKS = {**settings.TASKS}
    with django_as(house.owner, dsn):
        result = tasks.add.enqueue(4_711)
        call_command(
            "queue", "schedule", "tick", "--add", "tests.testapp.tasks.noop", "--every", "60", stdout=StringIO()
        )
        client = visitor("ada", *OPERATES)
        # Of Django's own tables the page reads who is there, which is the site's to permit.
        house.rows(
            "grant select on auth_user, auth_permission, auth_group, auth_user_groups, auth_user_user_permissions, "
            f'auth_group_permissions, django_content_type to "{name_of("viewer")}"'
        )
    with django_as(house.urls["viewer"], dsn):
        call_command("check", "--database", "default", stdout=StringIO())
        for page in ("overview", "jobs", "queues", "workers", "schedules", "changes"):
            response = client.get(address(page))
            assert response.status_code == 200, (page, text_of(response))
        assert client.get(address("schedule"), {"name": "tick"}).status_code == 200
        assert "4711" in text_of(client.get(address("job", job_id=int(result.id))))
        for verb in (
            ["jobs"],
            ["show", result.id],
            ["explain", result.id],
            ["queues"],
            ["workers"],
            ["stats"],
            ["metrics"],
        ):
            call_command("queue", *verb, stdout=StringIO())
        client.raise_request_exception = False
        refused = client.post(address("cancel"), {"ids": result.id, "ticket": ticket(), "confirmed": "yes"})
        assert refused.status_code in {400, 403, 500}
    assert house.rows("select status::text from procrastinate_jobs where id = %s", int(result.id)) == [("todo",)]
    for statement in (
        "update procrastinate_jobs set args = '{}'",
        "delete from queue_tasks_changes",
        "insert into procrastinate_jobs (queue_name, task_name) values ('q', 't')",
        "select queue_tasks_prune_jobs_v1(1)",
        "select queue_tasks_enqueue_v1('t')",
    ):
        house.refuses(statement, "viewer")


def test_nobody_else_may_run_a_function_of_ours(house: House) -> None:
    with psycopg.connect(house.nobody, autocommit=True, application_name="tests.roles") as connection:
        for statement in (
            "select queue_tasks_enqueue_v1('t')",
            "select queue_tasks_parked_until_v1()",
            "select 1 from procrastinate_jobs",
        ):
            with pytest.raises(DENIED):
                connection.execute(statement)


@pytest.mark.usefixtures("_no_roles_left")
def test_an_owner_that_is_no_superuser_migrates_and_makes_the_roles(fresh_database: str) -> None:
    owner = login("owner", member=False, rights="createrole")
    database = urlsplit(fresh_database).path[1:]
    postgres.execute(sql.SQL("alter database {} owner to {}").format(sql.Identifier(database), sql.Identifier(owner)))
    flags = [part for word in roles.ROLES for part in (f"--{word}-role", name_of(word))]
    environment = {
        **os.environ,
        "DATABASE_URL": url_as(fresh_database, owner),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    for arguments in (["migrate", "-v0"], ["queue", "roles", "--apply", *flags], ["queue", "roles", "--apply", *flags]):
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=postgres.PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    producer = url_as(fresh_database, login("producer"))
    with psycopg.connect(producer, autocommit=True, application_name="tests.roles") as connection:
        assert connection.execute("select queue_tasks_enqueue_v1('t')").fetchone() == (1,)


@pytest.mark.parametrize(
    ("name", "found"),
    [("of nobody yet", "permission denied to create role"), (None, "permission denied for table django_migrations")],
    ids=["new roles", "roles that are there"],
)
def test_a_login_that_may_not_make_the_roles_is_told_who_may(
    house: House, dsn: str, name: str | None, found: str
) -> None:
    flags = [part for word in roles.ROLES for part in (f"--{word}-role", name or name_of(word))]
    with django_as(house.nobody, dsn), pytest.raises(CommandError) as refusal:
        call_command("queue", "roles", "--apply", *flags, stdout=StringIO())
    assert str(refusal.value) == (
        f"queue roles: {found}. It takes the owner of the tables, and CREATEROLE unless the roles are there. "
        "Or have a superuser run what it prints without --apply, in psql."
    )


def test_the_roles_are_printed_for_psql_under_the_names_given(house: House) -> None:
    out = StringIO()
    call_command("queue", "roles", "--worker-role", "o'brien", stdout=out)
    text = out.getvalue()
    assert "v_worker constant name := 'o''brien';" in text
    assert "'queue_tasks_worker'" not in text
    assert "v_viewer constant name := 'queue_tasks_viewer';" in text


@pytest.mark.parametrize("name", ["", "x" * 64, "é" * 32], ids=["empty", "long", "long in bytes"])
def test_a_name_that_postgres_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match="1 to 63 bytes") as refusal:
        call_command("queue", "roles", "--viewer-role", name, stdout=StringIO())
    assert refusal.value.returncode == USAGE
    assert connections["default"].vendor == "postgresql"
