"""The dashboard on the running site, in a real browser: looked at, read out, kept live, and every button pressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException

from tests.site.house import House
from tests.site.keyboard import choose, listen_to_keys, open_list, strike, told, write
from tests.site.operators import add_figures, add_job, add_schedule, add_worker, log_in, status
from tests.site.presses import COLUMNS, FAILURE, FIND, OFFERED, PRESSES, click, press
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
    "const wait = window.setTimeout; window.setTimeout = (f, ms, ...rest) => ms > 10000 ? 0 : wait(f, ms, ...rest);"
)
PAGES = (
    *("/queue/", "/queue/?span=day", "/queue/?span=week", "/queue/jobs/", "/queue/jobs/?q=colour:red"),
    *("/queue/failures/", "/queue/queues/", "/queue/workers/", "/queue/schedules/", "/queue/database/"),
    *(f"/queue/schedules/show/?name={name}" for name in ("nightly", "paused", "changed")),
    *("/queue/changes/", "/queue/changes/?before=1", "/queue/jobs/0/", "/queue/jobs/?q=status:failed&before=1"),
    *(f"/queue/control/{verb}_queue/?name={name}" for verb, name in (("pause", "a"), ("limit", "a"), ("resume", "b"))),
    *(f"/queue/control/{verb}_worker/?name={n}" for verb, n in (("quiet", 1), ("stop", 1), ("resume", 2))),
    *(f"/queue/jobs/{deed}/?all=1&q=status:failed" for deed in ("retry", "delete")),
    "/queue/jobs/cancel/?all=1&q=status:ready",
)


@pytest.fixture(scope="module")
def window(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser in which somebody who may do everything has logged in, through the form."""
    opened = Browser(house, tmp_path_factory.mktemp("profile"))
    log_in(house, opened, "ada")
    yield opened
    opened.driver.quit()


@pytest.fixture
def site(house: House) -> Iterator[House]:
    """The house, empty but for who has logged in."""
    house.clear(logins=False)
    yield house
    house.stop_worker()


@pytest.fixture
def staff(site: House, window: Browser) -> Iterator[Browser]:
    """The browser, logged in, on an empty site."""
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
    jobs = {state: add_job(site, **{"status": state, **columns}) for state, columns in COLUMNS.items()}
    for name in ("nightly", "paused", "changed"):
        add_schedule(site, name)
    site.db.execute("update queue_tasks_schedules set paused_at = now() where name = 'paused'")
    site.db.execute("update queue_tasks_schedules set override_every = 60 where name = 'changed'")
    site.db.execute(
        "insert into queue_tasks_queues (queue_name, paused_until, paused_by, concurrency)"
        " values ('b', 'infinity', 'grace', null), ('c', null, null, 3)"
    )
    add_figures(site)
    add_worker(site)
    add_worker(site, "quiet", told="quiet")
    of_jobs = [f"/queue/jobs/{job}/" for job in jobs.values()]
    failed, waiting = jobs["failed"], jobs["todo"]
    deeds = [f"/queue/jobs/{deed}/?id={failed}&id={waiting}" for deed in ("retry", "cancel", "abort", "delete")]
    return staff, [*PAGES, *of_jobs, f"/queue/jobs/{failed}/edit/", *deeds]


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


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_admin_shows_the_same_things_and_leads_to_the_dashboard(stocked, site, size):
    browser, _ = stocked
    browser.resize(size)
    browser.problems()
    for kind in ("job", "queue", "worker", "schedule", "change"):
        browser.open(f"/admin/queue_tasks/{kind}/")
        assert browser.text("h1") == f"{kind}s".capitalize()
        assert browser.run(WIDE) is False, f"{kind} is wider than the window"
        browser.run(AXE)
        # Around it is Django's.
        assert browser.driver.execute_async_script(RUN_AXE.replace("document,", "'#content-main',", 1)) == [], kind
    browser.open("/admin/queue_tasks/job/?q=status:failed")
    browser.click("#content-main tbody th a")
    wait_until(lambda: browser.text("#content-main h2").endswith("failed"), message="the sheet is shown")
    assert browser.run(WIDE) is False, "the sheet is wider than the window"
    assert "hush" not in browser.driver.page_source
    browser.click("#content-main a[href^='/queue/jobs/']")
    wait_until(lambda: "/queue/jobs/" in browser.driver.current_url, message="the dashboard is shown")
    assert [line for line in browser.problems() if "favicon" not in line] == []


