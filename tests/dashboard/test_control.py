"""What is decided about queues and workers: asked first, done once, written down, by whoever may."""

import threading

import psycopg
import pytest
from django.db import connection

from queue_tasks import control
from queue_tasks.dashboard.views.control import ORDERS
from queue_tasks.overview import QueueControl, list_controls
from tests.dashboard.visitors import OPERATES, address, form_of, text_of, ticket, visitor
from tests.waiting import PATIENCE, wait_until


@pytest.fixture
def worker(ask):
    return ask("insert into procrastinate_workers (qt_name) values ('camel') returning id")


def press(client, name, target, **more):
    """Go by the page that asks."""
    there = f"{address(name)}?name={target}"
    return client.post(address(name), {**form_of(client, there, ""), **more})


def gate(name="media"):
    return list_controls().get(name, QueueControl(name))


def notes():
    with connection.cursor() as cursor:
        cursor.execute("select user_name, action, target, before, after from queue_tasks_changes order by id")
        return cursor.fetchall()


def test_a_queue_is_paused_and_goes_on(operator):
    response = press(operator, "pause_queue", "media")
    assert (response.status_code, response["Location"]) == (303, f"{address('queues')}?told=pause_queue")
    assert (gate().paused, gate().paused_until, gate().paused_by) == (True, None, "operator")
    page = text_of(operator.get(response["Location"]))
    assert 'role="status"' in page
    assert "paused</strong> by operator" in page
    assert f'{address("resume_queue")}?name=media"' in page
    assert press(operator, "resume_queue", "media").status_code == 303
    assert not gate().paused
    assert [note[:3] for note in notes()] == [
        ("operator", "queue pause", "media"),
        ("operator", "queue resume", "media"),
    ]
    assert "resumed" in str(notes()[0][4])


def test_a_queue_is_paused_for_a_time(operator):
    assert press(operator, "pause_queue", "media", until="1h").status_code == 303
    assert 3000 < gate().resumes_in <= 3600
    assert " until " in text_of(operator.get(address("queues")))
    assert press(operator, "pause_queue", "media", until="tomorrow").status_code == 400
    assert 3000 < gate().resumes_in <= 3600


def test_a_queue_is_limited(operator, make_job):
    make_job(queue_name="media")
    assert press(operator, "limit_queue", "media", concurrency="3").status_code == 303
    assert gate().concurrency == 3
    assert ", limit 3" in text_of(operator.get(address("queues")))
    assert 'value="3"' in text_of(operator.get(f"{address('limit_queue')}?name=media"))
    for wrong in ("0", "-1", "many", "9" * 20, "3000000000"):
        response = press(operator, "limit_queue", "media", concurrency=wrong)
        assert (response.status_code, 'role="alert"' in text_of(response)) == (400, True), wrong
    assert gate().concurrency == 3
    assert press(operator, "limit_queue", "media", concurrency="").status_code == 303
    assert gate().concurrency is None


def test_a_worker_is_quieted_woken_and_stopped(operator, worker, ask):
    told = "select qt_told from procrastinate_workers where id = %s"
    for name, after, shown in (("quiet", "quiet", ", quiet"), ("resume", None, ""), ("stop", "stop", ", stopping")):
        response = press(operator, f"{name}_worker", worker)
        assert (response.status_code, response["Location"]) == (303, f"{address('workers')}?told={name}_worker")
        assert ask(told, worker) == after
        assert shown in text_of(operator.get(response["Location"]))
    assert address("stop_worker") not in text_of(operator.get(address("workers")))
    assert [note[1:3] for note in notes()] == [
        (f"worker {name}", f"worker {worker}") for name in ("quiet", "resume", "stop")
    ]
    response = press(operator, "quiet_worker", worker)
    assert (response.status_code, "is stopping" in text_of(response)) == (409, True)
    assert len(notes()) == 3, "what was not done is not written down"


