"""A job is retried with other arguments: checked as at enqueue, what is wrong said at the field, nothing lost."""

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from queue_tasks.dashboard.redaction import HIDDEN
from tests.dashboard.visitors import OPERATES, address, form_of, text_of, visitor
from tests.testapp.tasks import add, in_group, locked, secretive

NOW = datetime.now(UTC)


def shown(client, job):
    """What stands in the form's field."""
    found = re.search(
        r"<textarea[^>]*>\n?(.*?)</textarea>", text_of(client.get(address("edit", job_id=job))), re.DOTALL
    )
    assert found
    return unescape(found[1])


def send(client, job, arguments, **more):
    page = address("edit", job_id=job)
    form = form_of(client, page, "")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return client.post(page, {**form, "arguments": text, **more})


@pytest.fixture
def failed(make_job):
    return make_job(task_name=add.module_path, status="failed", attempts=1, args={"args": [5], "kwargs": {"b": 6}})


def test_a_job_runs_once_more_with_what_was_written(operator, failed, ask):
    assert address("edit", job_id=failed) in text_of(operator.get(address("job", job_id=failed)))
    assert json.loads(shown(operator, failed)) == {"a": 5, "b": 6}
    response = send(operator, failed, {"a": 5, "b": 7})
    assert response["Location"] == f"{address('job', job_id=failed)}?told=retry"
    assert ask("select status::text from procrastinate_jobs") == "todo"
    assert ask("select args from procrastinate_jobs") in (
        {"args": [], "kwargs": {"a": 5, "b": 7}},
        json.dumps({"args": [], "kwargs": {"a": 5, "b": 7}}),
    )
    assert ask("select attempts from procrastinate_jobs") == 1


def test_that_it_was_done_is_written_down_and_not_what(operator, failed, ask):
    send(operator, failed, {"a": 5, "b": 777_777})
    row = json.loads(ask("select row_to_json(c)::text from queue_tasks_changes c"))
    assert (row["user_name"], row["action"]) == ("operator", "retry")
    assert row["target"] == f"job {failed}, with other arguments"
    assert row["after"] == {str(failed): "ready", "arguments changed": ["b"]}
    assert "777777" not in json.dumps(row)


def test_it_can_be_later(operator, failed, ask):
    assert send(operator, failed, {"a": 1, "b": 2}, delay="1h").status_code == 303
    assert timedelta(minutes=59) < ask("select scheduled_at - now() from procrastinate_jobs") < timedelta(minutes=90)


def test_the_lock_is_made_of_the_new_arguments(operator, make_job, ask):
    job = make_job(task_name=locked.module_path, status="failed", lock="locked:1", args={"args": ["1"], "kwargs": {}})
    assert send(operator, job, {"key": "2"}).status_code == 303
    assert ask("select lock from procrastinate_jobs") == "locked:2"


def test_what_the_lock_raises_of_the_new_arguments_is_said_at_the_field(operator, make_job, ask):
    job = make_job(task_name=in_group.module_path, status="failed", args={"args": ["a"], "kwargs": {}})
    response = send(operator, job, {"name": "none"})
    assert response.status_code == 400
    assert "The task's lock raised DoesNotExist" in unescape(text_of(response))
    assert ask("select status::text from procrastinate_jobs") == "failed"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('{"a": 1,\n "b": }', "Line 2, column 7 is not JSON"),
        ("", "Line 1, column 1 is not JSON"),
        ("[1, 2]", "Expected an object"),
        ('{"a": 1, "a": 2}', '"a" stands twice'),
        ('{"a": NaN, "b": 1}', "NaN is not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "more digits"),
        ("[" * 100_000, "too deep"),
        ('{"b": 1}', "missing a required argument"),
        ('{"a": 1, "b": 2, "c": 3}', "unexpected keyword argument"),
        ('{"a": 1, "b": "\\u0000"}', "NUL"),
        ('{"a": 1, "b": "' + HIDDEN + '"}', "no value that was not shown"),
        ('{"a": 1, "b": "' + "x" * 1_000_001 + '"}', "at most 1,000,000 are read"),
    ],
)
def test_what_is_wrong_is_said_at_the_field_and_nothing_is_lost(operator, failed, ask, written, said):
    response = send(operator, failed, written, delay="1h")
    text = text_of(response)
    assert response.status_code == 400
    error = re.search(r'<p id="edited-error" class="error" role="alert">(.*?)</p>', text, re.DOTALL)
    assert error
    assert said in unescape(error[1])
    assert 'aria-invalid="true"' in text
    assert 'aria-describedby="edited-error edited-hint"' in text
    field = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", text, re.DOTALL)
    assert field
    assert unescape(field[1]) == written
    assert 'value="1h" selected' in text
    assert ask("select status::text from procrastinate_jobs") == "failed"
    assert ask("select count(*) from queue_tasks_changes") == 0


