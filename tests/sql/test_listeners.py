"""Who is told of a job: two of those that sleep are named; nobody, while all who serve its queue look by themselves."""

import json

import pytest
from psycopg import IsolationLevel, sql

from queue_tasks import statements

EVERYBODY = '{"type": "job_inserted", "job_id": 0}'
ANY = "procrastinate_any_queue_v1"


def queue(name):
    return f"procrastinate_queue_v1#{name}"


@pytest.fixture
def one(open_session):
    return open_session("one")


@pytest.fixture
def two(open_session):
    return open_session("two")


@pytest.fixture
def ear(open_session):
    return open_session("ear")


def ours(session):
    """A registered worker of ours."""
    return session.value("insert into procrastinate_workers (qt_name) values ('w') returning id")


def listener(session, *, asleep, queues=None):
    """A worker of ours that listens."""
    worker = ours(session)
    note(session, worker, asleep=asleep, queues=queues)
    return worker


def note(session, worker, *, asleep, queues=None):
    given = {"worker_id": worker, "queues": queues, "asleep": asleep}
    return session.connection.execute(statements.NOTE_LISTENER, given).fetchall()


def listeners(session):
    return dict(session.rows("select worker_id, asleep from queue_tasks_listeners"))


def named(notices):
    """channel -> the workers that one notification of each channel names."""
    assert len({channel for channel, _ in notices}) == len(notices), notices
    return {channel: json.loads(payload).get("workers") for channel, payload in notices}


def writers(session, known=None):
    return [row[0] for row in session.connection.execute(statements.LIST_WRITERS, {"known": known}).fetchall()]


# --------------------------------------------------------------------------------------------------------------- names


def test_of_many_that_sleep_two_are_named(one, ear):
    heard = ear.listen(ANY, queue("default"))
    known = {listener(one, asleep=True) for _ in range(5)}
    one.job()
    found = named(heard())
    assert found[ANY] == found[queue("default")]
    assert len(set(found[ANY])) == 2
    assert set(found[ANY]) <= known


def test_the_only_one_that_sleeps_is_named_alone(one, ear):
    heard = ear.listen(ANY)
    for _ in range(3):
        listener(one, asleep=False)
    sleeper = listener(one, asleep=True)
    one.job()
    assert named(heard()) == {ANY: [sleeper]}


def test_stock_workers_understand_the_names_as_nothing(one, ear):
    heard = ear.listen(ANY)
    listener(one, asleep=True)
    one.job()
    ((_, payload),) = heard()
    assert json.loads(payload)["type"] == "job_inserted"
    assert payload.startswith(EVERYBODY[:-1])


def test_the_names_stay_within_a_transaction_and_change_between_them(one, ear):
    heard = ear.listen(ANY)
    for _ in range(5):
        listener(one, asleep=True)
    seen = set()
    for _ in range(40):
        with one.connection.transaction():
            for _ in range(5):
                one.job()
            one.jobs(3, queue_name=sql.SQL("'q' || n"))
        ((_, payload),) = heard()
        seen.add(tuple(json.loads(payload)["workers"]))
    assert len({first for first, _ in seen}) == 5, "each comes first now and then"


def test_who_does_not_serve_the_queue_is_not_named(one, ear):
    heard = ear.listen(queue("a"), queue("b"), queue("c"))
    of_a = listener(one, asleep=True, queues=["a"])
    of_both = listener(one, asleep=True, queues=["a", "b"])
    one.jobs(3, queue_name=sql.SQL("substr('abc', n, 1)"))
    found = named(heard())
    assert sorted(found[queue("a")]) == [of_a, of_both]
    assert found[queue("b")] == [of_both]
    assert found[queue("c")] is None, "nobody is known to serve it: everybody is told"


# ------------------------------------------------------------------------------------------------------------- silence


def change(session, way):
    """Make a job ready in one of the ways there are."""
    worker = ours(session)
    match way:
        case "insert":
            session.job()
        case "promote":
            session.job(scheduled_at=sql.SQL("now() - interval '1 s'"))
            session.rows("select * from queue_tasks_promote_jobs_v1(10)")
        case "retried" | "released":
            session.job()
            session.finish(worker, session.fetch(worker), way)
        case "lock":
            session.jobs(2, lock="a")
            session.finish(worker, session.fetch(worker), "succeeded")
        case "delete":
            session.jobs(2, lock="a")
            session.fetch(worker)
            session.rows("delete from procrastinate_jobs where status = 'doing'")


@pytest.mark.parametrize("way", ["insert", "promote", "retried", "released", "lock", "delete"])
def test_nobody_is_told_while_all_look_by_themselves(one, ear, way):
    heard = ear.listen(ANY, queue("default"))
    listener(one, asleep=False)
    listener(one, asleep=False)
    change(one, way)
    assert heard() == []


@pytest.mark.parametrize("way", ["insert", "promote", "retried", "released", "lock", "delete"])
def test_whoever_sleeps_is_told_beside_them(one, ear, way):
    listener(one, asleep=False)
    sleeper = listener(one, asleep=True)
    heard = ear.listen(ANY)
    change(one, way)
    assert {tuple(json.loads(payload)["workers"]) for _, payload in heard()} == {(sleeper,)}


def test_a_queue_that_nobody_awake_serves_is_not_silent(one, ear):
    heard = ear.listen(ANY, queue("a"), queue("b"))
    listener(one, asleep=False, queues=["a"])
    one.job(queue_name="a")
    assert heard() == []
    one.job(queue_name="b")
    assert sorted(heard()) == sorted([(ANY, EVERYBODY), (queue("b"), EVERYBODY)])


