"""What an operator does: once, against the state that was seen, and written down."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client

from queue_tasks import control, schedules
from queue_tasks.dashboard.deeds import DEEDS
from queue_tasks.jobs import JobState
from queue_tasks.periodic import Schedule
from tests.dashboard.visitors import OPERATES, address, form_of, text_of, ticket, visitor
from tests.testapp.tasks import add

NOW = datetime.now(UTC)


def status(ask, job):
    return ask("select status::text from procrastinate_jobs where id = %s", job)


def press(client, job, deed, **more):
    """Press a button of the job's page."""
    form = form_of(client, address("job", job_id=job), address(deed))
    return client.post(address(deed), {**form, **more})


@pytest.mark.parametrize(
    ("before", "deed", "after"),
    [
        ("failed", "retry", "todo"),
        ("succeeded", "retry", "todo"),
        ("todo", "cancel", "cancelled"),
        ("todo", "abort", "cancelled"),
        ("doing", "abort", "doing"),
    ],
)
def test_a_button_does_what_it_says(operator, make_job, ask, before, deed, after):
    job = make_job(status=before)
    response = press(operator, job, deed)
    assert response.status_code == 303
    assert response["Location"] == f"{address('job', job_id=job)}?told={deed}"
    assert 'role="status"' in text_of(operator.get(response["Location"]))
    assert status(ask, job) == after
    assert ask("select abort_requested from procrastinate_jobs where id = %s", job) == (before == "doing")


def test_a_retry_can_be_later(operator, make_job, ask):
    job = make_job(status="failed", attempts=1)
    assert press(operator, job, "retry", delay="1h").status_code == 303
    due = ask("select scheduled_at - now() from procrastinate_jobs where id = %s", job)
    assert timedelta(minutes=59) < due < timedelta(minutes=90)


def test_a_job_is_deleted_for_good(operator, make_job, ask):
    job = make_job(status="failed")
    response = press(operator, job, "delete")
    assert "1 job deleted" in text_of(response)
    assert ask("select count(*) from procrastinate_jobs") == 0
    assert ask("select after from queue_tasks_changes") in ({str(job): "deleted"}, json.dumps({str(job): "deleted"}))


def test_a_running_job_is_not_deleted(operator, make_job, ask):
    job = make_job(status="doing")
    assert control.delete([job]) == []
    form = {"id": job, "seen": "running 0", "ticket": ticket()}
    assert operator.post(address("delete"), form).status_code == 409
    assert ask("select count(*) from procrastinate_jobs") == 1


@pytest.mark.parametrize("state", JobState)
def test_a_job_shows_the_buttons_its_state_allows(operator, make_job, state):
    waits = {"scheduled": 0, "retrying": 1}
    status = {"running": "doing"}.get(state, state.value)
    if state in waits:
        job = make_job(scheduled_at=NOW + timedelta(hours=1), attempts=waits[state])
    elif state == "parked":
        job = make_job()
        with connection.cursor() as cursor:
            cursor.execute("update procrastinate_jobs set scheduled_at = queue_tasks_parked_until_v1()")
    else:
        job = make_job(status="todo" if state == "ready" else status)
    text = text_of(operator.get(address("job", job_id=job)))
    for deed in DEEDS.values():
        assert (f'action="{address(deed.name)}"' in text) == (state in deed.states)
        if state in deed.states:
            assert press(operator, job, deed.name).status_code in (200, 303)
            return


def test_a_viewer_sees_no_buttons_and_a_helper_only_its_own(viewer, make_job):
    job = make_job(status="failed")
    assert "<form" not in text_of(viewer.get(address("job", job_id=job)))
    helper = text_of(visitor("helper", "view_job", "retry_job").get(address("job", job_id=job)))
    assert f'action="{address("retry")}"' in helper
    assert f'action="{address("delete")}"' not in helper


def test_of_two_operators_the_slower_is_told(operator, make_job, ask):
    other = visitor("other", *OPERATES)
    job = make_job(status="failed")
    form = form_of(operator, address("job", job_id=job), address("retry"))
    assert press(other, job, "retry").status_code == 303
    response = operator.post(address("retry"), form)
    assert response.status_code == 409
    assert f"Job {job} is ready now; it was failed when you looked." in text_of(response)
    assert ask("select count(*) from queue_tasks_changes") == 1


def test_a_job_that_ran_meanwhile_is_another_one(operator, make_job, ask):
    """It failed, was retried by somebody, and has failed again: what the operator saw is not what is there."""
    job = make_job(status="failed")
    form = form_of(operator, address("job", job_id=job), address("retry"))
    ask("update procrastinate_jobs set qt_lease = qt_lease + 1 returning id")
    response = operator.post(address("retry"), form)
    assert response.status_code == 409
    assert "is failed again now" in text_of(response)
    assert status(ask, job) == "failed"