# --------------------------------------------------------------------------------------------------- the filter's words


def test_words_of_the_filter_are_chosen_by_keys_and_it_is_sent(staff, site):
    found = add_job(site, "failed", task_name="site_app.photos.tasks.make_rendition")
    add_job(site, "failed")
    staff.open("/queue/jobs/")
    listen_to_keys(staff)

    def tabbed() -> bool:
        staff.press("\ue004")  # Tab
        return bool(staff.run("return document.activeElement.id") == "q")

    wait_until(tabbed, message="Tab leads to the filter")
    write(staff, "status:f")
    assert choose(staff) == "status:failed"
    write(staff, " task:make_rend")
    assert choose(staff) == "status:failed task:make_rendition"
    write(staff, " since:")
    offered = staff.run("return Array.from(document.getElementById('words').options, (option) => option.value)")
    assert len(offered) > 1
    assert all(words.startswith("status:failed task:make_rendition since:") for words in offered)
    # Which of them it is nobody can tell: a list that comes late may take the arrow that opened it, too.
    chosen = choose(staff, "ArrowDown", "ArrowUp")
    assert chosen in offered
    assert told(staff, "combobox")["value"] == chosen
    staff.press("\ue007")  # Enter
    wait_until(lambda: "?q=status" in staff.driver.current_url, message="the filter was sent")
    assert staff.one("#q").get_attribute("value") == chosen
    assert rows(staff) == [found]


def test_escape_leaves_the_list_and_the_text_as_it_is(staff, site):
    staff.open("/queue/jobs/")
    listen_to_keys(staff)
    staff.click("#q")
    write(staff, "status:failed since:")
    open_list(staff)
    assert strike(staff, "Escape")
    assert not strike(staff, "Enter"), "the list was closed"
    assert staff.one("#q").get_attribute("value") == "status:failed since:"
    assert staff.driver.current_url.endswith("/queue/jobs/")


def test_a_screen_reader_is_told_that_the_filter_offers_words_and_what_is_wrong(staff):
    staff.open("/queue/jobs/")
    field = told(staff, "combobox")
    assert (field["name"], field["autocomplete"], field["hasPopup"]) == ("Filter", "list", "listbox")
    assert field["description"].startswith("For example task:resize status:failed since:1h. Keys: id: task:")
    assert field["invalid"] == "false"
    staff.open("/queue/jobs/?q=colour:red")
    assert told(staff, "combobox")["invalid"] == "true"
    assert "colour" in staff.text("[role=alert]")
    staff.problems()


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


def test_the_list_of_jobs_shows_new_ones_and_takes_nothing_from_who_works_on_it(staff, site):
    first, second, third = (add_job(site, "failed") for _ in range(3))
    staff.open("/queue/jobs/?q=status:failed")
    wait_for_stream(staff)
    fourth = add_job(site, "failed")
    tell(site)
    wait_until(lambda: rows(staff) == [fourth, third, second, first], timeout=START, message="the new job is listed")
    for job in (first, third):
        staff.click(f"input[name=id][value='{job}']")
    staff.one("#q").send_keys(" queue:me")
    staff.run("document.querySelector(`a[href='/queue/jobs/${arguments[0]}/']`).focus()", second)
    # What is ticked stays where it is: newer jobs would push it off the page.
    fifth = add_job(site, "failed")
    site.db.execute("update procrastinate_jobs set attempts = 7 where id = %s", [second])
    tell(site)
    wait_until(lambda: "7" in staff.text(f"tr[data-key='{second}']"), timeout=START, message="it looked again")
    assert rows(staff) == [fourth, third, second, first]
    assert ticked(staff) == [third, first]
    assert staff.run("return [document.getElementById('every').indeterminate, document.activeElement.innerText]") == [
        True,
        str(second),
    ]
    assert staff.run("return document.getElementById('q').value") == "status:failed queue:me"
    # What is gone is said, and is done nothing to.
    site.db.execute("delete from procrastinate_jobs where id = %s", [third])
    tell(site)
    wait_until(lambda: staff.text("#gone") == GONE.format(third), timeout=START)
    assert (rows(staff), ticked(staff)) == ([fourth, second, first], [first])
    click(staff, "Retry …")
    wait_until(lambda: staff.text("h1") == "Retry 1 job?")
    click(staff, "Retry N job")
    wait_until(lambda: staff.text("h1") == "1 job queued again")
    assert [status(site, job) for job in (first, second, fourth, fifth)] == ["todo", "failed", "failed", "failed"]
    assert staff.problems() == []


