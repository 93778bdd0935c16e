"""The linter of sql/ accepts a good project and names each fault with its place."""

from pathlib import Path

import pytest

from tools import lint_sql

GOOD = {
    "sql/README.md": "fetch_jobs wake_v1 ready_idx 0001_initial 0001_initial.reverse",
    "sql/queries/fetch_jobs.sql": """\
-- fetch_jobs(queue, wait) -> rows
-- Take what is ready; it's 100 % fair, "%(as)s" they say.
-- Called by  store.JobStore.fetch_jobs
with ready as (select id from jobs where queue = %(queue)s and due < now() + make_interval(secs => %(wait)s))
select * from ready union all select * from queue_tasks_fetch_jobs_v1(%(queue)s)
""",
    "sql/functions/wake_v1.sql": """\
-- wake_v1(queues text[]) -> nothing
-- Wake the workers.
-- Called by  the triggers
create or replace function wake_v1(p_queues text[]) returns void language sql as $body$ select 'select *' $body$;
""",
    "sql/indexes/ready_idx.sql": """\
-- ready_idx: what is ready
-- Called by  fetch_jobs
create index if not exists ready_idx on j (id);
""",
    "sql/migrations/0001_initial.sql": "-- 0001_initial: all\n-- Called by  migrate\nselect 1;\n",
    "sql/migrations/0001_initial.reverse.sql": "-- 0001_initial.reverse: nothing\n-- Called by  migrate\nselect 1;\n",
    "queue_tasks/statements.py": 'FETCH_JOBS = load("fetch_jobs")\n',
    "queue_tasks/schema/files.py": 'LIVING = ("functions", "indexes")\n',
}
QUERY = "sql/queries/fetch_jobs.sql"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in GOOD.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def findings(project: Path) -> list[str]:
    return [str(finding) for finding in lint_sql.lint(project)]


def test_a_good_project_has_no_findings(project, capsys):
    assert findings(project) == []
    assert lint_sql.main(["--project", str(project)]) == 0
    assert capsys.readouterr().out == ""


def test_an_empty_project_has_no_findings(tmp_path):
    assert findings(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "finding"),
    [
        (QUERY, "-- fetch_jobs(", "-- fetch_many(", "fetch_jobs.sql:1: the first line must be a comment"),
        (QUERY, "-- Called by  store", "-- See store", "fetch_jobs.sql:3: the header lacks"),
        (QUERY, "-- Take what", "-- Reads     what", "fetch_jobs.sql:1: the header does not say what it does"),
        (
            QUERY,
            "make_interval(secs => %(wait)s)",
            "interval '%(wait)s seconds'",
            "fetch_jobs.sql:4: %(wait)s is within quotes",
        ),
        (QUERY, "%(queue)s and", '"%(queue)s" and', "fetch_jobs.sql:4: %(queue)s is within quotes"),
        (QUERY, "%(queue)s and", "$a$%(queue)s$a$ and", "fetch_jobs.sql:4: %(queue)s is within quotes"),
        (QUERY, "%(queue)s and", "'it''s %s' and", "fetch_jobs.sql:4: %s is within quotes"),
        (QUERY, "from ready", "from procrastinate_jobs", "fetch_jobs.sql:5: name the columns instead of `*`"),
        (QUERY, "from ready", ", 1 from ready", "fetch_jobs.sql:5: name the columns instead of `*`"),
        ("sql/functions/wake_v1.sql", "function wake_v1", "function wake_v2", "named wake_v1 but makes wake_v2"),
        ("sql/indexes/ready_idx.sql", "create index", "select 1; --", "named ready_idx but makes nothing"),
        ("sql/README.md", "wake_v1", "", "wake_v1.sql:1: sql/README.md does not list it"),
        ("queue_tasks/statements.py", "FETCH_JOBS", "FETCH", "statements.py:1: FETCH must be named FETCH_JOBS"),
        ("queue_tasks/statements.py", "FETCH_JOBS =", "# FETCH_JOBS =", "fetch_jobs.sql:1: nobody loads it"),
        (
            "queue_tasks/statements.py",
            "\n",
            '\nGONE = load("gone")\n',
            "statements.py:2: sql/queries/gone.sql does not exist",
        ),
        (
            "queue_tasks/schema/files.py",
            '"indexes"',
            "",
            'ready_idx.sql:1: queue_tasks/schema/files.py names neither "indexes"',
        ),
    ],
)
def test_each_fault_is_found_where_it_is(project, name, old, new, finding):
    file = project / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    assert [found for found in findings(project) if finding in found], findings(project)


def test_a_migration_that_cannot_be_taken_back_is_found(project):
    (project / "sql/migrations/0001_initial.reverse.sql").unlink()
    assert findings(project) == [
        "sql/migrations/0001_initial.sql:1: 0001_initial.reverse.sql is missing: a migration can be taken back"
    ]


def test_a_gap_in_the_numbers_is_found(project):
    for end in (".sql", ".reverse.sql"):
        (project / f"sql/migrations/0001_initial{end}").rename(project / f"sql/migrations/0003_initial{end}")
    assert "migration number 1: name it 0001_<what>.sql" in " ".join(findings(project))


def test_a_released_migration_never_changes(project):
    migration = project / "sql/migrations/0001_initial.sql"
    assert lint_sql.main(["--project", str(project), "--freeze"]) == 0
    assert findings(project) == []
    migration.write_text(migration.read_text() + "-- more\n")
    changed = ["sql/migrations/0001_initial.sql:1: it was released and must not change: add a new migration"]
    assert findings(project) == changed
    lint_sql.main(["--project", str(project), "--freeze"])  # freezing again forgives nothing
    assert findings(project) == changed
    migration.unlink()
    assert "sql/migrations/frozen.sha256:2: 0001_initial.sql was released and is gone" in findings(project)


def test_the_command_prints_findings_and_fails(project, capsys):
    (project / "sql/README.md").unlink()
    assert lint_sql.main(["--project", str(project)]) == 1
    captured = capsys.readouterr()
    assert "sql/functions/wake_v1.sql:1: sql/README.md does not list it" in captured.out
    assert "5 findings" in captured.err