def test_a_job_that_is_gone(operator, make_job):
    job = make_job(status="failed")
    form = form_of(operator, address("job", job_id=job), address("retry"))
    control.delete([job])
    response = operator.post(address("retry"), form)
    assert response.status_code == 409
    assert "does not exist any more" in text_of(response)


def test_a_form_sent_twice_acts_once(operator, make_job, ask):
    job = make_job(status="failed")
    form = form_of(operator, address("job", job_id=job), address("retry"))
    assert operator.post(address("retry"), form).status_code == 303
    ask("update procrastinate_jobs set status = 'failed' returning id")
    response = operator.post(address("retry"), form)
    assert response["Location"].endswith("told=repeated")
    assert status(ask, job) == "failed"
    assert ask("select count(*) from queue_tasks_changes") == 1


def test_everything_is_written_down(operator, make_job, ask):
    job = make_job(status="failed")
    press(operator, job, "retry")
    row = ask("select row_to_json(c)::text from queue_tasks_changes c")
    change = json.loads(row)
    assert (change["user_name"], change["action"], change["target"]) == ("operator", "retry", f"job {job}")
    assert (change["before"], change["after"]) == ({str(job): "failed"}, {str(job): "ready"})
    assert change["job_ids"] == [job]
    assert change["address"] == "127.0.0.1"
    text = text_of(operator.get(address("changes")))
    assert "operator" in text
    assert f"job {job}" in text
    assert "<b>retry</b> by operator" in text_of(operator.get(address("job", job_id=job)))


def test_a_selection_is_shown_before_it_is_changed(operator, make_job, ask):
    jobs = [make_job(status="failed") for _ in range(3)] + [make_job(status="doing")]
    page = f"{address('retry')}?{'&'.join(f'id={job}' for job in jobs[1:])}"
    text = text_of(operator.get(page))
    assert "Retry 2 jobs?" in text
    assert "2 failed, 1 running" in text
    assert "1 cannot be" in text
    assert ask("select count(*) from procrastinate_jobs where status = 'failed'") == 3
    response = operator.post(address("retry"), {"ticket": ticket(), "id": jobs[1:]})
    assert "2 jobs queued again" in text_of(response)
    assert "1 left as they were" in text_of(response)
    assert [status(ask, job) for job in jobs] == ["failed", "todo", "todo", "doing"]


def test_everything_that_matches_is_counted_and_changed_but_not_what_came_later(operator, make_job, ask):
    jobs = [make_job(status="failed", queue_name="media") for _ in range(3)]
    other = make_job(status="failed")
    page = f"{address('delete')}?all=1&q=queue:media"
    assert "Delete 3 jobs?" in text_of(operator.get(page))
    form = form_of(operator, page, "")
    later = make_job(status="failed", queue_name="media")
    response = operator.post(address("delete"), form)
    assert "3 jobs deleted" in text_of(response)
    assert ask("select array_agg(id order by id) from procrastinate_jobs") == [other, later]
    assert ask("select target from queue_tasks_changes") == "all that match: queue:media"
    assert ask("select job_ids from queue_tasks_changes") == jobs


def test_a_filter_of_other_states_changes_nothing(operator, make_job, ask):
    job = make_job(status="doing")
    assert "Cancel 0 jobs?" in text_of(operator.get(f"{address('cancel')}?all=1&q=status:running"))
    response = operator.post(address("cancel"), {"ticket": ticket(), "all": "1", "q": "status:running", "upto": job})
    assert "0 jobs cancelled" in text_of(response)
    assert status(ask, job) == "doing"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "no ticket"),
        ({"ticket": "x"}, "no ticket"),
        ({"ticket": ticket()}, "No job is selected"),
        ({"ticket": ticket(), "id": "x"}, "is not the number of a job"),
        ({"ticket": ticket(), "id": ["1", "2"], "seen": "failed 0"}, "names several"),
        ({"ticket": ticket(), "all": "1", "q": "x"}, "has no key"),
        ({"ticket": ticket(), "all": "1", "q": ""}, "which jobs were there"),
        ({"ticket": ticket(), "id": [str(number) for number in range(1, 502)]}, "at most 500"),
    ],
)
def test_a_form_that_is_wrong_is_answered_in_words(operator, form, said):
    response = operator.post(address("retry"), form)
    assert response.status_code == 400
    assert said in text_of(response)