def test_all_of_a_page_are_ticked_at_once_and_no_other_page_is(staff, site):
    jobs = [add_job(site, "failed") for _ in range(52)]
    staff.open("/queue/jobs/")
    staff.click("#every")
    assert ticked(staff) == jobs[:1:-1]
    click(staff, "Delete …")
    wait_until(lambda: staff.text("h1") == "Delete 50 jobs?")
    staff.driver.back()
    staff.click("#older")
    wait_until(lambda: rows(staff) == jobs[1::-1], message="the next page")
    assert ticked(staff) == []
    wait_for_stream(staff)
    site.db.execute("update procrastinate_jobs set attempts = 7 where id = %s", [jobs[0]])
    tell(site)
    wait_until(lambda: "7" in staff.text(f"tr[data-key='{jobs[0]}']"), timeout=START)
    assert rows(staff) == jobs[1::-1], "an open page stays the page it is"


def test_failures_come_and_a_button_stays_that_of_its_kind(staff, site):
    kind = '[{"exception": "builtins.%s", "fingerprint": "%s"}]'
    add_job(site, "failed", qt_errors=kind % ("OSError", "one"))
    staff.open("/queue/failures/")
    wait_for_stream(staff)
    focused = "return document.activeElement.closest('[data-key]')?.dataset.key + document.activeElement.innerText"
    staff.run("document.querySelector('[data-key=one] .danger').focus()")
    before = staff.run(focused)
    for _ in range(2):
        add_job(site, "failed", qt_errors=kind % ("OSError", "two"))
    tell(site)
    kinds = "return [...document.querySelectorAll('.groups [data-key]')].map((one) => one.dataset.key)"
    wait_until(
        lambda: staff.run(kinds) == ["two", "one"], timeout=START, message="the new kind is listed, before the old"
    )
    assert before.startswith("oneDelete all")
    wait_until(lambda: staff.run(focused) == before, message="the focus is where it was")
    site.db.execute("delete from procrastinate_jobs where qt_errors -> 0 ->> 'fingerprint' = 'one'")
    tell(site)
    wait_until(lambda: staff.run(kinds) == ["two"], timeout=START)
    wait_until(lambda: staff.run("return document.activeElement.id") == "main", message="on no button of another kind")
    assert staff.problems() == []


def test_workers_schedules_queues_and_changes_are_followed(staff, site):
    add_schedule(site)
    add_worker(site, told="quiet")
    note = (
        "insert into queue_tasks_changes (ticket, user_id, user_name, action, target)"
        " values (gen_random_uuid(), '1', '{}', 'retry', 'job 1')"
    )
    site.db.execute(note.format("grace").encode())
    for page, statement, shows in (
        ("/queue/workers/", "insert into procrastinate_workers (qt_name) values ('llama')", "llama"),
        ("/queue/workers/", "update procrastinate_workers set qt_told = 'stop'", "stopping"),
        ("/queue/schedules/", "update queue_tasks_schedules set paused_at = now(), revision = revision + 1", "paused"),
        ("/queue/queues/", "insert into queue_tasks_queues (queue_name, concurrency) values ('media', 3)", "limit 3"),
    ):
        staff.open(page)
        wait_for_stream(staff)
        assert shows not in staff.text("#live")
        site.db.execute(statement.encode())
        wait_until(lambda: shows in staff.text("#live"), timeout=START, message=f"{page} shows it")  # noqa: B023
    staff.open("/queue/changes/")
    wait_for_stream(staff)
    staff.click("summary")
    site.db.execute(note.format("ada").encode())
    tell(site)
    wait_until(lambda: "ada" in staff.text("#live"), timeout=START)
    opened = "return [...document.querySelectorAll('#live details')].map((one) => one.open)"
    wait_until(lambda: staff.run(opened) == [False, True], message="the change that was opened, one further down")
    assert staff.problems() == []