def test_a_form_that_is_sent_twice_acts_once(operator):
    form = {**form_of(operator, f"{address('pause_queue')}?name=media", ""), "until": "1h"}
    assert operator.post(address("pause_queue"), form)["Location"].endswith("told=pause_queue")
    control.resume_queue("media")
    assert operator.post(address("pause_queue"), form)["Location"].endswith("told=repeated")
    assert not gate().paused


def decide(*, paused_by=None, limit=None):
    """What somebody else decides about the queue; None: it is open."""
    if paused_by is None:
        control.resume_queue("media")
    else:
        control.pause_queue("media", by=paused_by)
    control.limit_queue("media", limit)


@pytest.mark.parametrize(
    ("order", "seen", "quicker", "told"),
    [
        ("resume_queue", {"paused_by": "ada"}, {}, "is not paused now"),
        ("resume_queue", {"paused_by": "ada"}, {"paused_by": "grace"}, "is paused by grace now"),
        ("pause_queue", {}, {"paused_by": "grace"}, "is paused by grace now"),
        ("limit_queue", {}, {"limit": 3}, "has a limit of 3 now"),
        ("limit_queue", {"limit": 3}, {}, "has no limit now"),
    ],
)
def test_somebody_was_quicker(operator, order, seen, quicker, told):
    decide(**seen)
    form = form_of(operator, f"{address(order)}?name=media", "")
    decide(**quicker)
    before = gate()
    response = operator.post(address(order), {**form, "concurrency": "5"})
    assert (response.status_code, told in text_of(response)) == (409, True)
    assert gate() == before
    assert notes() == []


@pytest.mark.django_db(transaction=True)
def test_of_two_who_decide_at_the_same_time_the_second_waits_and_is_told(operator, dsn, settings):
    settings.QUEUE_TASKS_DASHBOARD = {"statement_timeout": 60}
    form = form_of(operator, f"{address('pause_queue')}?name=media", "")
    answers = []

    def send():
        try:
            answers.append(operator.post(address("pause_queue"), form))
        finally:
            connection.close()

    with (
        psycopg.connect(dsn, application_name="tests.control") as grace,
        psycopg.connect(dsn, application_name="tests.control", autocommit=True) as looking,
    ):
        grace.execute(
            "insert into queue_tasks_queues (queue_name, paused_until, paused_by) values ('media', 'infinity', 'grace')"
        )
        thread = threading.Thread(target=send)
        thread.start()
        blocked = "select pid from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
        wait_until(lambda: looking.execute(blocked, [grace.info.backend_pid]).fetchall())
        grace.commit()
        thread.join(PATIENCE)
    assert [(answer.status_code, "is paused by grace now" in text_of(answer)) for answer in answers] == [(409, True)]
    assert (gate().paused_by, notes()) == ("grace", [])


def test_what_one_does_to_one_queue_is_no_matter_for_another(operator):
    control.limit_queue("media", 3)
    form = form_of(operator, f"{address('pause_queue')}?name=media", "")
    control.limit_queue("media", 4)
    control.pause_queue("mail", by="grace")
    assert operator.post(address("pause_queue"), form).status_code == 303
    assert (gate().paused, gate().concurrency) == (True, 4)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.name)
def test_what_names_nothing_is_refused(operator, order, worker):
    for name in ("", "n" * 129, "\x00") if order.about == "queue" else ("", "seven", "-1", "9" * 30):
        assert operator.get(address(order.name), {"name": name}).status_code == 400
        form = {"name": name, "ticket": ticket(), "concurrency": "1"}
        assert operator.post(address(order.name), form).status_code == 400
    assert operator.post(address(order.name), {"name": str(worker)}).status_code == 400, "without a ticket"
    assert list_controls() == {}


def test_a_name_of_any_letters_finds_its_way(operator):
    name = 'Überall & "nirgends" <b>?/#'
    control.pause_queue(name)
    page = text_of(operator.get(address("queues")))
    assert "<b>?" not in page
    there = address("resume_queue") + "?name=%C3%9Cberall%20%26%20%22nirgends%22%20%3Cb%3E%3F%2F%23"
    assert f'href="{there}"' in page
    assert "Überall &amp; &quot;nirgends&quot; &lt;b&gt;?/#?" in text_of(operator.get(there))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.name)
