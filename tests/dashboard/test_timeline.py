"""What became of a job, and its tracebacks, as its page tells them."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from queue_tasks.dashboard.tracebacks import Part, parts
from tests.dashboard.visitors import address, text_of

NOW = datetime.now(UTC).replace(microsecond=0)

TRACE = """Traceback (most recent call last):
  File "/app/shop/tasks.py", line 7, in resize
    fetch(url)
    ~~~~~^^^^^
  File "/venv/lib/python3.12/site-packages/requests/api.py", line 73, in get
    return request("get", url)
  File "/app/shop/hooks.py", line 3, in hook
    raise Lost(url)
shop.errors.Lost: no such
  file
"""


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def attempt(number, started, finished):
    return {
        "exception": "shop.errors.Lost",
        "attempt": number,
        "started_at": at(started).isoformat(),
        "finished_at": at(finished).isoformat(),
        "traceback": TRACE,
    }


def steps(client, job):
    text = text_of(client.get(address("job", job_id=job)))
    found = re.search(r'<ol class="timeline">(.*?)</ol>', text, re.DOTALL)
    assert found
    lines = re.findall(r"<li><b>([^<]+)</b> [-\d]+ [:.\d]+ UTC(?:, ([^<]*))?", found[1])
    return [(word, note) for word, note in lines]


def test_each_attempt_is_a_step_with_how_long_it_took(viewer, make_job):
    job = make_job(
        status="failed",
        attempts=2,
        qt_enqueued_at=at(0),
        qt_started_at=at(2),
        qt_attempted_at=at(65),
        qt_finished_at=at(68),
        qt_errors=[attempt(1, 2, 5), attempt(2, 65, 68)],
    )
    assert steps(viewer, job) == [
        ("enqueued", ""),
        ("attempt 1 started", "waited 2 s"),
        ("attempt 1 failed", "after 3 s: Lost"),
        ("attempt 2 started", "waited 1 m 0 s"),
        ("attempt 2 failed", "after 3 s: Lost"),
        ("failed", "ran 3 s, in all 1 m 8 s"),
    ]


def test_a_job_that_succeeds_at_its_second_attempt(viewer, make_job):
    job = make_job(
        status="succeeded",
        attempts=2,
        qt_enqueued_at=at(0),
        qt_started_at=at(1),
        qt_attempted_at=at(30),
        qt_finished_at=at(31),
        qt_errors=[attempt(1, 1, 10)],
    )
    assert steps(viewer, job)[-2:] == [
        ("latest attempt started", "waited 20 s"),
        ("succeeded", "ran 1 s, in all 31 s"),
    ]


def test_a_job_that_waits_and_one_that_runs(viewer, make_job):
    waits = make_job(qt_enqueued_at=at(-60), scheduled_at=at(3600), attempts=1, qt_errors=[attempt(1, -50, -49)])
    assert [word for word, _ in steps(viewer, waits)] == ["enqueued", "attempt 1 started", "attempt 1 failed", "due"]
    runs = make_job(status="doing", qt_enqueued_at=at(-60), qt_started_at=at(-50), qt_attempted_at=at(-50))
    words = steps(viewer, runs)
    assert words[:2] == [("enqueued", ""), ("first started", "waited 10 s")]
    assert words[2][0] == "running"
    assert words[2][1].startswith("for ")


@pytest.mark.parametrize("time", ["soon", "", 7, None, "2026-01-01", "0001-01-01T00:00:00+14:00", "infinity"])
def test_times_that_a_stranger_wrote_break_no_page(viewer, make_job, time):
    job = make_job(status="failed", qt_errors=[{"started_at": time, "finished_at": time, "attempt": time}])
    assert viewer.get(address("job", job_id=job)).status_code == 200


def test_the_readers_own_frames_stand_out(operator, make_job):
    job = make_job(status="failed", qt_errors=[attempt(1, 1, 2)])
    text = text_of(operator.get(address("job", job_id=job)))
    shown = re.search(r'<pre class="trace" tabindex="0">(.*?)</pre>', text, re.DOTALL)
    assert shown
    spans = re.findall(r'<span class="(\w+)">(.*?)</span>', shown[1], re.DOTALL)
    kinds = [(kind, unescape(part)) for kind, part in spans]
    assert [kind for kind, _ in kinds] == ["rest", "own", "library", "own", "rest"]
    assert "tasks.py" in kinds[1][1]
    assert "requests" in kinds[2][1]
    assert "".join(part for _, part in kinds) == TRACE
    assert "failures of this kind" in text


@pytest.mark.parametrize(
    "text", ["", "one line", 'File "x", line 1\n', "\n\n", " File \n", '  | File "/x.py", line 1\n']
)
def test_whatever_the_text_is_nothing_is_lost(text):
    assert "".join(part.text for part in parts(text)) == text


def test_frames_in_a_group_of_exceptions_are_frames_too():
    text = '  |   File "/app/x.py", line 1, in f\n  |     g()\n'
    assert parts(text) == [Part("own", text)]
