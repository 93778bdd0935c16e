"""Everything a user can name has its heading in docs/, and no heading names what does not exist."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import Any

import pytest
from django.core.management import load_command_class

import queue_tasks
from queue_tasks import events, exceptions, pytest_plugin, signals, testing
from queue_tasks.conf import Options
from queue_tasks.jobs import JobState
from queue_tasks.retry import RetryPolicy
from queue_tasks.schema import Kind, wanted
from queue_tasks.tasks import Task
from queue_tasks.worker.context import TaskContext
from tests.docs.pages import DOCS, PROJECT, headings, prose

REFERENCE = DOCS / "reference"
DJANGO_FLAGS = {
    "--help",
    "--version",
    "--verbosity",
    "--settings",
    "--pythonpath",
    "--traceback",
    "--no-color",
    "--force-color",
    "--skip-checks",
}


def named(page: str, under: str | None = None, level: int | None = None) -> set[str]:
    """The headings of a page that name something; all of them, or those under one heading."""
    return {
        heading.text
        for heading in headings(DOCS / page)
        if heading.level > 1 and under in (None, heading.under) and level in (None, heading.level)
    }


def code_of(*patterns: str) -> str:
    """The text of the library's files."""
    return "\n".join(path.read_text(encoding="utf-8") for pattern in patterns for path in sorted(PROJECT.glob(pattern)))


def test_every_option_of_the_backend():
    options = {option.name: option.default for option in fields(Options)}
    assert named("reference/options.md") == set(options)
    table = dict(re.findall(r"^\| \[`(\w+)`\]\(#\w+\) \| (.*) \|$", prose(REFERENCE / "options.md"), re.MULTILINE))
    assert {name: as_value(text) for name, text in table.items()} == options


def as_value(text: str) -> Any:
    """The default as the table says it."""
    if text.startswith("`"):
        from datetime import timedelta

        return eval(text.strip("`"), {"timedelta": timedelta})  # noqa: S307 - our own documentation
    return float(text.removesuffix(" s").replace(",", ""))


def test_every_option_of_a_task():
    options = {option.name for option in fields(Task)} - {"func", "run_after"}
    assert named("reference/tasks.md", "Options of @task") == options


def test_every_value_that_using_takes():
    page = (REFERENCE / "tasks.md").read_text()
    section = page.partition("## `.using()`")[2].partition("##")[0]
    taken = set(inspect.signature(Task.using).parameters) - {"self"}
    assert taken <= set(re.findall(r"`(\w+)`", section))


def test_every_public_method_of_a_task():
    page = (REFERENCE / "tasks.md").read_text().partition("## Methods")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", page))
    own = {name for name in vars(Task) if not name.startswith("_") and callable(getattr(Task, name))}
    assert own <= documented
    assert all(hasattr(Task, name) for name in documented), documented


def test_every_field_of_a_retry_policy():
    assert named("reference/tasks.md", "RetryPolicy") == {option.name for option in fields(RetryPolicy)}


def test_every_option_of_a_schedule():
    documented = {
        name for heading in named("reference/periodic.md", "Options of @periodic") for name in heading.split(" and ")
    }
    assert documented == set(inspect.signature(queue_tasks.periodic).parameters)


def test_every_attribute_of_the_context():
    public = {name for name in dir(TaskContext) if not name.startswith("_")} - {"run"}
    assert named("reference/context.md") == public


def test_every_public_name():
    assert named("reference/python.md") == set(queue_tasks.__all__)


@pytest.mark.parametrize("command", ["queue_worker"])
def test_every_flag_of_the_worker(command: str):
    parser = load_command_class("queue_tasks", command).create_parser("manage.py", command)
    flags = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
    assert named("reference/commands.md", command) == flags - DJANGO_FLAGS


def test_every_verb_and_flag_of_the_queue_command():
    parser = load_command_class("queue_tasks", "queue").create_parser("manage.py", "queue")
    verbs = next(action.choices for action in parser._actions if action.dest == "verb")
    assert isinstance(verbs, dict)
    assert named("reference/commands.md", "queue") == {f"queue {verb}" for verb in verbs}
    page = (REFERENCE / "commands.md").read_text()
    for verb, its_parser in verbs.items():
        section = page.partition(f"### `queue {verb}`")[2].partition("\n#")[0]
        flags = {flag for action in its_parser._actions for flag in action.option_strings if flag.startswith("--")}
        # Of every verb, and described once at the top.
        assert set(re.findall(r"`(--[\w-]+)", section)) == flags - DJANGO_FLAGS - {"--json", "--backend"}, verb


ROOTS = {events.Event, events.WorkerEvent, events.ControlEvent}


def test_every_event():
    classes = {
        name
        for name, value in vars(events).items()
        if inspect.isclass(value) and issubclass(value, events.Event) and value not in ROOTS
    }
    told = named("reference/events.md", "Of workers", 3) | named("reference/events.md", "Of operators", 3)
    assert told == classes


