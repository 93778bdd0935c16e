"""The dashboard on the running site, in a real browser: looked at, read out, kept live, and every button pressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site.house import House
from tests.site.operators import add_figures, add_job, add_schedule, log_in, status
from tests.site.test_browser import DESK, PHONE, Browser, pytestmark  # noqa: F401 - the marks: where there is a browser
from tests.waiting import START, wait_until

HERE = Path(__file__).parent
AXE = (HERE / "axe" / "axe.min.js").read_text()
RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
  (found) => done(found.violations.filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ").slice(0, 300)}`)),
  (error) => done([String(error)]));
"""
WIDE = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
LOADED = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
NO_POLLS = (
    "const wait = window.setTimeout; window.setTimeout = (f, ms, ...rest) => ms > 2000 ? 0 : wait(f, ms, ...rest);"
)
FAILURE = '[{"exception": "builtins.ValueError", "message": "no", "traceback": "x"}]'
PAGES = (
    *("/queue/", "/queue/?span=day", "/queue/?span=week", "/queue/jobs/", "/queue/jobs/?q=colour:red"),
    *("/queue/failures/", "/queue/queues/", "/queue/workers/", "/queue/schedules/", "/queue/database/"),
    *("/queue/schedules/show/?name=nightly", "/queue/changes/", "/queue/jobs/0/"),
)


