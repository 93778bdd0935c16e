"""What a task says must be shown nowhere is shown nowhere: no page, no command, no log of ours, no error in the row."""

import io
import logging

import pytest
from django.core.management import call_command

from queue_tasks import schedules
from queue_tasks.compat import InvalidTask
from queue_tasks.periodic import Schedule
from queue_tasks.tasks import task
from queue_tasks.testing import drain
from tests.dashboard.visitors import address, text_of
from tests.testapp import tasks
from tests.testapp.tasks import secretive

CARD = "4111-1111-0815"


def said(*arguments):
    out = io.StringIO()
    call_command("queue", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def jobs(db, caplog):
    """Of each way to give a card: one that succeeds and returns it, one that fails and says it in its message."""
    caplog.set_level(logging.DEBUG, "queue_tasks")
    results = [secretive.enqueue(CARD, options={"size": 3}), secretive.enqueue(card=CARD)]
    results += [secretive.enqueue(CARD), secretive.enqueue(card=CARD, options={"card": CARD})]
    drain(raise_errors=False)
    return [int(result.id) for result in results]


def test_no_page_shows_it(operator, jobs):
    assert schedules.add(Schedule(task=secretive, name="nightly", cron="0 3 * * *", args=[CARD]))
    pages = [address("job", job_id=job) for job in jobs] + [address("edit", job_id=job) for job in jobs]
    pages += [address("jobs"), address("jobs") + "?q=status:failed", address("failures"), address("overview")]
    pages += [address("schedule") + "?name=nightly", address("schedules"), address("changes")]
    for page in pages:
        response = operator.get(page)
        assert response.status_code == 200, page
        assert CARD not in text_of(response), page
    assert "the card [not shown] is refused" in text_of(operator.get(address("failures")))
    assert "&quot;paid&quot;: true" in text_of(operator.get(address("job", job_id=jobs[0])))


def test_nobody_can_look_for_it(operator, jobs):
    for text in (f"args.card:{CARD}", f"args.Card:{CARD}", f'args.kwargs:"{{\\"card\\": \\"{CARD}\\"}}"'):
        assert operator.get(address("jobs"), {"q": text}).status_code == 400, text
    # Nor by what a message had said.
    assert f'name="id" value="{jobs[1]}"' not in text_of(operator.get(address("jobs"), {"q": f"error:{CARD}"}))


def test_no_command_says_it(jobs):
    schedules.add(Schedule(task=secretive, name="nightly", cron="0 3 * * *", args=[CARD]))
    everything = [said("jobs"), said("jobs", "--json"), said("schedules", "--json"), said("schedule", "nightly")]
    for job in jobs:
        everything += [said("show", str(job)), said("show", str(job), "--json")]
    for text in everything:
        assert CARD not in text
    assert "not shown" in said("show", str(jobs[0]))
    assert "paid" in said("show", str(jobs[0]))


def test_no_error_and_no_log_of_ours_has_it(jobs, ask, caplog):
    assert ask("select count(*) from procrastinate_jobs where qt_errors is not null") == 2
    assert ask("select string_agg(qt_errors::text, '') from procrastinate_jobs").count("[not shown]") >= 4
    assert ask("select count(*) from procrastinate_jobs where qt_errors::text like %s", f"%{CARD}%") == 0
    ours = [record for record in caplog.records if record.name.startswith("queue_tasks")]
    assert not [record for record in ours if CARD in record.getMessage() or CARD in str(record.exc_info)]


def test_a_job_that_is_not_enqueued_yet_does_not_tell(db):
    assert CARD not in repr(secretive.bind(CARD))


@pytest.mark.parametrize(
    ("redact", "said"),
    [("card", "expected a list"), ([7], "expected a list"), (["cord"], "'cord', which is not an arg")],
)
def test_a_name_that_is_none_is_refused_where_it_is_written(redact, said):
    with pytest.raises(InvalidTask, match=said):
        task(redact=redact)(tasks.secretive.func)
