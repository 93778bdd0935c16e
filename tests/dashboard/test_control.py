"""What is decided about queues and workers: asked first, done once, written down, by whoever may."""

import pytest
from django.db import connection

from queue_tasks import control
from queue_tasks.dashboard.views.control import ORDERS
from queue_tasks.overview import QueueControl, list_controls
from tests.dashboard.visitors import OPERATES, address, form_of, text_of, ticket, visitor


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


def test_somebody_was_quicker(operator):
    control.pause_queue("media")
    form = form_of(operator, f"{address('resume_queue')}?name=media", "")
    control.resume_queue("media")
    response = operator.post(address("resume_queue"), form)
    assert (response.status_code, "is not paused any more" in text_of(response)) == (409, True)
    assert notes() == []


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


def test_who_may_see_some_queues_decides_about_no_other(operator, settings, ask):
    settings.QUEUE_TASKS_DASHBOARD = {"visible_queues": lambda _request: ["media"]}
    insert = "insert into procrastinate_workers (qt_name, qt_queues) values (%s, %s) returning id"
    own, shared, every = (
        ask(insert, "own", ["media"]),
        ask(insert, "shared", ["media", "mail"]),
        ask(insert, "every", None),
    )
    control.pause_queue("mail")
    assert "mail" not in text_of(operator.get(address("queues")))
    page = text_of(operator.get(address("workers")))
    assert [f"{address('stop_worker')}?name={worker}" in page for worker in (own, shared, every)] == [
        True,
        False,
        False,
    ]
    for name, target in (("resume_queue", "mail"), ("stop_worker", shared), ("quiet_worker", every)):
        assert operator.get(address(name), {"name": target}).status_code == 404
        assert operator.post(address(name), {"name": target, "ticket": ticket()}).status_code == 404
    assert gate("mail").paused
    assert press(operator, "pause_queue", "media").status_code == 303
    assert press(operator, "stop_worker", own).status_code == 303
    assert ask("select count(*) from procrastinate_workers where qt_told is not null") == 1