def test_arguments_without_names_are_two_lists(operator, make_job, ask):
    job = make_job(task_name="tests.testapp.tasks.echo", status="failed", args={"args": [1, 2], "kwargs": {"c": 3}})
    assert json.loads(shown(operator, job)) == {"args": [1, 2], "kwargs": {"c": 3}}
    assert "a list, and an object" in text_of(send(operator, job, {"args": 1, "kwargs": {}}))
    assert send(operator, job, {"args": [9], "kwargs": {}}).status_code == 303
    assert ask("select args -> 'args' ->> 0 from procrastinate_jobs") == "9"


def test_a_task_that_the_code_does_not_know_cannot_be_checked(operator, make_job):
    job = make_job(status="failed", args={"args": [], "kwargs": {"a": 1}})
    response = send(operator, job, {"a": 2})
    assert response.status_code == 400
    assert "shop.tasks.resize" in text_of(response)


def test_what_is_not_shown_stays_what_it_is(operator, make_job, ask):
    job = make_job(
        task_name=secretive.module_path,
        status="failed",
        args={"args": ["4111-1111"], "kwargs": {"options": {"password": "hush", "size": 1}}},
    )
    text = shown(operator, job)
    assert json.loads(text) == {"card": HIDDEN, "options": {"password": HIDDEN, "size": 1}}
    assert send(operator, job, text.replace('"size": 1', '"size": 2')).status_code == 303
    assert ask("select args -> 'kwargs' ->> 'card' from procrastinate_jobs") == "4111-1111"
    assert ask("select args -> 'kwargs' -> 'options' ->> 'password' from procrastinate_jobs") == "hush"
    assert ask("select args -> 'kwargs' -> 'options' ->> 'size' from procrastinate_jobs") == "2"
    assert ask("select after ->> 'arguments changed' from queue_tasks_changes") == '["options"]'


def test_the_slower_of_two_is_told_and_keeps_what_was_written(operator, failed, ask):
    page = address("edit", job_id=failed)
    form = form_of(operator, page, "")
    other = visitor("other", *OPERATES)
    assert send(other, failed, {"a": 1, "b": 1}, delay="1h").status_code == 303
    response = operator.post(page, {**form, "arguments": '{"a": 2, "b": 2}'})
    assert response.status_code == 409
    assert "has other arguments now" in text_of(response)
    assert "&quot;a&quot;: 2, &quot;b&quot;: 2" in text_of(response)
    assert ask("select args -> 'kwargs' ->> 'a' from procrastinate_jobs") == "1"


def test_a_form_sent_twice_acts_once(operator, failed, ask):
    page = address("edit", job_id=failed)
    form = {**form_of(operator, page, ""), "arguments": '{"a": 5, "b": 6}'}
    assert operator.post(page, form)["Location"].endswith("told=retry")
    ask(
        "update procrastinate_jobs set status = 'failed', args = %s::jsonb returning id",
        '{"args": [5], "kwargs": {"b": 6}}',
    )
    assert operator.post(page, form)["Location"].endswith("told=repeated")
    assert ask("select count(*) from queue_tasks_changes") == 1


@pytest.mark.parametrize("permissions", [("view_job", "retry_job"), ("view_job", "view_job_args")])
def test_it_needs_seeing_arguments_and_retrying(failed, permissions):
    helper = visitor("helper", *permissions)
    assert helper.get(address("edit", job_id=failed)).status_code == 403
    assert helper.post(address("edit", job_id=failed)).status_code == 403
    assert address("edit", job_id=failed) not in text_of(helper.get(address("job", job_id=failed)))


@pytest.mark.parametrize("status", ["todo", "doing"])
def test_a_job_that_is_not_over_is_left_alone(operator, make_job, status):
    job = make_job(status=status)
    assert operator.get(address("edit", job_id=job)).status_code == 409
    assert address("edit", job_id=job) not in text_of(operator.get(address("job", job_id=job)))


@pytest.mark.parametrize("args", [[], "text", {"args": 1, "kwargs": {}}, {"args": ["x" * 300_000], "kwargs": {}}])
def test_arguments_that_cannot_be_edited(operator, make_job, ask, args):
    job = make_job(status="failed", args={})
    ask("update procrastinate_jobs set args = %s::jsonb returning id", json.dumps(args))
    assert operator.get(address("edit", job_id=job)).status_code == 409


def test_a_job_that_is_not_there(operator):
    assert operator.get(address("edit", job_id=2**63)).status_code == 404