def test_every_signal():
    made = {name: each.kind for name, each in vars(signals).items() if isinstance(each, signals.EventSignal)}
    page = (REFERENCE / "events.md").read_text()
    assert dict(re.findall(r"^### `(\w+)`\n\nSignal `(\w+)`\.", page, re.MULTILINE)) == {
        kind.__name__: name for name, kind in made.items()
    }


def test_every_field_of_an_event():
    page = (REFERENCE / "events.md").read_text()
    for heading in headings(REFERENCE / "events.md"):
        if heading.level == 3:
            section = page.partition(f"### `{heading.text}`")[2].partition("\n#")[0].partition("`.")[2]
            own = {field.name for field in fields(getattr(events, heading.text))} - {"worker_id", "database"}
            assert own == set(re.findall(r"`([a-z_]+)`", section)) - {"worker_id"}, heading.text


def test_every_exception():
    classes = {
        name
        for name, value in vars(exceptions).items()
        if inspect.isclass(value) and issubclass(value, exceptions.QueueTasksError)
    }
    assert named("reference/errors.md", "Exceptions") == classes


def test_every_sqlstate_that_our_sql_raises():
    text = code_of("sql/functions/*.sql", "sql/triggers/*.sql")
    raised = set(re.findall(r"errcode = '(QT\d+)'", text))
    raised |= {"23503"} if "errcode = 'foreign_key_violation'" in text else set()
    noted = set(re.findall(r"^-- Raises .*?(\d{5})", text, re.MULTILINE)) | set(
        re.findall(r"^-- Raises .*; (\d{5})", text, re.MULTILINE)
    )
    assert named("reference/errors.md", "SQLSTATEs") == raised | noted


def test_every_system_check():
    ids = set(re.findall(r"\"(queue_tasks\.[EW]\d+)\"", code_of("queue_tasks/**/*.py")))
    assert named("reference/checks.md") == ids


def test_every_state_of_a_job():
    assert named("lifecycle.md", "The states") == {state.value for state in JobState}
    # Below its own heading line.
    table = re.findall(r"^\| (\w+) \| `\w+`", prose(DOCS / "lifecycle.md"), re.MULTILINE)
    assert table[1:] == [state.value for state in JobState]


def test_every_sql_function():
    functions = {item.name for item in wanted() if item.kind is Kind.FUNCTION}
    assert named("reference/sql.md", level=3) == functions


def test_every_parameter_of_the_public_sql_function():
    source = (PROJECT / "sql" / "functions" / "queue_tasks_enqueue_v1.sql").read_text()
    head = source.partition("function queue_tasks_enqueue_v1(")[2].partition(") returns")[0]
    parameters = re.findall(r"^\s+(\w+) ", head, re.MULTILINE)
    section = (REFERENCE / "sql.md").read_text().partition("queue_tasks_enqueue_v1`")[2].partition("```")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == parameters


def test_every_column_index_and_trigger():
    page = (REFERENCE / "schema.md").read_text()
    columns = [item.name.partition(".") for item in wanted() if item.kind is Kind.COLUMN]
    objects = {item.name for item in wanted() if item.kind not in (Kind.COLUMN, Kind.FUNCTION)}
    objects |= {column for table, _, column in columns if table.startswith("procrastinate_")}
    documented = set(
        re.findall(r"`(qt_\w+|procrastinate_\w*(?:_idx\w*|_qt_\w+)|queue_tasks_\w+_(?:idx|changed))`", page)
    )
    assert documented == objects
    for table in {table for table, _, _ in columns if table.startswith("queue_tasks_")}:
        section = page.partition(f"## `{table}`")[2].partition("\n## ")[0]
        cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == {
            column for owner, _, column in columns if owner == table
        }


def test_every_channel():
    text = code_of("sql/**/*.sql", "queue_tasks/**/*.py")
    channels = set(re.findall(r"(?:pg_notify|queue_tasks_tell_v1)\('(queue_tasks_\w+)'", text))
    section = (REFERENCE / "signals-and-logging.md").read_text().partition("## Channels")[2]
    assert channels == set(re.findall(r"`(queue_tasks_\w+)`", section))


def test_every_logger():
    loggers = set(re.findall(r"getLogger\(\"([\w.]+)\"\)", code_of("queue_tasks/**/*.py")))
    section = (REFERENCE / "signals-and-logging.md").read_text().partition("## Loggers")[2].partition("\n## ")[0]
    assert loggers <= set(re.findall(r"^\| `([\w.]+)`", section, re.MULTILINE))


def test_every_function_for_tests():
    assert named("reference/testing.md", "Functions") == set(testing.__all__)


def test_every_fixture():
    fixtures = {
        name for name in vars(pytest_plugin) if not name.startswith("_") and is_fixture(getattr(pytest_plugin, name))
    }
    assert {name.removesuffix(" (fixture)") for name in named("reference/testing.md", "Fixtures")} == fixtures


def is_fixture(value: object) -> bool:
    """Whether pytest will take it for one."""
    return type(value).__name__ == "FixtureFunctionDefinition"