def test_a_change_needs_the_forms_token(make_job, ask):
    job = make_job(status="failed")
    client = visitor("operator", *OPERATES, enforce_csrf_checks=True)
    form = form_of(client, address("job", job_id=job), address("retry"))
    token = form.pop("csrfmiddlewaretoken")
    assert client.post(address("retry"), form).status_code == 403
    assert status(ask, job) == "failed"
    assert client.post(address("retry"), {**form, "csrfmiddlewaretoken": token}).status_code == 303


def test_the_token_is_asked_for_without_djangos_middleware_too(make_job, ask, settings):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "csrf" not in name]
    job = make_job(status="failed")
    client = visitor("operator", *OPERATES, enforce_csrf_checks=True)
    form = {"id": job, "seen": "failed 0", "ticket": ticket()}
    assert client.post(address("retry"), form).status_code == 403
    assert status(ask, job) == "failed"


@pytest.mark.django_db(transaction=True)
def test_two_who_press_at_once_do_it_once(make_job, ask):
    """Whichever comes first does it, and the other is told so."""
    job = make_job(status="failed")
    clients = [visitor(name, *OPERATES) for name in ("one", "two")]
    forms = [form_of(client, address("job", job_id=job), address("retry")) for client in clients]
    answers: list[int] = []

    def send(client: Client, form: dict[str, str]) -> None:
        try:
            answers.append(client.post(address("retry"), form).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=pair) for pair in zip(clients, forms, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [303, 409]
    assert status(ask, job) == "todo"
    assert ask("select count(*) from queue_tasks_changes") == 1


# ----------------------------------------------------------------------------------------------------------- schedules


@pytest.fixture
def schedule(db):
    assert schedules.add(Schedule(task=add, name="nightly", cron="0 3 * * *", args=[1], kwargs={"b": 2}))
    return "nightly"


def press_schedule(client, name, action, **more):
    form = form_of(client, f"{address('schedule')}?name={name}", address(action))
    return client.post(address(action), {**form, **more})


def test_a_schedule_is_paused_resumed_run_changed_and_put_back(operator, schedule, ask):
    listed = text_of(operator.get(address("schedules")))
    assert "nightly" in listed
    assert press_schedule(operator, schedule, "pause_schedule").status_code == 303
    assert schedules.list_schedules(schedule)[0].state == "paused"
    assert press_schedule(operator, schedule, "resume_schedule").status_code == 303
    assert schedules.list_schedules(schedule)[0].state == "active"
    assert press_schedule(operator, schedule, "run_schedule").status_code == 303
    assert ask("select count(*) from procrastinate_jobs where task_name = 'tests.testapp.tasks.add'") == 1
    assert press_schedule(operator, schedule, "change_schedule", cron="*/5 * * * *").status_code == 303
    assert schedules.list_schedules(schedule)[0].override_cron == "*/5 * * * *"
    assert press_schedule(operator, schedule, "reset_schedule").status_code == 303
    assert schedules.list_schedules(schedule)[0].override_cron is None
    actions = [change for (change,) in all_of("select action from queue_tasks_changes order by id")]
    assert actions == [f"schedule {word}" for word in ("pause", "resume", "run", "change", "reset")]


def all_of(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


@pytest.mark.parametrize(
    ("form", "said"),
    [({"cron": "61 * * * *"}, "61"), ({"every": "soon"}, "is not a number"), ({"timezone": "Mars/Base"}, "Mars/Base")],
)
def test_a_change_that_no_schedule_can_have_is_refused_in_words(operator, schedule, ask, form, said):
    response = press_schedule(operator, schedule, "change_schedule", **form)
    assert response.status_code == 400
    assert said in text_of(response)
    assert ask("select count(*) from queue_tasks_changes") == 0


def test_a_schedules_form_sent_twice_acts_once(operator, schedule, ask):
    form = form_of(operator, f"{address('schedule')}?name={schedule}", address("run_schedule"))
    assert operator.post(address("run_schedule"), form)["Location"].endswith("told=run")
    assert operator.post(address("run_schedule"), form)["Location"].endswith("told=repeated")
    assert ask("select count(*) from procrastinate_jobs") == 1


@pytest.mark.parametrize(
    "action", ["pause_schedule", "resume_schedule", "run_schedule", "change_schedule", "reset_schedule"]
)
@pytest.mark.parametrize("name", ["none", "no\x00ne"])
def test_a_schedule_that_is_not_there(operator, action, name):
    assert operator.post(address(action), {"name": name, "ticket": ticket()}).status_code == 404
    assert operator.get(address("schedule"), {"name": name}).status_code == 404