def test_a_schedules_page_follows_it_and_leaves_its_form_alone(staff, site):
    add_schedule(site)
    staff.open("/queue/schedules/show/?name=nightly")
    wait_for_stream(staff)
    staff.one("input[name=every]").send_keys("12")
    staff.run("document.activeElement.blur()")
    site.db.execute("update queue_tasks_schedules set paused_at = now(), revision = revision + 1")
    wait_until(lambda: "paused" in staff.text("h1"), timeout=START)
    wait_until(lambda: staff.all("form[action='/queue/schedules/resume/']"))
    assert not staff.all("form[action='/queue/schedules/pause/']")
    assert "None." in staff.text("#ticks")
    assert staff.run("return document.querySelector('input[name=every]').value") == "12"
    assert staff.problems() == []


def test_what_is_pressed_stays_until_it_is_let_go(staff, site):
    job = add_job(site)
    staff.open("/queue/jobs/")
    wait_for_stream(staff)
    count_news(staff)
    mouse = webdriver.ActionChains(staff.driver)

    def pressed() -> bool:
        try:
            mouse.click_and_hold(staff.one("tbody a")).perform()
        except StaleElementReferenceException:
            mouse.reset_actions()
            return False
        return True

    wait_until(pressed)
    # Not before: it may have been put in anew until the button was down.
    heard = staff.run("window.link = document.querySelector('tbody a'); return window.heard")
    add_job(site)
    wait_until(lambda: staff.run("return window.heard") >= heard + 2, timeout=START, message="the page heard of it")
    assert staff.run("return window.link.isConnected")
    mouse.release().perform()
    wait_until(lambda: staff.text("h1").startswith(f"Job {job}"), message="the link was followed")


def test_a_page_that_is_slow_is_asked_for_once_at_a_time_and_seldom(staff, site):
    """However fast jobs come: a look waits for the one before, then a while that grows with what that took."""
    staff.open("/queue/jobs/")
    wait_for_stream(staff)
    count_news(staff)
    staff.run(WATCH)
    staff.run("window.isSlow = true")
    add_job(site)
    wait_until(lambda: staff.run("return window.asked.length") == 1, timeout=START, message="it looks")
    heard = staff.run("return window.heard")
    last = add_job(site)
    wait_until(lambda: staff.run("return window.heard") >= heard + 2, timeout=START)
    assert staff.run("return window.asked.length") == 1
    staff.run("window.letGo()")
    wait_until(lambda: staff.run("return window.asked.length") == 2, timeout=START, message="what it heard meanwhile")
    wait_until(lambda: last in rows(staff), timeout=START)
    (first, second), ended = staff.run("return [window.asked, window.ended]")
    # Four times as long, but no longer than it would wait without a stream.
    assert second - ended >= min(3 * (ended - first), 4_500)


def test_a_hidden_page_asks_nothing(staff, site):
    staff.open("/queue/jobs/")
    wait_for_stream(staff)
    count_news(staff)
    staff.run(WATCH)
    staff.driver.minimize_window()
    try:
        wait_until(lambda: staff.run("return document.hidden"), message="nobody sees it")
        asked, heard = staff.run("return [window.asked, window.heard]")
        job = add_job(site)
        wait_until(lambda: staff.run("return window.heard") >= heard + 2, timeout=START, message="a change is told")
        assert staff.run("return window.asked") == asked
    finally:
        staff.driver.set_window_rect(0, 0, *DESK)
    wait_until(lambda: rows(staff) == [job], timeout=START, message="seen again, it looks at once")