@pytest.fixture(scope="module")
def window(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser in which somebody who may do everything has logged in, through the form."""
    opened = Browser(house, tmp_path_factory.mktemp("profile"))
    log_in(house, opened, "ada")
    # A page that is open would ask while its session is forgotten, and lose it.
    opened.driver.get("about:blank")
    yield opened
    opened.driver.quit()


@pytest.fixture(scope="module")
def sessions(house: House, window: Browser) -> list[tuple[object, ...]]:
    """The login, which emptying the house forgets."""
    return house.rows("select session_key, session_data, expire_date from django_session")


@pytest.fixture
def staff(sessions: list[tuple[object, ...]], site: House, window: Browser) -> Iterator[Browser]:
    """The browser, still logged in, on an empty site."""
    for session in sessions:
        site.db.execute("insert into django_session values (%s, %s, %s)", session)
    window.resize(DESK)
    yield window
    window.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    window.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    window.run("sessionStorage.clear()")
    window.driver.get("about:blank")
    window.problems()


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


# ----------------------------------------------------------------------------------------------------------- every page


@pytest.fixture
def stocked(staff: Browser, site: House) -> tuple[Browser, list[str]]:
    """The pages there are, with something on each."""
    failed = add_job(site, "failed", qt_errors=FAILURE, qt_finished_at="now")
    waiting = add_job(site)
    add_job(site, "doing", qt_attempted_at="now")
    add_schedule(site)
    add_figures(site)
    site.db.execute(
        "insert into procrastinate_workers (qt_name, qt_host, qt_pid, qt_queues, qt_concurrency, qt_started_at)"
        " values ('camel', 'a.long.name.of.a.host.example', 77, '{media,reports}', 4, now())"
    )
    of_jobs = [f"/queue/jobs/{job}/" for job in (failed, waiting)]
    deeds = [f"/queue/jobs/{deed}/?id={failed}&id={waiting}" for deed in ("retry", "cancel", "abort", "delete")]
    return staff, [*PAGES, *of_jobs, f"{of_jobs[0]}edit/", *deeds]


@pytest.mark.parametrize(
    ("size", "theme", "javascript"),
    [(PHONE, "light", True), (DESK, "dark", True), (PHONE, "dark", False), (DESK, "light", False)],
    ids=["phone light", "desk dark", "phone dark without javascript", "desk light without javascript"],
)
def test_every_page_fits_and_can_be_read_and_asks_nobody_else(stocked, site, size, theme, javascript):
    browser, pages = stocked
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.resize(size)
    if not javascript:
        browser.without_javascript()
    browser.problems()
    for page in pages:
        browser.open(page)
        assert "/login/" not in browser.driver.current_url, page
        assert browser.run(WIDE) is False, f"{page} is wider than the window"
        assert len(browser.all("h1")) == 1, page
        assert all(name.startswith(browser.site.address) for name in browser.run(LOADED)), page
        allowed = " 400 " if "colour" in page else " 404 " if page.endswith("/0/") else "nothing"
        assert [line for line in browser.problems() if allowed not in line] == [], page
        if javascript:
            browser.run(AXE)
            assert browser.driver.execute_async_script(RUN_AXE) == [], page


# ---------------------------------------------------------------------------------------------------------------- live


def wait_for_stream(browser: Browser) -> None:
    """From now on only the stream makes the page look: its timers are taken away."""
    browser.run(NO_POLLS)
    wait_until(lambda: browser.text("#signal") == "Live.", timeout=START, message="the page hears")


def test_an_open_page_is_told_what_changes(staff, site):
    staff.open("/queue/queues/")
    staff.run("window.neverReloaded = true")
    wait_for_stream(staff)
    assert "surprise" not in staff.text("#live")
    add_job(site, queue_name="surprise")
    wait_until(lambda: "surprise" in staff.text("#live"), timeout=START, message="the new queue is on the page")
    site.db.execute("update procrastinate_jobs set status = 'failed'")
    wait_until(lambda: "nobody" in staff.text("#live"))
    assert staff.run("return window.neverReloaded") is True
    assert staff.problems() == []


def test_a_jobs_page_follows_it_to_its_end_with_its_buttons_and_its_error(staff, site):
    job = add_job(site)
    staff.open(f"/queue/jobs/{job}/")
    wait_for_stream(staff)
    assert staff.all("form[action='/queue/jobs/cancel/']")
    assert not staff.all("form[action='/queue/jobs/retry/']")
    site.db.execute(
        "update procrastinate_jobs set status = 'failed', qt_errors = %s, qt_finished_at = now()", [FAILURE]
    )
    wait_until(lambda: "failed" in staff.text("h1"), timeout=START)
    wait_until(lambda: staff.all("form[action='/queue/jobs/retry/']"))
    assert not staff.all("form[action='/queue/jobs/cancel/']")
    assert staff.text(".failure h3") == "builtins.ValueError"
    assert staff.problems() == []


def test_what_one_has_opened_and_stands_on_stays_when_the_page_looks_again(staff, site):
    add_figures(site)
    staff.open("/queue/")
    wait_for_stream(staff)
    staff.click("#figures-table summary")
    staff.run("document.querySelector('#figures-table summary').focus()")
    add_job(site, queue_name="surprise")
    wait_until(lambda: "surprise" in staff.text("#live"), timeout=START)
    wait_until(lambda: staff.run("return document.getElementById('figures-table').open"))
    wait_until(lambda: staff.run("return document.activeElement.tagName") == "SUMMARY")


def test_updates_can_be_paused_and_who_fills_in_a_form_is_left_alone(staff, site):
    staff.open("/queue/queues/")
    wait_for_stream(staff)
    staff.click("#pause")
    wait_until(lambda: staff.text("#signal") == "Updates are paused.")
    add_job(site, queue_name="surprise")
    staff.open("/queue/workers/")
    assert staff.text("#signal") == "Updates are paused."
    staff.open("/queue/queues/")
    before = staff.text("#live")
    add_job(site, queue_name="another")
    staff.click("#pause")
    wait_until(lambda: "another" in staff.text("#live"), timeout=START)
    assert "another" not in before


# --------------------------------------------------------------------------------------------------------- every button


def test_every_button_of_a_job_does_what_it_says(staff, site):
    pressed = set()
    for state, columns in {
        "todo": {},
        "doing": {"qt_attempted_at": "now"},
        "failed": {"qt_errors": FAILURE, "qt_finished_at": "now"},
        "succeeded": {"qt_finished_at": "now"},
    }.items():
        for button in labels(staff, f"/queue/jobs/{add_job(site, state, **columns)}/"):
            job = add_job(site, state, **columns)
            press(staff, f"/queue/jobs/{job}/", button)
            wait_until(
                lambda: staff.all("[role=status]") or "deleted" in staff.text("h1"), message=f"{state}: {button}"
            )
            pressed.add((state, button))
    assert {("todo", "Cancel"), ("failed", "Retry"), ("failed", "Delete"), ("succeeded", "Delete")} <= pressed
    assert staff.problems() == []


def test_every_button_for_several_jobs_shows_what_it_would_do_and_does_it(staff, site):
    add_job(site, "failed", qt_errors=FAILURE)
    buttons = labels(staff, "/queue/jobs/")
    assert len(buttons) >= 4
    for button in buttons:
        state = {"Retry …": "failed", "Delete …": "succeeded", "Abort …": "doing"}.get(button, "todo")
        job = add_job(site, state)
        staff.open("/queue/jobs/")
        staff.click(f"input[name=id][value='{job}']")
        staff.run(PRESS, button)
        wait_until(lambda: staff.text("h1").endswith("?"), message=button)
        (confirm,) = staff.run("return [...document.querySelectorAll('main form button')].map((one) => one.innerText)")
        staff.run(PRESS, confirm)
        wait_until(lambda: staff.text("h1").startswith("1 job"), message=f"{button} did it")
    assert staff.problems() == []


def test_every_button_of_a_schedule_does_what_it_says(staff, site):
    page = "/queue/schedules/show/?name=nightly"
    add_schedule(site)
    for button in ("Pause", "Resume", "Run now", "Change", "Back to what the code says"):
        staff.open(page)
        if button == "Change":
            staff.one("input[name=every]").send_keys("60")
        staff.run(PRESS, button)
        wait_until(lambda: staff.all("[role=status]"), message=button)
    assert site.value("select count(*) from queue_tasks_changes") == 5
    assert staff.problems() == []


PRESS = """
const button = [...document.querySelectorAll("main form button")].find((one) => one.innerText === arguments[0]);
for (const box of button.form.querySelectorAll("input[type=checkbox][required]")) box.checked = true;
button.click();
"""


LABELS = """
return [...document.querySelectorAll("main form[method=post] button, .bulk button")].map((one) => one.innerText);
"""


def labels(browser: Browser, page: str) -> list[str]:
    """The buttons of a page's forms, but for that of its filter."""
    browser.open(page)
    found = browser.run(LABELS)
    return [str(label) for label in found]


def press(browser: Browser, page: str, label: str) -> None:
    browser.open(page)
    browser.run(PRESS, label)


# ---------------------------------------------------------------------------------------------------------- two at once


@pytest.fixture
def other(site: House, tmp_path: Path) -> Iterator[Browser]:
    """A second operator, in a browser of her own."""
    opened = Browser(site, tmp_path / "profile")
    log_in(site, opened, "grace")
    yield opened
    opened.driver.quit()


def test_of_two_operators_at_one_job_the_second_is_told_that_the_first_was_quicker(staff, other, site):
    job = add_job(site, "failed", qt_errors=FAILURE)
    other.open("/queue/queues/")
    other.click("#pause")
    for browser in (staff, other):
        browser.open(f"/queue/jobs/{job}/")
    press(staff, f"/queue/jobs/{job}/", "Retry")
    wait_until(lambda: staff.all("[role=status]"))
    other.run(PRESS, "Delete")
    wait_until(lambda: other.text("h1") == "Somebody was quicker")
    assert status(site, job) == "todo"
    assert site.rows("select user_name, action from queue_tasks_changes order by id") == [("ada", "retry")]
    # Not paused, the other page would have offered what can be done now.
    other.open(f"/queue/jobs/{job}/")
    other.click("#pause")
    wait_for_stream(other)
    press_cancel = "form[action='/queue/jobs/cancel/'] button"
    wait_until(lambda: other.all(press_cancel))
    staff.run(PRESS, "Cancel")
    wait_until(lambda: not other.all(press_cancel), timeout=START)
    wait_until(lambda: "cancelled" in other.text("h1"))
