"""Who operates the dashboard of the running site, in a real browser, and what they find there."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password

from tests.site.house import House
from tests.site.test_browser import DESK, Browser
from tests.waiting import wait_until


def log_in(site: House, window: Browser, name: str) -> None:
    """Make somebody who may do everything, and log in through the form."""
    site.db.execute("delete from auth_user where username = %s", [name])
    site.db.execute(
        "insert into auth_user (username, password, is_superuser, is_staff, is_active, first_name, last_name, email, "
        "date_joined) values (%s, %s, true, true, true, '', '', '', now())",
        [name, make_password("difference engine", hasher="pbkdf2_sha256")],
    )
    window.resize(DESK)
    window.driver.delete_all_cookies()
    window.open("/queue/")
    assert "/login/?next=/queue/" in window.driver.current_url
    window.one("#id_username").send_keys(name)
    window.one("#id_password").send_keys("difference engine")
    window.click("form button")
    wait_until(lambda: window.text("h1") == "Overview", message="the overview is shown")


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


def add_schedule(site: House, name: str = "nightly") -> None:
    site.db.execute(
        "insert into queue_tasks_schedules (name, declared, task_name, queue_name, args, every, timezone, missed,"
        " overlap, last_tick, next_tick) values (%s, true, 'site_app.reports.tasks.build', 'reports', '{}', 3600,"
        " 'UTC', 'latest', 'allow', now(), now() + interval '1 hour')",
        [name],
    )


def add_worker(site: House, name: str = "camel", told: str | None = None) -> None:
    """A worker that is written down and does nothing."""
    site.db.execute(
        "insert into procrastinate_workers"
        " (qt_name, qt_host, qt_pid, qt_queues, qt_concurrency, qt_started_at, qt_told)"
        " values (%s, 'a.long.name.of.a.host.example', 77, '{media,reports}', 4, now(), %s)",
        [name, told],
    )


def add_figures(site: House) -> None:
    """A few hours of work, for the charts."""
    site.db.execute("""
        insert into queue_tasks_figures
            (grain, begins_at, queue_name, succeeded, failed, retried, other, waited, ran)
        select
            g.grain,
            date_bin(make_interval(secs => g.grain), now(), timestamptz 'epoch') - n * make_interval(secs => g.grain),
            null,
            200 + n * 37 % 90,
            n % 7 / 5,
            n % 3,
            0,
            array(select case when b in (3, 6 + n % 3, 12) then 20 - b else 0 end from generate_series(1, 19) b),
            array(select case when b in (5, 9 + n % 2, 14) then 20 - b else 0 end from generate_series(1, 19) b)
        from unnest(array[60, 900, 3600]) g (grain), generate_series(0, 50) n
    """)
