"""The dashboard on the running site, in a real browser: logged in, looked at, and its buttons pressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.hashers import make_password

from tests.site.house import House
from tests.site.test_browser import DESK, PHONE, Browser, pytestmark  # noqa: F401 - the marks: where there is a browser
from tests.waiting import START, wait_until

CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
WIDE = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
PAGES = ("/queue/", "/queue/jobs/", "/queue/queues/", "/queue/workers/", "/queue/schedules/", "/queue/changes/")


@pytest.fixture(scope="module")
def window(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(house, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.driver.quit()


@pytest.fixture
def staff(site: House, window: Browser) -> Iterator[Browser]:
    """A browser in which somebody who may do everything has logged in, through the form."""
    site.db.execute("delete from auth_user where username = 'ada'")
    site.db.execute(
        "insert into auth_user (username, password, is_superuser, is_staff, is_active, first_name, last_name, email, "
        "date_joined) values ('ada', %s, true, true, true, '', '', '', now())",
        [make_password("difference engine", hasher="pbkdf2_sha256")],
    )
    window.resize(DESK)
    window.driver.delete_all_cookies()
    window.open("/queue/")
    assert "/login/?next=/queue/" in window.driver.current_url
    window.one("#id_username").send_keys("ada")
    window.one("#id_password").send_keys("difference engine")
    window.click("form button")
    wait_until(lambda: window.text("h1") == "Overview", message="the overview is shown")
    yield window
    window.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    window.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    window.driver.get("about:blank")


def add_job(site: House, status: str = "todo", **more: object) -> int:
    columns = {
        "queue_name": "media",
        "task_name": "site_app.photos.tasks.process_photo",
        "args": '{"args": [7], "kwargs": {"password": "hush"}}',
        "status": status,
        **more,
    }
    names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
    row = site.db.execute(
        f"insert into procrastinate_jobs ({names}) values ({marks}) returning id".encode(),  # noqa: S608 - names from here
        list(columns.values()),
    ).fetchone()
    assert row is not None
    return int(row[0])


def status(site: House, job: int) -> str:
    row = site.db.execute("select status::text from procrastinate_jobs where id = %s", [job]).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("javascript", [True, False])
def test_an_operator_finds_a_failed_job_and_retries_it(staff, site, javascript):
    job = add_job(site, "failed")
    if not javascript:
        staff.without_javascript()
    staff.open("/queue/")
    staff.click(".matters a[href*='failed']")
    wait_until(lambda: "/queue/jobs/" in staff.driver.current_url)
    staff.click(f"a[href='/queue/jobs/{job}/']")
    wait_until(lambda: staff.all("form[action='/queue/jobs/retry/'] button"))
    assert "hush" not in staff.driver.page_source
    staff.click("form[action='/queue/jobs/retry/'] button")
    wait_until(lambda: staff.all("[role=status]"))
    assert status(site, job) == "todo"
    staff.open("/queue/changes/")
    assert f"job {job}" in staff.driver.page_source
    assert staff.problems() == []


def test_everything_that_matches_is_deleted_after_it_was_shown(staff, site):
    jobs = [add_job(site, "failed") for _ in range(3)]
    kept = add_job(site)
    staff.open("/queue/jobs/?q=status:failed")
    staff.click("input[name=all]")
    staff.click("button.danger")
    wait_until(lambda: staff.text("h1") == "Delete 3 jobs?")
    staff.click("main form button.danger")
    wait_until(lambda: staff.text("h1") == "3 jobs deleted")
    left = site.db.execute("select array_agg(id) from procrastinate_jobs").fetchone()
    assert left == ([kept],)
    assert jobs


def test_an_open_page_sees_what_changes(staff, site):
    staff.open("/queue/queues/")
    staff.run("window.neverReloaded = true")
    assert "surprise" not in staff.text("#live")
    add_job(site, queue_name="surprise")
    wait_until(lambda: "surprise" in staff.text("#live"), timeout=START, message="the new queue is on the page")
    assert staff.run("return window.neverReloaded") is True
    assert staff.problems() == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK])
def test_every_page_fits_and_can_be_read(staff, site, theme, size):
    job = add_job(site, "failed", qt_errors='[{"exception": "builtins.ValueError", "message": "no", "traceback": "x"}]')
    add_job(site)
    staff.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    )
    staff.resize(size)
    for page in (*PAGES, f"/queue/jobs/{job}/", f"/queue/jobs/retry/?id={job}"):
        staff.open(page)
        assert staff.run(WIDE) is False, f"{page} is wider than the window"
        assert staff.run(CONTRAST) == [], page
        assert len(staff.all("h1")) == 1, page
    assert staff.problems() == []
