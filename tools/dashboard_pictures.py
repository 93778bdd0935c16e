"""Take the pictures of the dashboard that docs/ shows: each page of the running site, in a browser.

Usage   python tools/dashboard_pictures.py [NAME ...]     into docs/images, all of them or some

Needs what the tests need: Chromium, chromedriver, and a Postgres (DATABASE_URL, else the embedded one). What is on the
pages is made for them, and the same each time but for the clock.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import django  # noqa: E402 - the project is found first
from django.conf import settings  # noqa: E402 - the same

from site_app.embedded_postgres import database_url  # noqa: E402 - the same
from site_app.processes import migrate  # noqa: E402 - the same
from tests.site.house import House  # noqa: E402 - the same
from tests.site.operators import add_figures, add_job, add_schedule, log_in  # noqa: E402 - the same
from tests.site.presses import FILL, FIND, click  # noqa: E402 - the same
from tests.site.test_browser import DESK, PHONE, Browser  # noqa: E402 - the same
from tests.waiting import wait_until  # noqa: E402 - the same

LONGEST = 1600  # pixels
FOLDER = PROJECT / "docs" / "images"
TRACEBACK = """\
Traceback (most recent call last):
  File "photos/steps.py", line 41, in resize
OSError: image file is truncated"""
FAILURE = (
    '[{"exception": "builtins.OSError", "message": "image file is truncated", "worker_id": 1, '
    '"started_at": "%s", "finished_at": "%s", "traceback": %s}]'
)

# name -> (address, window, theme); {failed} and {waiting} are jobs
PICTURES = {
    "dashboard-overview": ("/queue/", DESK, "light"),
    "dashboard-phone-dark": ("/queue/?span=day", PHONE, "dark"),
    "dashboard-jobs-dark": ("/queue/jobs/?q=task%3Amake_rendition+since%3A1h", DESK, "dark"),
    "dashboard-job": ("/queue/jobs/{waiting}/", DESK, "light"),
    "dashboard-job-phone": ("/queue/jobs/{failed}/", PHONE, "light"),
    "dashboard-failures": ("/queue/failures/", DESK, "light"),
    "dashboard-queues-dark": ("/queue/queues/", DESK, "dark"),
    "dashboard-workers": ("/queue/workers/", DESK, "light"),
    "dashboard-schedules-phone": ("/queue/schedules/", PHONE, "light"),
    "dashboard-schedule-dark": ("/queue/schedules/show/?name=nightly", DESK, "dark"),
    "dashboard-database": ("/queue/database/", DESK, "light"),
    "admin-job": ("/admin/queue_tasks/job/{failed}/change/", DESK, "light"),
    "dashboard-confirm": ("/queue/jobs/retry/?id={failed}", DESK, "light"),
    # Last, for what is on them is made by changing what the others show.
    "dashboard-changes": ("/queue/changes/", DESK, "light"),
    "dashboard-changes-phone-dark": ("/queue/changes/", PHONE, "dark"),
}

# who, on which page, what is filled in, and the buttons pressed, one after the other
CHANGES: tuple[tuple[str, str, dict[str, str], tuple[str, ...]], ...] = (
    ("grace", "/queue/queues/", {"select[name=until]": "1h"}, ("Pause queue media", "Pause")),
    ("grace", "/queue/failures/", {}, ("Retry all …", "Retry N job")),
    ("grace", "/queue/schedules/show/?name=nightly", {}, ("Run now",)),
    ("ada", "/queue/queues/", {}, ("Resume queue media", "Resume")),
    ("ada", "/queue/queues/", {"input[name=concurrency]": "4"}, ("Limit queue reports", "Limit")),
    ("ada", "/queue/schedules/show/?name=hourly-reports", {"[name=every]": "900"}, ("Change",)),
    ("ada", "/queue/jobs/{waiting}/", {}, ("Cancel",)),
)


def main(names: list[str]) -> int:
    """Take them; returns the exit code."""
    unknown = set(names) - set(PICTURES)
    if unknown:
        print(f"no such picture: {', '.join(sorted(unknown))}; there are: {', '.join(PICTURES)}", file=sys.stderr)
        return 1
    settings.configure(USE_TZ=True)
    django.setup()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        url = database_url()
        migrate({**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "site_app.settings"})
        with House(url, folder) as site:
            browser = Browser(site, folder / "profile")
            try:
                take(site, browser, names or list(PICTURES))
            finally:
                browser.driver.quit()
    return 0


def take(site: House, browser: Browser, names: list[str]) -> None:
    """Log in, make what the pages show, and photograph them."""
    site.clear()
    log_in(site, browser, "ada")
    jobs = stock(site)
    for name in names:
        address, size, theme = PICTURES[name]
        if address == "/queue/changes/" and not changes(site):
            change(site, browser, jobs)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.resize(size)
        site.db.execute("update procrastinate_workers set last_heartbeat = now()")
        browser.open(address.format(**jobs))
        (FOLDER / f"{name}.png").write_bytes(photograph(browser))
        print(f"docs/images/{name}.png")


def changes(site: House) -> int:
    """How many changes the page of them has."""
    return int(site.value("select count(*) from queue_tasks_changes"))


def change(site: House, browser: Browser, jobs: dict[str, int]) -> None:
    """Have two operators do what they do, by the buttons."""
    browser.resize(DESK)
    here = "ada"
    for who, page, fill, buttons in CHANGES:
        if who != here:
            log_in(site, browser, who)
            here = who
        before = changes(site)
        browser.open(page.format(**jobs))
        for button in buttons:
            wait_until(lambda: browser.run(FIND, button), message=f"{button} is on {page}")  # noqa: B023 - called at once
            for selector, text in fill.items():
                browser.run(FILL, selector, text)
            click(browser, button)
        wait_until(lambda: changes(site) > before, message=f"{buttons} on {page}")  # noqa: B023 - the same


def photograph(browser: Browser) -> bytes:
    """The whole page, down to a length that can be shown."""
    browser.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    width, height = browser.run("return [innerWidth, document.querySelector('footer').getBoundingClientRect().bottom]")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, LONGEST), "scale": 1}
    taken = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    return base64.b64decode(taken["data"])


def stock(site: House) -> dict[str, int]:
    """What is on the pages; the jobs that have a page of their own."""
    site.db.execute("truncate procrastinate_workers restart identity")
    site.db.execute(
        "insert into procrastinate_workers"
        " (qt_name, qt_host, qt_pid, qt_version, qt_memory, qt_queues, qt_concurrency, qt_started_at)"
        " select 'media-' || n, 'app' || n || '.example', 4100 + n, '0.1.0', (60 + n) * 2 ^ 20, '{media,default}', 8,"
        " now()"
        " from generate_series(1, 3) n"
    )
    add_figures(site)
    for name in ("nightly", "hourly-reports", "clear-visits"):
        add_schedule(site, name)
    ended = datetime.now(UTC)
    started = ended - timedelta(seconds=2)
    quoted = FAILURE % (started.isoformat(), ended.isoformat(), json.dumps(TRACEBACK))
    made = {
        "task_name": "site_app.photos.tasks.make_rendition",
        "args": '{"args": [7, 640, "webp"], "kwargs": {}}',
        "qt_enqueued_at": started - timedelta(seconds=1),
    }
    for _ in range(8):
        add_job(site, "succeeded", **made, qt_attempted_at=started, qt_finished_at=ended)
    for _ in range(4):
        add_job(site, "doing", **made, qt_attempted_at="now", worker_id=1)
    failed = 0
    for _ in range(5):
        times = {"qt_attempted_at": started, "qt_started_at": started, "qt_finished_at": ended}
        failed = add_job(site, "failed", **made, **times, qt_errors=quoted, attempts=1)
    add_job(site, "doing", **made, lock="photo:7:640:webp", qt_attempted_at="now", worker_id=1)
    waiting = add_job(site, "todo", **made, lock="photo:7:640:webp")
    add_job(site, queue_name="reports", task_name="site_app.reports.tasks.build")
    return {"failed": failed, "waiting": waiting}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
