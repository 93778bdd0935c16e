"""The page of failures: one entry for each kind, and what is done to all of a kind."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from queue_tasks.dashboard import failures
from tests.dashboard.visitors import address, form_of, text_of, visitor

NOW = datetime.now(UTC)


def error(kind, message="no such colour", **more):
    return {
        "exception": "builtins.ValueError",
        "message": message,
        "place": "shop.colours.mix",
        "fingerprint": kind,
        **more,
    }


@pytest.fixture
def failed(make_job):
    """Three of one kind by two tasks, one of another, one that is tried again, one that a stock worker failed."""
    return {
        "one": [
            make_job(status="failed", qt_errors=[error("one")], qt_finished_at=NOW - timedelta(days=2)),
            make_job(status="failed", qt_errors=[error("two"), error("one")], qt_finished_at=NOW),
            make_job(
                status="failed",
                task_name="shop.tasks.paint",
                qt_errors=[error("one", "no red at all")],
                qt_finished_at=NOW - timedelta(hours=1),
            ),
        ],
        "two": [make_job(status="failed", qt_errors=[error("two", exception="shop.errors.Lost")])],
        "again": [make_job(attempts=1, scheduled_at=NOW + timedelta(hours=1), qt_errors=[error("one")])],
        "stock": [make_job(status="failed")],
    }


def test_failures_are_grouped_by_their_fingerprint(failed, db):
    groups = failures.grouped(with_args=True, database="default")
    assert [(group.fingerprint, group.jobs) for group in groups] == [("one", 3), ("none", 1), ("two", 1)]
    one = groups[0]
    assert (one.first_at, one.last_at) == (NOW - timedelta(days=2), NOW)
    assert one.task_names == ["shop.tasks.paint", "shop.tasks.resize"]
    assert (one.newest, one.message, one.place) == (failed["one"][2], "no red at all", "shop.colours.mix")
    assert groups[1].exception is None
    assert one.looked == 5


def test_errors_of_before_there_were_fingerprints_are_grouped_by_their_class(make_job, db):
    for _ in range(2):
        make_job(status="failed", qt_errors=[{"exception": "builtins.KeyError"}])
    assert [(one.fingerprint, one.jobs) for one in failures.grouped(with_args=True, database="default")] == [
        ("builtins.KeyError", 2)
    ]


@pytest.mark.parametrize("errors", [[], {}, "text", 7, [7], ["text"], [None], [{"fingerprint": 7, "place": []}]])
def test_errors_that_a_stranger_wrote_are_a_kind_of_their_own(operator, make_job, errors):
    make_job(status="failed", qt_errors=errors if isinstance(errors, (list, dict)) else [errors])
    assert operator.get(address("failures")).status_code == 200


def test_the_page_tells_all_of_each_kind(operator, failed):
    text = text_of(operator.get(address("failures")))
    assert re.search(r"3.</span>.*ValueError", text)
    for part in ("no red at all", "shop.colours.mix", "paint</span>, <span", "2 d 0 h ago", "No error was written"):
        assert part in text, part


def test_who_may_not_see_arguments_sees_no_message(viewer, failed):
    text = text_of(viewer.get(address("failures")))
    assert "ValueError" in text
    assert "no red at all" not in text
    assert '<button type="submit"' not in text


def test_nothing_failed(viewer, make_job):
    make_job(status="succeeded")
    assert "No job failed." in text_of(viewer.get(address("failures")))


def test_its_link_finds_the_jobs_of_a_kind(operator, failed):
    text = text_of(operator.get(address("failures")))
    link = re.search(r'href="([^"]+)">All 3 jobs', text)
    assert link
    found = text_of(operator.get(link[1].replace("&amp;", "&")))
    assert sorted(int(job) for job in re.findall(r'name="id" value="(\d+)"', found)) == failed["one"]
    stock = text_of(operator.get(address("jobs"), {"q": "fingerprint:none status:failed"}))
    assert re.findall(r'name="id" value="(\d+)"', stock) == [str(failed["stock"][0])]


@pytest.mark.parametrize(
    ("deed", "kinds", "status"),
    [("retry", "one", "todo"), ("cancel", "again", "cancelled"), ("delete", "one", None)],
)
def test_all_of_a_kind_are_retried_cancelled_or_deleted_when_they_were_counted(
    operator, failed, ask, deed, kinds, status
):
    page = text_of(operator.get(address("failures")))
    button = re.search(
        rf'action="{address(deed)}"><input type="hidden" name="all" value="1"><input [^>]*value="([^"]+)"', page
    )
    assert button
    preview = f"{address(deed)}?all=1&q={button[1]}"
    assert f"{len(failed[kinds])} job" in text_of(operator.get(preview))
    operator.post(address(deed), form_of(operator, preview, ""))
    for kind, jobs in failed.items():
        for job in jobs:
            now = ask("select (select status::text from procrastinate_jobs where id = %s)", job)
            assert now == (status if kind == kinds else "todo" if kind == "again" else "failed")


def test_a_helper_sees_the_buttons_of_what_it_may_do(failed):
    text = text_of(visitor("helper", "view_job", "retry_job").get(address("failures")))
    assert f'action="{address("retry")}"' in text
    assert f'action="{address("delete")}"' not in text
    assert f'action="{address("cancel")}"' not in text


def test_only_so_many_are_looked_at_and_the_page_says_so(operator, failed, monkeypatch):
    monkeypatch.setattr(failures, "LOOK", 2)
    text = text_of(operator.get(address("failures")))
    assert "among the newest 2 failures" in text
    assert "no red at all" not in text