def tell(site: House) -> None:
    """Say that something has changed, as the dashboard's own statements do, and as a worker's."""
    site.db.execute("select pg_notify('queue_tasks_changes', '')")


GONE = "Job {}, which you had ticked, is not in this list any more. Nothing will be done to it."
COUNT_NEWS = """
window.heard = 0;
const stream = document.querySelector("script[data-stream]").dataset.stream;
new EventSource(stream).addEventListener("changed", () => { window.heard += 1; });
"""
WATCH = """
const send = XMLHttpRequest.prototype.send, held = [];
window.asked = [];
window.isSlow = false;
XMLHttpRequest.prototype.send = function (...given) {
  window.asked.push(performance.now());
  if (window.isSlow) held.push(() => send.apply(this, given));
  else send.apply(this, given);
};
window.letGo = () => {
  window.isSlow = false;
  document.addEventListener("htmx:afterRequest", () => { window.ended ??= performance.now(); });
  for (const one of held) one();
};
"""
"""Notes when the page asks; slow: it is not answered until it is let go."""


def count_news(browser: Browser) -> None:
    """Count what the page is told, by a stream beside its own."""
    browser.run(COUNT_NEWS)
    wait_until(lambda: browser.run("return window.heard > 0"), message="the other stream hears")


def rows(browser: Browser) -> list[int]:
    """The jobs of the list."""
    found = browser.run("return [...document.querySelectorAll('#live tbody tr')].map((row) => Number(row.dataset.key))")
    return [int(job) for job in found]


def ticked(browser: Browser) -> list[int]:
    """Those that are ticked."""
    found = browser.run("return [...document.querySelectorAll('[name=id]:checked')].map((box) => Number(box.value))")
    return [int(job) for job in found]


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


def test_a_traceback_that_was_opened_stays_so_and_no_button_is_stood_on_that_was_another(staff, site):
    errors = (
        '[{"attempt": 1, "exception": "a.A", "traceback": "x"}, {"attempt": 2, "exception": "a.B", "traceback": "y"}]'
    )
    job = add_job(site, "failed", qt_errors=errors, qt_finished_at="now")
    staff.open(f"/queue/jobs/{job}/")
    wait_for_stream(staff)
    staff.click("[data-key='attempt 1'] summary")
    staff.run("document.querySelector(`form[action='/queue/jobs/delete/'] button`).focus()")
    site.db.execute("update procrastinate_jobs set status = 'todo', scheduled_at = null where id = %s", [job])
    wait_until(lambda: staff.all("form[action='/queue/jobs/cancel/']"), timeout=START)
    opened = "return [...document.querySelectorAll('.failure details')].map((one) => one.open)"
    wait_until(lambda: staff.run(opened) == [True, True])
    wait_until(lambda: staff.run("return document.activeElement.id") == "rest")


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


@pytest.mark.parametrize("javascript", [True, False])
def test_every_button_does_what_it_says_and_none_is_left_out(stocked, site, javascript):
    browser, pages = stocked
    offered = set()
    if not javascript:
        browser.without_javascript()
    # Without it there are the same but for those that it shows.
    for page in pages if javascript else []:
        browser.open(page)
        offered |= set(browser.run(OFFERED))
    site.clear(logins=False)
    add_schedule(site)
    add_worker(site)
    browser.problems()
    pressed: set[str] = set()
    for one in PRESSES:
        if javascript or not one.scripted:
            pressed |= press(browser, site, one)
    assert offered - pressed == set(), "buttons without a press in tests/site/presses.py"
    # An answer that says what was wrong with a form, or of nothing that was chosen.
    assert [line for line in browser.problems() if " 400 " not in line] == []


