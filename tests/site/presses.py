"""Every button of the dashboard: where it stands, what is filled in before, what is read and what is so afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from selenium.common.exceptions import StaleElementReferenceException

from tests.site.house import House
from tests.site.operators import add_job
from tests.site.test_browser import Browser
from tests.waiting import START, wait_until

FAILURE = '[{"exception": "builtins.ValueError", "message": "no", "traceback": "x"}]'
COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "todo": {},
    "doing": {"qt_attempted_at": "now"},
    "failed": {"qt_errors": FAILURE, "qt_finished_at": "now"},
    "succeeded": {"qt_finished_at": "now"},
    "mistaken": {
        "status": "failed",
        "task_name": "site_app.photos.tasks.find_palette",
        "args": '{"args": [7], "kwargs": {}}',
        "qt_finished_at": "now",
    },
    "retrying": {"status": "todo", "attempts": 1, "scheduled_at": "tomorrow", "qt_errors": FAILURE},
}
"""What a job of each state has."""

TICK = "✓"


class Press(NamedTuple):
    """Some buttons, one after the other, each on the page that the one before led to."""

    page: str
    """An address; {job} is a job that is made for it."""
    buttons: tuple[str, ...]
    """What is read on each, without a number; of a link what is read out."""
    shows: str
    """What is read on the last page, and was not on the one before."""
    holds: str
    """SQL that is true then; %(job)s is the job."""
    fill: Mapping[str, str] = {}
    """Selector -> what is written or chosen there, on whichever of the pages it is."""
    job: str = "failed"
    """The state in which the job is before."""
    scripted: bool = False
    """Whether it is there with JavaScript alone."""


SAME = "select true"
OF_JOB = "select {} from procrastinate_jobs where id = %(job)s"
OF_QUEUE = "select {} from queue_tasks_queues where queue_name = 'media'"
OF_WORKER = "select {} from procrastinate_workers where id = 1"
OF_SCHEDULE = "select {} from queue_tasks_schedules where name = 'nightly'"
LATER = OF_JOB.format("scheduled_at > now() + interval '50 minutes' and status = 'todo'")
GONE = "select not exists (select from procrastinate_jobs where id = %(job)s)"
JOB, LIST, FAILURES = "/queue/jobs/{job}/", "/queue/jobs/", "/queue/failures/"
QUEUES, WORKERS, SCHEDULE = "/queue/queues/", "/queue/workers/", "/queue/schedules/show/?name=nightly"
THIS = {"input[name=id][value='{job}']": TICK}
EDIT = "/queue/jobs/{job}/edit/"


PRESSES = (
    # one job
    Press(JOB, ("Retry",), "The job is queued again.", OF_JOB.format("status = 'todo'")),
    Press(JOB, ("Retry",), "The job is queued again.", LATER, {"select[name=delay]": "1h"}),
    Press(JOB, ("Cancel",), "The job is cancelled.", OF_JOB.format("status = 'cancelled'"), job="todo"),
    Press(JOB, ("Abort",), "is told to stop", OF_JOB.format("status = 'cancelled'"), job="todo"),
    Press(
        JOB,
        ("Abort",),
        "It was told to stop, and has not yet.",
        OF_JOB.format("abort_requested"),
        job="doing",
    ),
    Press(JOB, ("Delete",), "1 job deleted", GONE, {"input[type=checkbox][required]": TICK}, job="succeeded"),
    Press(
        EDIT,
        ("Retry",),
        "The job is queued again.",
        OF_JOB.format("args::text like '%%8%%' and scheduled_at > now()"),
        {"textarea": '{"photo_id": 8}', "select[name=delay]": "1h"},
        job="mistaken",
    ),
    # those that are ticked
    Press(LIST, ("Retry …", "Retry N job"), "1 job queued again", OF_JOB.format("status = 'todo'"), THIS),
    Press(LIST, ("Retry …", "Retry N job"), "1 job queued again", LATER, {**THIS, "select[name=delay]": "1h"}),
    Press(
        LIST, ("Cancel …", "Cancel N job"), "1 job cancelled", OF_JOB.format("status = 'cancelled'"), THIS, job="todo"
    ),
    Press(
        LIST,
        ("Abort …", "Abort N job"),
        "1 job told to stop",
        OF_JOB.format("abort_requested"),
        THIS,
        job="doing",
    ),
    Press(LIST, ("Delete …", "Delete N job"), "1 job deleted", GONE, THIS, job="succeeded"),
    Press(LIST, ("Retry …",), "No job is selected.", OF_JOB.format("status = 'failed'")),
    # all that match
    Press(
        LIST + "?q=status:failed",
        ("Delete …", "Delete N job"),
        "jobs deleted",
        "select not exists (select from procrastinate_jobs where status = 'failed')",
        {"input[name=all]": TICK},
    ),
    # failures of a kind
    Press(FAILURES, ("Retry all …", "Retry N job"), "1 job queued again", OF_JOB.format("status = 'todo'")),
    Press(EDIT, ("Retry",), "is not JSON", OF_JOB.format("status = 'failed'"), {"textarea": "[7"}),
    Press(
        FAILURES,
        ("Cancel those being retried …", "Cancel N job"),
        "1 job cancelled",
        OF_JOB.format("status = 'cancelled'"),
        job="retrying",
    ),
    Press(FAILURES, ("Delete all …", "Delete N job"), "2 jobs deleted", GONE),
    # looking
    Press(LIST, ("Show",), "No such jobs.", SAME, {"#q": "status:parked"}),
    Press("/queue/", ("Show",), "in the queue media", SAME, {"#of-queue": "media"}),
    # queues
    Press(QUEUES, ("Pause queue media", "Pause"), "The queue is paused.", OF_QUEUE.format("paused_until = 'infinity'")),
    Press(QUEUES, ("Resume queue media", "Resume"), "The queue goes on.", OF_QUEUE.format("paused_until is null")),
    Press(
        QUEUES,
        ("Pause queue media", "Pause"),
        "The queue is paused.",
        OF_QUEUE.format("paused_until between now() + interval '50 minutes' and now() + interval '1 hour'"),
        {"select[name=until]": "1h"},
    ),
    Press(
        QUEUES,
        ("Limit queue media", "Limit"),
        "expected a whole number of 1 or more",
        OF_QUEUE.format("concurrency is null"),
        {"input[name=concurrency]": "0"},
    ),
    Press(
        QUEUES,
        ("Limit queue media", "Limit"),
        "The queue's limit is changed.",
        OF_QUEUE.format("concurrency = 3"),
        {"input[name=concurrency]": "3"},
    ),
    Press(
        QUEUES,
        ("Limit queue media", "Limit"),
        "The queue's limit is changed.",
        OF_QUEUE.format("concurrency is null"),
        {"input[name=concurrency]": ""},
    ),
    # workers
    Press(WORKERS, ("Quiet worker 1", "Quiet"), "told to fetch nothing more", OF_WORKER.format("qt_told = 'quiet'")),
    Press(
        WORKERS,
        ("Have worker 1 fetch again", "Fetch again"),
        "told to fetch again",
        OF_WORKER.format("qt_told is null"),
    ),
    Press(WORKERS, ("Stop worker 1", "Stop"), "The worker is told to stop.", OF_WORKER.format("qt_told = 'stop'")),
    # schedules
    Press(SCHEDULE, ("Pause",), "The schedule is paused.", OF_SCHEDULE.format("paused_at is not null")),
    Press(SCHEDULE, ("Resume",), "The schedule ticks again", OF_SCHEDULE.format("paused_at is null")),
    Press(
        SCHEDULE,
        ("Run now",),
        "The schedule's job is enqueued.",
        "select exists (select from procrastinate_jobs where task_name = 'site_app.reports.tasks.build')",
    ),
    Press(
        SCHEDULE,
        ("Change",),
        "is not a number of seconds",
        OF_SCHEDULE.format("override_every is null"),
        {"[name=every]": "x"},
    ),
    Press(
        SCHEDULE,
        ("Change",),
        "The schedule is changed",
        OF_SCHEDULE.format("override_cron = '5 4 * * *' and override_timezone = 'Europe/Paris'"),
        {"[name=cron]": "5 4 * * *", "[name=timezone]": "Europe/Paris"},
    ),
    Press(
        SCHEDULE,
        ("Change",),
        "The schedule is changed",
        OF_SCHEDULE.format("override_every = 60"),
        {"[name=every]": "60"},
    ),
    Press(
        SCHEDULE,
        ("Back to what the code says",),
        "ticks as the code says",
        OF_SCHEDULE.format("override_every is null"),
    ),
    # the page itself
    Press(QUEUES, ("Pause updates",), "Updates are paused.", SAME, scripted=True),
    Press(QUEUES, ("Resume updates",), "Live.", SAME, scripted=True),
)

NAMES = """
const label = (one) => (one.firstChild?.textContent ?? "").trim().replace(/[0-9]+/g, "N").replace(/jobs$/, "job");
const action = (one) => {
  const form = one.form;
  if (!form) return "here";
  const where = new URL(one.getAttribute("formaction") ?? form.getAttribute("action") ?? location.href, location.href);
  const fields = [...form.elements].filter((field) => field.name && !["hidden", "submit"].includes(field.type));
  const names = [...new Set(fields.map((field) => field.name))].sort().join(" ");
  return `${form.method} ${where.pathname.replace(/[0-9]+/g, "N")} (${names})`;
};
const control = (one) => `${action(one)} ${label(one)} ${one.name}=${one.value}`;
"""
"""What a button is called: where it sends what, and what is read on it."""

FIND = (
    NAMES
    + """