def test_a_stock_worker_is_always_told(one, ear):
    heard = ear.listen(ANY)
    listener(one, asleep=False)
    stock = one.worker()
    one.job()
    assert heard() == [(ANY, EVERYBODY)]
    one.rows("delete from procrastinate_workers where id = %s", stock)
    one.job()
    assert heard() == []


def test_a_stock_worker_is_told_also_after_a_crash_has_emptied_the_table(one, ear):
    heard = ear.listen(ANY)
    stock = one.worker()
    one.rows("truncate queue_tasks_listeners")
    worker = listener(one, asleep=False)
    assert listeners(one) == {stock: None, worker: False}
    one.job()
    assert heard() == [(ANY, EVERYBODY)]


def test_a_stock_worker_is_not_named(one, ear):
    heard = ear.listen(ANY)
    one.worker()
    sleeper = listener(one, asleep=True)
    one.job()
    assert named(heard()) == {ANY: [sleeper]}


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_a_snapshot_of_the_past_silences_nobody(one, two, ear, level):
    """It shows as awake who has gone to sleep since, however long ago."""
    heard = ear.listen(ANY)
    worker = listener(one, asleep=False)
    two.connection.isolation_level = level
    with two.connection.transaction():
        assert two.column("select asleep from queue_tasks_listeners") == [False]
        note(one, worker, asleep=True)
        assert two.column("select asleep from queue_tasks_listeners") == [False]
        two.job()
    assert heard() == [(ANY, EVERYBODY)]


def test_a_statement_sees_who_lay_down_after_its_transaction_began(one, two, ear):
    heard = ear.listen(ANY)
    worker = listener(one, asleep=False)
    with two.connection.transaction():
        two.job()
        note(one, worker, asleep=True)
        two.job()
    assert named(heard()) == {ANY: [worker]}


def test_a_table_that_was_emptied_silences_nobody(one, ear):
    heard = ear.listen(ANY)
    listener(one, asleep=False)
    one.rows("truncate queue_tasks_listeners")
    one.job()
    assert heard() == [(ANY, EVERYBODY)]


# --------------------------------------------------------------------------------------------------------------- rows


def test_a_worker_s_row_goes_with_the_worker(one):
    worker, other = listener(one, asleep=True), listener(one, asleep=False)
    one.rows("delete from procrastinate_workers where id = %s", worker)
    assert listeners(one) == {other: False}


def test_rows_of_workers_that_are_gone_are_cleared_by_the_next_note(one):
    listener(one, asleep=True)
    one.rows("truncate procrastinate_workers cascade")
    worker = listener(one, asleep=True)
    assert listeners(one) == {worker: True}


def test_a_worker_that_is_not_registered_is_not_noted(one):
    assert note(one, 4711, asleep=False) == []
    assert listeners(one) == {}


def test_those_who_serve_the_same_queues_are_counted(one):
    for queues in (["a"], ["b"], ["a", "c"]):
        listener(one, asleep=True, queues=queues)
    worker = ours(one)
    assert note(one, worker, asleep=False, queues=["a"]) == [(3,)]
    assert note(one, worker, asleep=False, queues=["b", "c"]) == [(3,)]
    assert note(one, worker, asleep=False) == [(4,)]


# ------------------------------------------------------------------------------------------------------------- writers


def test_an_open_transaction_that_wrote_a_job_is_a_writer_until_it_ends(one, two):
    assert writers(two) == []
    with one.connection.transaction():
        one.job()
        (writer,) = writers(two)
        assert writers(two, [writer]) == [writer]
        assert writers(two, ["0/0"]) == []
    assert writers(two) == []
    with one.connection.transaction():
        one.job()
        assert writers(two, [writer]) == [], "another transaction of the same session"


def test_so_is_one_that_wrote_it_in_a_savepoint_and_one_that_only_changed_or_deleted(one, two):
    job = one.job()
    for statement in (
        "insert into procrastinate_jobs (queue_name, task_name) values ('q', 't')",
        "update procrastinate_jobs set scheduled_at = null where id = -1",
        "delete from procrastinate_jobs where id = -1",
    ):
        with one.connection.transaction():
            with one.connection.transaction():
                one.rows(statement)
            assert len(writers(two)) == 1
    with one.connection.transaction(force_rollback=True):
        one.rows("select from procrastinate_jobs where id = %s", job)
        assert writers(two) == [], "who reads tells nobody of anything"


# ----------------------------------------------------------------------------------------------------------- the others


@pytest.mark.parametrize(
    ("of", "sleeping", "told"),
    [
        (None, None, {ANY}),
        (["a"], None, {ANY}),
        (None, ["a", "b"], {ANY, queue("a"), queue("b")}),
        (["b"], ["a", "b"], {ANY, queue("b")}),
        (["c"], ["a", "b"], set()),
    ],
)
def test_the_others_that_sleep_and_serve_the_queues_are_told(one, ear, of, sleeping, told):
    heard = ear.listen(ANY, queue("a"), queue("b"), queue("c"))
    me = listener(one, asleep=True, queues=of)
    listener(one, asleep=False)
    listener(one, asleep=True, queues=sleeping)
    one.connection.execute(statements.TELL_OTHERS, {"worker_id": me, "queues": of})
    assert {(channel, EVERYBODY) for channel in told} == set(heard())


def test_nobody_is_told_when_no_other_sleeps(one, ear):
    heard = ear.listen(ANY)
    me = listener(one, asleep=True)
    listener(one, asleep=False)
    one.connection.execute(statements.TELL_OTHERS, {"worker_id": me, "queues": None})
    assert heard() == []
