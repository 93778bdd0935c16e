"""sql/README.md is complete and true; errors are the same in the files, the map and Python."""

import re

from queue_tasks import statements
from queue_tasks.statements import sql_root
from queue_tasks.store import jobs
from tests.postgres import PROJECT
from tools import freeze_migration, sql_readme

README = sql_root() / "README.md"


def test_the_map_is_what_the_headers_say():
    assert sql_readme.main(["--check"]) == 0, "run: python tools/sql_readme.py"


def test_every_file_has_its_line_and_every_link_leads_to_a_file():
    linked = set(re.findall(r"\]\((\w+/[\w.]+\.sql)\)", README.read_text()))
    assert linked == {str(file.relative_to(sql_root())) for file in sql_root().rglob("*.sql")}


def test_the_errors_are_the_same_in_the_files_the_map_and_python():
    living = "".join(
        file.read_text() for folder in ("functions", "triggers") for file in (sql_root() / folder).glob("*.sql")
    )
    raised = set(re.findall(r"errcode = '(QT\d{3})'", living))
    announced = {code for line in re.findall(r"-- Raises .*", living) for code in re.findall(r"QT\d{3}", line)}
    listed = set(re.findall(r"^\| (QT\d{3}) ", README.read_text(), re.MULTILINE))
    assert raised == announced == listed
    assert jobs.WORKER_UNKNOWN in raised


def test_every_channel_that_is_notified_is_listed():
    files = "".join(file.read_text() for file in sql_root().rglob("*.sql") if file.parent.name != "migrations")
    channels = set(re.findall(r"pg_notify\('(\w+)", files))
    assert {channel for channel in channels if f"`{channel}" not in README.read_text()} == set()


def test_every_function_is_commented_on_in_the_database(session):
    uncommented = session.column(
        "select proname::text from pg_proc where starts_with(proname, 'queue_tasks_') and obj_description(oid) is null"
    )
    assert uncommented == []


def test_no_statement_is_named_twice_and_each_says_its_name():
    texts = {name: value for name, value in vars(statements).items() if name.isupper()}
    assert texts
    for name, text in texts.items():
        assert text.startswith(f"/* queue_tasks: {name.lower()} */ ")


def test_the_first_migration_is_the_living_files_until_it_is_released():
    released = sql_root() / "migrations" / "frozen.sha256"
    newest = sorted(file.name for file in (sql_root() / "migrations").glob("0*.sql"))
    if not released.exists() and newest[-1].startswith("0001"):
        frozen = (sql_root() / "migrations" / "0001_initial.sql").read_text()
        assert frozen == freeze_migration.initial_text(PROJECT), "run: python tools/freeze_migration.py --initial"
        back = (sql_root() / "migrations" / "0001_initial.reverse.sql").read_text()
        assert back == freeze_migration.reverse_text(PROJECT, back), "run: python tools/freeze_migration.py --initial"
    copies = freeze_migration.newest_copies(
        PROJECT, [name.removesuffix(".sql") for name in newest if not name.endswith(".reverse.sql")]
    )
    living = {path: (PROJECT / path).read_text().strip() + "\n" for path in freeze_migration.living_files(PROJECT)}
    assert copies == living, "run: python tools/freeze_migration.py what_it_does"