const spoken = (one) => one.getAttribute("aria-label") ?? label(one);
const found = [...document.querySelectorAll("button, main a")]
  .filter((one) => one.checkVisibility())
  .find((one) => spoken(one) === arguments[0]);
return found ? [found, found.matches("button") ? control(found) : null] : null;
"""
)

OFFERED = (
    NAMES
    + """
const buttons = [...document.querySelectorAll("button, [type=submit], [type=button], [type=image], [type=reset]")];
return buttons.filter((one) => one.checkVisibility()).map(control);
"""
)

FILL = """
const [selector, text] = arguments;
for (const one of document.querySelectorAll(selector)) {
  if (text === "✓") one.checked = true;
  else one.value = text;
}
"""


def press(browser: Browser, site: House, given: Press) -> set[str]:
    """Do it, and see that it was done; returns what was pressed."""
    job = add_job(site, **{"status": given.job, **COLUMNS[given.job]})
    browser.open(given.page.format(job=job))
    pressed = set()
    for button in given.buttons:
        wait_until(lambda: browser.run(FIND, button), message=f"{button} of {given}")  # noqa: B023 - called at once
        for selector, text in given.fill.items():
            browser.run(FILL, selector.format(job=job), text)
        pressed |= click(browser, button)
    try:
        wait_until(lambda: given.shows in browser.text("body"), timeout=START)
    except pytest.fail.Exception:
        pytest.fail(f"{given} does not show it; {browser.driver.current_url} shows: {browser.text('main')[:1000]}")
    assert site.db.execute(given.holds.encode(), {"job": job}).fetchone() == (True,), given
    return pressed


def click(browser: Browser, button: str) -> set[str]:
    """Click a button or a link as a visitor does; returns what the button is called."""
    called: list[Any] = []

    def clicked() -> bool:
        try:
            element, control = browser.run(FIND, button)
            element.click()
        except StaleElementReferenceException:
            return False
        called.append(control)
        return True

    wait_until(clicked, message=f"{button} was clicked")
    return {control for control in called if control}
