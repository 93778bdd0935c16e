"""queue_tasks_enqueue_v1: a job from SQL."""

import psycopg
import pytest


def test_a_task_name_is_enough(session):
    job = session.value("select queue_tasks_enqueue_v1('site.tasks.resize')")
    assert session.row(job, "queue_name", "task_name", "priority", "lock", "args", "status::text", "qt_ephemeral") == (
        "default",
        "site.tasks.resize",
        0,
        None,
        {"args": [], "kwargs": {}},
        "todo",
        False,
    )
    assert session.row(job, "qt_enqueued_at <= clock_timestamp()", "qt_meta", "scheduled_at") == (True, None, None)


def test_every_option(session):
    job = session.value(
        "select queue_tasks_enqueue_v1(task => 't', args => '[1, \"two\"]', kwargs => '{\"three\": 3}', "
        "queue_name => 'media', priority => -7, run_after => now() + interval '1 day', lock => 'l', ephemeral => true)"
    )
    assert session.row(job, "queue_name", "priority", "lock", "args", "qt_ephemeral") == (
        "media",
        -7,
        "l",
        {"args": [1, "two"], "kwargs": {"three": 3}},
        True,
    )
    assert session.row(job, "scheduled_at = (qt_meta ->> 'run_after')::timestamptz")


def test_a_time_past_means_now(session):
    job = session.value("select queue_tasks_enqueue_v1('t', run_after => now() - interval '1 day')")
    assert session.row(job, "scheduled_at", "qt_meta ? 'run_after'") == (None, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("task => null", "task is null, expected the dotted path"),
        ("task => ''", "task is '', expected the dotted path"),
        ("task => repeat('é', 129)", "expected the dotted path of a task, 1 to 128 characters"),
        ("task => 't', args => null", "args of task t is null, expected a JSON array"),
        ("task => 't', args => '{}'", "args of task t is object, expected a JSON array"),
        ("task => 't', kwargs => '[]'", "kwargs of task t is array, expected a JSON object"),
        ("task => 't', kwargs => null", "kwargs of task t is null, expected a JSON object"),
        ("task => 't', queue_name => ''", "queue_name of task t is '', expected 1 to 128 characters"),
        ("task => 't', queue_name => null", "queue_name of task t is null"),
        ("task => 't', queue_name => repeat('é', 129)", "expected 1 to 128 characters"),
        ("task => 't', priority => 101", "priority of task t is 101, expected a whole number from -100 to 100"),
        ("task => 't', priority => null", "priority of task t is null"),
        (
            "task => 't', run_after => 'infinity'",
            "run_after of task t is infinity, expected a time before the year 9000",
        ),
        ("task => 't', run_after => '-infinity'", "run_after of task t is -infinity"),
        ("task => 't', run_after => queue_tasks_parked_until_v1()", "expected a time before the year 9000"),
    ],
)
def test_a_wrong_argument_is_refused_with_its_name(session, arguments, message):
    with pytest.raises(psycopg.Error) as caught, session.connection.transaction():
        session.rows(f"select queue_tasks_enqueue_v1({arguments})")
    assert caught.value.sqlstate == "QT001"
    assert message in caught.value.diag.message_primary
    assert session.statuses() == {}


def test_names_of_any_legal_length(session):
    job = session.value("select queue_tasks_enqueue_v1(repeat('é', 128), queue_name => repeat('ü', 128))")
    assert session.row(job, "task_name", "queue_name") == ("é" * 128, "ü" * 128)
    assert [found.id for found in session.fetch(session.worker(), ["ü" * 128])] == [job]


def test_a_job_is_its_transactions(open_session):
    one, two = open_session("one"), open_session("two")
    heard = two.listen("procrastinate_any_queue_v1", "queue_tasks_scheduled")
    with one.connection.transaction(force_rollback=True):
        one.rows(
            "select queue_tasks_enqueue_v1('t'), queue_tasks_enqueue_v1('t', run_after => now() + interval '1 day')"
        )
        assert two.statuses() == {}
    assert two.statuses() == {}
    assert two.value("select count(*) from procrastinate_events") == 0
    assert heard() == []
