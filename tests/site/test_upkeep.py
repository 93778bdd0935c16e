"""The site looks after itself: orphans, sessions, visits and the weekly report, each by its schedule."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from site_app.processes import PROJECT
from tests import postgres
from tests.site.house import House
from tests.waiting import START, wait_until

PURGE, SESSIONS = "site_app.photos.tasks.purge_orphans", "site_app.photos.tasks.clear_sessions"
HOUR, WEEKLY = "site_app.reports.tasks.count_hour", "site_app.reports.tasks.ask_for_weekly_report"


@pytest.fixture(scope="module")
def house(site_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The site with its schedules."""
    folder = tmp_path_factory.mktemp("upkeep")
    with (
        postgres.database(f"{postgres.PREFIX}_site_upkeep", template=site_template) as url,
        House(url, folder, env={"SITE_SCHEDULES": "1"}) as opened,
    ):
        yield opened


def queue(site: House, *arguments: str) -> str:
    command = [sys.executable, "manage.py", "queue", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=site.env, check=True, capture_output=True, text=True).stdout


def run_now(site: House, schedule: str) -> None:
    """Run a schedule's job by hand, and wait until it has succeeded."""
    said = queue(site, "schedule", schedule, "--run")
    job_id = int(said.partition("job ")[2].split()[0])
    wait_until(
        lambda: site.value("select status::text from procrastinate_jobs where id = %(id)s", id=job_id) == "succeeded",
        timeout=START,
        message=said,
    )


def make_folder(site: House, key: uuid.UUID, *, days_old: float) -> Path:
    folder = site.media / "photos" / str(key)
    folder.mkdir(parents=True)
    (folder / "800.webp").write_bytes(b"a rendition")
    then = time.time() - days_old * 86_400
    os.utime(folder, (then, then))
    return folder


def test_a_worker_brings_the_sites_schedules_to_the_database(site):
    site.start_worker()
    found = {line["name"]: line for line in json.loads(queue(site, "schedules", "--json"))}
    assert set(found) == {PURGE, SESSIONS, HOUR, WEEKLY}
    assert found[PURGE]["in_words"] == "at 03:30 every day, Europe/Paris"
    assert found[WEEKLY]["in_words"] == "at 06:00 on Monday, Europe/Paris"
    assert (found[HOUR]["missed"], found[HOUR]["max_missed"], found[HOUR]["overlap"]) == ("all", 48, "skip")


def test_renditions_without_a_photo_are_purged_and_nothing_else(site):
    kept, young, orphan = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    site.rows(
        "insert into photos_photo (key, title, format, width, height, size_bytes) "
        "values (%(key)s, 'kept', 'JPEG', 1, 1, 1) returning id",
        key=kept,
    )
    folders = {key: make_folder(site, key, days_old=days) for key, days in ((kept, 3), (young, 0.5), (orphan, 3))}
    (site.media / "photos" / "a file of somebody").write_text("")
    site.start_worker()
    run_now(site, PURGE)
    assert [key for key, folder in folders.items() if folder.exists()] == [kept, young]
    assert (site.media / "photos" / "a file of somebody").exists()


def test_expired_sessions_are_cleared(site):
    for key, when in (("old", "2020-01-01"), ("new", "2100-01-01")):
        site.db.execute("insert into django_session values (%s, 'x', %s)", [key, when])
    site.start_worker()
    run_now(site, SESSIONS)
    left = {key for (key,) in site.rows("select session_key from django_session")}
    assert "new" in left
    assert "old" not in left


def test_each_page_that_is_shown_is_a_visit_of_somebody(site):
    def visits() -> list[tuple[object, ...]]:
        return site.rows(
            "select path, visitor from reports_visit where visited_at > now() - interval '1 minute' order by id"
        )

    before = len(visits())
    for _ in range(2):
        assert site.visitor.http.get("/reports/", headers={"Accept": "text/html"}).status_code == 200
    assert site.visitor.http.get("/nowhere/").status_code == 404
    assert site.visitor.http.get("/health/").status_code == 200
    found = visits()[before:]
    assert [path for path, _ in found] == ["/reports/", "/reports/"]
    assert len({visitor for _, visitor in found}) == 1, "the same visitor"


def test_the_visits_of_the_hour_before_are_rolled_up_and_counting_twice_is_the_same(site):
    site.db.execute("delete from reports_visit")
    site.db.execute(
        "insert into reports_visit (visited_at, path, visitor, duration_ms) "
        "select date_trunc('hour', now()) - interval '1 hour' + make_interval(mins => n), '/p' || n % 2, n % 5, n "
        "from generate_series(0, 59) n"
    )
    site.start_worker()
    run_now(site, HOUR)
    counted = "select path, visits, visitors, median_ms, slow_ms from reports_visithour order by path"
    # At the turn of the hour, another hour is the last.
    first = site.rows(counted)
    if site.value("select count(*) from reports_visithour where hour = date_trunc('hour', now()) - interval '1 hour'"):
        assert first == [("/p0", 30, 5, 29, 55), ("/p1", 30, 5, 30, 56)]
    run_now(site, HOUR)
    assert site.rows(counted) == first


def test_the_weekly_report_is_made_as_if_a_visitor_had_asked_for_it(site):
    site.db.execute("delete from reports_visit")
    site.db.execute(
        "insert into reports_visit (visited_at, path, visitor, duration_ms) "
        "select now() - make_interval(days => n), '/', n, 10 from generate_series(0, 9) n"
    )
    site.start_worker()
    run_now(site, WEEKLY)
    wait_until(lambda: site.rows("select days, state, lines from reports_report") == [(7, "done", 7)], timeout=START)