def test_a_running_worker_obeys_its_buttons_and_those_of_its_queue(staff, site):
    site.start_worker()
    worker = site.value("select id from procrastinate_workers")
    program = site.worker.running[0]
    for page, hold, release, verb in (
        (
            "/queue/workers/",
            (f"Quiet worker {worker}", "Quiet"),
            (f"Have worker {worker} fetch again", "Fetch again"),
            "worker",
        ),
        ("/queue/queues/", ("Pause queue media", "Pause"), ("Resume queue media", "Resume"), "queue"),
    ):
        add_job(site, "succeeded")  # a queue that there is
        follow(staff, page, *hold)
        if verb == "worker":
            wait_until(lambda: any("told to be quiet" in line for line in program.lines), timeout=START)
        job = add_job(site, **{**COLUMNS["mistaken"], "status": "todo", "qt_finished_at": None})
        follow(staff, page, *release)
        wait_until(lambda: status(site, job) == "succeeded", timeout=START, message=f"{verb}: it runs")  # noqa: B023
        assert site.value(
            "select j.qt_attempted_at > c.made_at from procrastinate_jobs j, queue_tasks_changes c"
            " where j.id = %(job)s and c.action = %(action)s",
            job=job,
            action=f"{verb} resume",
        ), "not before it was let"
    follow(staff, "/queue/workers/", f"Stop worker {worker}", "Stop")
    wait_until(lambda: program.process.poll() is not None, timeout=START, message="its process ends")
    assert program.process.returncode == 0, program.tail()
    wait_until(lambda: "No worker is registered." in staff.text("#live"), timeout=START)
    assert staff.problems() == []


def follow(browser: Browser, page: str, *buttons: str) -> None:
    """Press one after the other, until the page says that it was done."""
    browser.open(page)
    for button in buttons:
        wait_until(lambda: browser.run(FIND, button), timeout=START, message=button)  # noqa: B023
        click(browser, button)
    wait_until(lambda: browser.all("[role=status].told"), message=f"{buttons} is done")


# ---------------------------------------------------------------------------------------------------------- two at once


@pytest.fixture(scope="module")
def second(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A second operator's browser."""
    opened = Browser(house, tmp_path_factory.mktemp("second"))
    log_in(house, opened, "grace")
    yield opened
    opened.driver.quit()


@pytest.fixture
def other(site: House, second: Browser) -> Iterator[Browser]:
    """A second operator, at the same site."""
    yield second
    second.run("sessionStorage.clear()")
    second.driver.get("about:blank")


def test_of_two_operators_at_one_job_the_second_is_told_that_the_first_was_quicker(staff, other, site):
    job = add_job(site, "failed", qt_errors=FAILURE)
    other.open("/queue/queues/")
    other.click("#pause")
    for browser in (staff, other):
        browser.open(f"/queue/jobs/{job}/")
    click(staff, "Retry")
    wait_until(lambda: staff.all("[role=status]"))
    other.click("input[type=checkbox][required]")
    click(other, "Delete")
    wait_until(lambda: other.text("h1") == "Somebody was quicker")
    assert status(site, job) == "todo"
    assert site.rows("select user_name, action from queue_tasks_changes order by id") == [("ada", "retry")]
    # Not paused, the other page would have offered what can be done now.
    other.open(f"/queue/jobs/{job}/")
    other.click("#pause")
    wait_for_stream(other)
    press_cancel = "form[action='/queue/jobs/cancel/'] button"
    wait_until(lambda: other.all(press_cancel))
    click(staff, "Cancel")
    wait_until(lambda: not other.all(press_cancel), timeout=START)
    wait_until(lambda: "cancelled" in other.text("h1"))


def test_of_two_operators_at_one_queue_the_second_is_told_that_the_first_was_quicker(staff, other, site):
    add_job(site)
    for browser in (staff, other):
        browser.open("/queue/queues/")
        click(browser, "Pause queue media")
        wait_until(lambda: browser.text("h1") == "Pause queue media?")  # noqa: B023
    click(staff, "Pause")
    wait_until(lambda: staff.all("[role=status].told"))
    other.run("document.querySelector('select[name=until]').value = '5m'")
    click(other, "Pause")
    wait_until(lambda: other.text("h1") == "Somebody was quicker")
    assert "paused by ada now" in other.text("main")
    assert site.rows("select paused_by, paused_until = 'infinity' from queue_tasks_queues") == [("ada", True)]
    assert site.rows("select user_name, action from queue_tasks_changes") == [("ada", "queue pause")]