def test_who_may_not_sees_no_button_and_does_nothing(db, order, worker):
    needed = str(order.permission).partition(".")[2]
    client = visitor("almost", *(name for name in OPERATES if name != needed))
    page = text_of(client.get(address(f"{order.about}s")))
    assert "/control/" not in page
    name = "media" if order.about == "queue" else str(worker)
    assert client.get(address(order.name), {"name": name}).status_code == 403
    assert client.post(address(order.name), {"name": name, "ticket": ticket(), "concurrency": "1"}).status_code == 403
    assert list_controls() == {}
    able = visitor("able", "view_job", needed)
    assert able.get(address(order.name), {"name": name}).status_code == 200


# -------------------------------------------------------------------------------------- of a visitor's own queues alone


@pytest.fixture
def tenant(operator, settings):
    """May do everything, but only what is of the queue media is his."""
    settings.QUEUE_TASKS_DASHBOARD = {"visible_queues": lambda _request: ["media"]}
    return operator


@pytest.fixture
def register(ask):
    """Make a worker of some queues; None: of all."""
    insert = "insert into procrastinate_workers (qt_name, qt_queues, qt_told) values ('camel', %s, %s) returning id"
    return lambda queues, told=None: ask(insert, queues, told)


def refuses(client, order, name):
    """Whether neither the page that asks is there nor the form, for him as for a name that nobody uses."""
    form = {"name": name, "ticket": ticket(), "seen": "open", "concurrency": "1"}
    return [client.get(address(order), {"name": name}).status_code, client.post(address(order), form).status_code] == [
        404,
        404,
    ]


@pytest.mark.parametrize("order", [order.name for order in ORDERS if order.about == "queue"])
def test_a_tenant_decides_about_no_queue_of_others(tenant, order):
    control.pause_queue("mail", by="grace")
    before = gate("mail")
    assert "mail" not in text_of(tenant.get(address("queues")))
    assert refuses(tenant, order, "mail")
    assert refuses(tenant, order, "no queue at all")
    assert gate("mail") == before
    assert notes() == []


@pytest.mark.parametrize("order", [order.name for order in ORDERS if order.about == "queue"])
def test_a_tenant_decides_about_his_own(tenant, order):
    if order == "resume_queue":
        control.pause_queue("media")
    assert press(tenant, order, "media", concurrency="2").status_code == 303
    assert [note[2] for note in notes()] == ["media"]


@pytest.mark.parametrize("order", [order.name for order in ORDERS if order.about == "worker"])
@pytest.mark.parametrize("queues", [["media", "mail"], ["mail"], [], None], ids=["shared", "others", "none", "all"])
def test_a_tenant_tells_no_worker_that_serves_others_too(tenant, register, order, queues, ask):
    worker = register(queues, "quiet" if order == "resume_worker" else None)
    before = ask("select coalesce(qt_told, '') from procrastinate_workers where id = %s", worker)
    assert f"/control/{order}/?name={worker}" not in text_of(tenant.get(address("workers")))
    assert refuses(tenant, order, worker)
    assert ask("select coalesce(qt_told, '') from procrastinate_workers where id = %s", worker) == before
    assert notes() == []


@pytest.mark.parametrize("order", [order.name for order in ORDERS if order.about == "worker"])
def test_a_tenant_tells_a_worker_of_his_own(tenant, register, order):
    worker = register(["media"], "quiet" if order == "resume_worker" else None)
    assert f'{address(order)}?name={worker}"' in text_of(tenant.get(address("workers")))
    assert press(tenant, order, worker).status_code == 303
    assert [note[2] for note in notes()] == [f"worker {worker}"]


def test_of_the_queues_he_sees_none_a_tenant_decides_nothing(operator, settings, register):
    settings.QUEUE_TASKS_DASHBOARD = {"visible_queues": lambda _request: []}
    worker = register(["media"])
    for order in ORDERS:
        assert refuses(operator, order.name, "media" if order.about == "queue" else worker), order.name
    assert notes() == []
