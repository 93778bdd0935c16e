"""tools/freeze_migration.py: a delta is what changed since the newest migration, forwards and back."""

import shutil
from pathlib import Path

import pytest

from tests.postgres import PROJECT
from tests.sql.session import Session
from tools import freeze_migration

PRUNE = "sql/functions/queue_tasks_prune_jobs_v1.sql"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the tool reads, whose living files are those of its newest migration."""
    shutil.copytree(PROJECT / "sql", tmp_path / "sql")
    (tmp_path / "queue_tasks" / "migrations").mkdir(parents=True)
    return tmp_path


def freeze(project: Path, *arguments: str) -> int:
    return freeze_migration.main([*arguments, "--project", str(project)])


def change(project: Path) -> None:
    """One of everything: a function's body, an index, a column, a new function, one taken away."""
    sql = project / "sql"
    file = project / PRUNE
    file.write_text(file.read_text().replace("statement_timestamp()", "now()"))
    file = sql / "indexes" / "procrastinate_jobs_qt_expires_idx.sql"
    file.write_text(file.read_text().replace("(qt_expires_at)", "(qt_expires_at, id)"))
    file = sql / "tables" / "procrastinate_workers.sql"
    file.write_text(
        file.read_text().replace("qt_pid integer,", "qt_pid integer,\n    add column if not exists qt_new text,")
    )
    (sql / "functions" / "queue_tasks_new_v1.sql").write_text(
        "-- queue_tasks_new_v1() -> integer\n"
        "create or replace function queue_tasks_new_v1() returns integer\n"
        "    language sql\nas $body$\n    select 1\n$body$;\n"
    )
    (sql / "functions" / "queue_tasks_enqueue_v1.sql").unlink()


def newest(project: Path) -> tuple[str, str]:
    folder = project / "sql" / "migrations"
    forward = max(file for file in folder.glob("0*.sql") if not file.name.endswith(".reverse.sql"))
    return forward.read_text(), forward.with_suffix(".reverse.sql").read_text()


def test_nothing_changed_nothing_written(project, capsys):
    assert freeze(project, "nothing") == 1
    assert "nothing changed" in capsys.readouterr().err


def test_the_delta_has_what_changed_and_nothing_else(project, capsys):
    change(project)
    assert freeze(project, "some_change") == 0
    assert "some_change" in capsys.readouterr().out
    forward, reverse = newest(project)
    assert forward.count("-- from sql/") == reverse.count("-- from sql/") == 5
    (module,) = (project / "queue_tasks" / "migrations").glob("*_some_change.py")
    compile(module.read_text(), str(module), "exec")
    assert freeze(project, "again") == 1, "what is frozen is not frozen twice"


def test_the_delta_takes_a_database_there_and_back(project, migrated_database):
    change(project)
    freeze(project, "some_change")
    forward, reverse = newest(project)
    session = Session(migrated_database)
    look = (
        "select proname || prosrc from pg_proc where starts_with(proname, 'queue_tasks_') "
        "union all select indexdef from pg_indexes where starts_with(tablename, 'procrastinate') "
        "union all select attname from pg_attribute where starts_with(attname, 'qt_') order by 1"
    )
    before = session.column(look)
    session.rows(forward)
    there = "".join(session.column(look))
    assert "queue_tasks_new_v1" in there
    assert "(qt_expires_at, id)" in there
    assert "qt_new" in there
    assert "queue_tasks_enqueue_v1" not in there
    session.rows(reverse)
    assert session.column(look) == before
    session.close()


def test_the_reverse_of_the_first_migration_drops_what_there_is_and_keeps_what_stands_beside(project):
    folder = project / "sql" / "migrations"
    (folder / "0001_initial.reverse.sql").write_text(
        "-- above\n-- drop triggers\n-- end of triggers\n"
        "-- drop functions\ndrop function long_gone;\n-- end of functions\n"
        "-- between\n-- drop indexes\n-- end of indexes\n-- drop tables\n-- end of tables\n-- below\n"
    )
    change(project)
    assert freeze(project, "--initial") == 0
    text = (folder / "0001_initial.reverse.sql").read_text()
    assert text.startswith("-- above\n-- drop triggers\ndrop trigger if exists")
    assert text.endswith("-- end of tables\n-- below\n")
    assert "-- end of functions\n-- between\n-- drop indexes\n" in text
    assert "drop function if exists queue_tasks_new_v1;\n" in text
    assert "drop column if exists qt_new,\n" in text
    assert "drop table if exists queue_tasks_queues;\n" in text
    assert "long_gone" not in text
    assert "queue_tasks_enqueue_v1" not in text


def test_a_reverse_without_a_place_for_what_is_dropped_is_refused(project):
    (project / "sql" / "migrations" / "0001_initial.reverse.sql").write_text("-- drop triggers\n")
    with pytest.raises(ValueError, match="no place for triggers"):
        freeze(project, "--initial")


def test_a_released_first_migration_is_not_written_again(project, capsys):
    assert freeze(project, "--initial") == 0
    (project / "sql" / "migrations" / "frozen.sha256").write_text("0000  0001_initial.sql\n")
    assert freeze(project, "--initial") == 1
    assert "released" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["name", "--initial"], ["Bad Name"]])
def test_bad_usage_is_told(project, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        freeze(project, *arguments)
    assert caught.value.code == 2
    assert "expected" in capsys.readouterr().err or arguments != ["Bad Name"]
