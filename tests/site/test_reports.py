"""A report: asked for, made by a job that tells its progress, downloaded."""

import csv
import io
import re
import subprocess
import sys
from itertools import pairwise

import pytest

from site_app.demo.visitor import LivePage
from site_app.processes import PROJECT
from tests.site.house import House, news_until
from tests.waiting import START, wait_until

HTML = {"Accept": "text/html"}
ROWS = 200_000  # visits: enough that a report takes a while, few enough to be made up quickly


class ReportsPage(LivePage):
    """The stream of the reports' page."""

    address = "/reports/events/?new=1"


@pytest.fixture(scope="module")
def visits(house: House) -> House:
    command = [sys.executable, "manage.py", "fill_visits", "--rows", str(ROWS)]
    said = [
        subprocess.run(command, cwd=PROJECT, env=house.env, check=True, capture_output=True, text=True).stdout
        for _ in "ab"
    ]
    assert said == ["200,000 visits written.\n", "There are visits already; none were written.\n"]
    return house


def ask(site: House, days: object) -> int:
    """Ask for a report; the status of the answer."""
    token = {"X-CSRFToken": site.visitor.http.cookies["csrftoken"], **HTML}
    return site.visitor.http.post("/reports/", data={"days": str(days)}, headers=token).status_code


def test_a_report_shows_its_progress_and_is_downloaded(visits, site):
    with ReportsPage(site.address) as page:
        assert ask(site, 365) == 302
        news_until(page, {"state": "waiting"})
        with site.db.transaction():
            # The report cannot read a visit yet, however quick the machine: what it has told so far is shown.
            site.db.execute("lock table reports_visit in access exclusive mode")
            site.start_worker()
            wait_until(lambda: "Looking for visits" in str(page.next(timeout=0.2)))
        news_until(page, {"state": "done"})
    text = site.visitor.http.get("/reports/1/download/")
    assert text.headers["content-type"] == "text/csv; charset=utf-8"
    assert text.headers["content-disposition"] == 'attachment; filename="visits-365-days-1.csv"'
    lines = list(csv.DictReader(io.StringIO(text.text)))
    assert len({line["day"] for line in lines}) == 365
    counted = "select count(*) from reports_visit where visited_at >= %(first)s::date"
    assert sum(int(line["visits"]) for line in lines) == site.value(counted, first=min(line["day"] for line in lines))
    assert all(0 < int(line["visitors"]) <= int(line["visits"]) for line in lines)
    assert site.value("select lines from reports_report") == len(lines)


def test_reports_are_made_one_at_a_time(visits, site):
    for _ in range(3):
        ask(site, 365)
    assert site.rows("select distinct lock from procrastinate_jobs") == [("reports",)]
    site.start_worker()
    wait_until(lambda: site.value("select count(*) from reports_report where state = 'done'") == 3, timeout=START)
    spans = site.rows("select started_at, ended_at from reports_report order by started_at")
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


@pytest.mark.parametrize("days", ["7", "", "x", "-1", "99999999999999999999"])
def test_a_period_that_is_not_offered_is_refused(visits, site, days):
    assert ask(site, days) == 422
    assert site.value("select count(*) from reports_report") == 0
    assert site.value("select count(*) from procrastinate_jobs") == 0


def test_a_report_that_is_not_ready_cannot_be_downloaded(visits, site):
    ask(site, 30)
    assert site.visitor.http.get("/reports/1/download/").status_code == 404
    page = site.visitor.http.get("/reports/", headers=HTML).text
    assert re.search(r'data-state="waiting"', page)
    assert "Download" not in page


def test_a_cancelled_report_says_that_it_could_not_be_finished(visits, site):
    ask(site, 30)
    site.db.execute("update procrastinate_jobs set status = 'cancelled'")
    assert "It could not be finished." in site.visitor.http.get("/reports/", headers=HTML).text


def test_the_first_report_makes_the_visits_up(visits, site):
    site.db.execute("create temporary table kept as table reports_visit; truncate reports_visit")
    try:
        ask(site, 30)
        site.start_worker()
        wait_until(lambda: site.value("select state from reports_report") == "done", timeout=2 * START)
        assert site.value("select count(*) from reports_visit") == 1_000_000
    finally:
        site.stop_worker()
        site.db.execute(
            "truncate reports_visit; insert into reports_visit table kept; drop table kept; analyze reports_visit"
        )
