"""Photos from upload to renditions: a real web server, a real worker, and the live stream a page follows."""

import json
import re
import subprocess
import sys
from typing import LiteralString

import httpx
import pytest
from PIL import Image

from site_app.photos import steps
from site_app.processes import PROJECT
from tests.site.drawing import noise, picture
from tests.site.house import House, news_until
from tests.waiting import PATIENCE, wait_until

HTML = {"Accept": "text/html"}
STEPS = len(steps.LABELS)
LISTENING: LiteralString = (
    "select pid from pg_stat_activity where application_name = 'site_app live' and datname = current_database()"
)


def upload(site: House, *files: tuple[str, bytes]) -> list[int]:
    """Upload and return the photos' ids, in the order of the files."""
    token = {"X-CSRFToken": site.visitor.http.cookies["csrftoken"]}
    answer = site.visitor.http.post("/", files=[("photos", file) for file in files], headers=token)
    assert answer.status_code == 201, answer.text
    return sorted(photo["id"] for photo in answer.json()["photos"])


def press(site: House, address: str) -> httpx.Response:
    """Press a button of the page."""
    return site.visitor.http.post(address, headers={"X-CSRFToken": site.visitor.http.cookies["csrftoken"], **HTML})


def html(site: House, address: str) -> str:
    return site.visitor.http.get(address, headers=HTML).raise_for_status().text


def test_a_photo_is_seen_waiting_then_working_then_done(site):
    with site.live() as page:
        (photo,) = upload(site, ("coast.jpg", picture((2000, 1500))))
        waiting = news_until(page, {"id": photo, "state": "waiting"})[-1]
        assert waiting["title"] == "Coast"
        assert waiting["done"] == 0
        with site.db.transaction():
            # One of its steps cannot be noted yet, however quick the machine: what the others have done is shown.
            site.db.execute("select from photos_step where id = (select max(id) from photos_step) for update")
            site.start_worker()
            seen = news_until(page, {"id": photo, "state": "working"})
        seen += news_until(page, {"id": photo, "state": "done"})
    order = [("waiting", "working", "done").index(news["state"]) for news in seen]
    assert order == sorted(order)
    counts = [news["done"] for news in seen]
    assert counts == sorted(counts)
    assert seen[-1]["done"] == STEPS
    assert 'data-state="done"' in seen[-1]["html"]


def test_the_renditions_lie_on_disk_and_on_the_page(site):
    site.start_worker()
    (photo,) = upload(site, ("coast.jpg", picture((2000, 1500))))
    site.wait_until_done([photo])
    folder = site.folder_of(photo)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(size.name for size in steps.RENDITIONS), "original.jpeg"]
    )
    for size in steps.RENDITIONS:
        with Image.open(folder / size.name) as image:
            assert image.size == (size.width, size.width * 3 // 4)
    found = html(site, f"/photos/{photo}/")
    for address in re.findall(r"/media/[^ \"]+", found):
        assert site.visitor.http.get(address).status_code == 200
    assert f"/media/{folder.name}/1600.webp" in found
    assert "2000 \u00d7 1500" in found


def test_every_job_succeeded_on_its_first_attempt(site):
    site.start_worker()
    site.wait_until_done(upload(site, *[(f"{number}.jpg", picture()) for number in range(8)]))
    found = "select status::text, attempts, count(*)::int from procrastinate_jobs group by 1, 2"
    wait_until(lambda: site.rows(found) == [("succeeded", 1, 8 * STEPS)], message="all jobs are finished")


def test_two_pages_see_the_same(site):
    site.start_worker()
    with site.live() as one, site.live() as other:
        (photo,) = upload(site, ("coast.jpg", picture()))
        for page in (one, other):
            assert news_until(page, {"id": photo, "state": "done"})


def test_a_page_that_opens_late_gets_the_present_state(site):
    site.start_worker()
    (photo,) = upload(site, ("coast.jpg", picture()))
    site.wait_until_done([photo])
    with httpx.stream("GET", f"{site.address}/photos/events/?shown={photo},999", timeout=PATIENCE) as response:
        assert response.headers["content-type"] == "text/event-stream"
        lines = (line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: "))
        said = {news["id"]: news for news in (json.loads(next(lines)) for _ in range(2))}
    assert said[photo]["state"] == "done"
    assert said[999] == {"id": 999, "gone": True}


def test_a_damaged_photo_fails_with_its_reason(site):
    site.start_worker()
    with site.live() as page:
        (photo,) = upload(site, ("torn.jpg", noise()[:-60_000]))
        failed = news_until(page, {"id": photo, "state": "failed", "done": 1})[-1]  # its camera's details can be read
    assert failed["reason"] == "The picture is damaged: it cannot be decoded."
    found = html(site, f"/photos/{photo}/")
    assert "The picture is damaged" in found
    assert "Try again" in found
    attempts = "select max(attempts) from procrastinate_jobs where status = 'failed'"
    wait_until(lambda: site.value(attempts) == 1, message="a damaged picture is tried once")


def test_a_failed_photo_can_be_tried_again(site):
    site.start_worker()
    data = noise()
    (photo,) = upload(site, ("torn.jpg", data[:-60_000]))
    wait_until(lambda: site.states(photo) == {"failed", "done"})
    first = {job for (job,) in site.rows("select job_id from photos_step")}
    (site.folder_of(photo) / "original.jpeg").write_bytes(data)
    answer = press(site, f"/photos/{photo}/again/")
    assert answer.status_code == 302
    site.wait_until_done([photo])
    again = {job for (job,) in site.rows("select job_id from photos_step")}
    assert len(again - first) == STEPS - 1  # those that failed
    assert site.value("select max(attempt) from photos_step") == 1


def test_a_file_that_comes_back_is_read_at_the_next_attempt(site):
    (photo,) = upload(site, ("coast.jpg", picture()))
    original = site.folder_of(photo) / "original.jpeg"
    away = original.rename(site.media / "away.jpeg")
    with site.live() as page:
        site.start_worker()
        retrying = news_until(page, {"id": photo, "state": "retrying"})[-1]
        assert retrying["reason"] == "The photo's file cannot be read or written now: No such file or directory."
        assert str(site.media) not in retrying["html"]
        away.rename(original)
        news_until(page, {"id": photo, "state": "done"})
    assert site.value("select max(attempt) from photos_step where photo_id = %(photo)s", photo=photo) >= 2


def test_a_job_that_an_operator_cancels_is_shown_as_failed(site):
    (photo,) = upload(site, ("coast.jpg", picture()))
    site.db.execute(
        "update procrastinate_jobs set status = 'cancelled' where id = (select min(id) from procrastinate_jobs)"
    )
    found = html(site, f"/photos/{photo}/")
    assert "It was stopped by an operator." in found
    assert site.states(photo) == {"waiting", "failed"}


def test_an_open_page_is_told_of_a_cancelled_job(site):
    with site.live() as page:
        (photo,) = upload(site, ("coast.jpg", picture()))
        news_until(page, {"id": photo, "state": "waiting"})
        job = site.value("select min(id) from procrastinate_jobs")
        command = [sys.executable, "manage.py", "shell", "--no-imports", "--command"]
        code = f"from queue_tasks import control; control.cancel([{job}])"
        if "--no-imports" not in shell_options():
            command.remove("--no-imports")
        subprocess.run([*command, code], cwd=PROJECT, env=site.env, check=True, capture_output=True)
        failed = news_until(page, {"id": photo, "state": "failed"})[-1]
    assert failed["reason"] == "It was stopped by an operator."


def shell_options() -> str:
    """What `manage.py shell` takes, which differs between Django's versions."""
    from django.core.management.commands.shell import Command

    return Command().create_parser("manage.py", "shell").format_help()


def test_a_deleted_photo_disappears_from_open_pages_and_then_from_disk(site):
    (photo, other) = upload(site, ("one.jpg", picture()), ("two.jpg", picture()))
    folder = site.folder_of(photo)
    with site.live() as page:
        news_until(page, {"id": photo, "state": "waiting"})
        press(site, f"/photos/{photo}/delete/")
        news_until(page, {"id": photo, "gone": True})
    assert folder.exists()  # its removal is a job, and no worker runs
    site.start_worker()
    wait_until(lambda: not folder.exists(), message="the folder is removed")
    site.wait_until_done([other])
    bad = "select count(*) from procrastinate_jobs where status not in ('succeeded')"
    wait_until(lambda: site.value(bad) == 0, message="jobs of a deleted photo end in peace")
    assert not folder.exists()


@pytest.mark.parametrize("address", ["/photos/77/again/", "/photos/77/delete/"])
def test_a_photo_that_is_not_there_cannot_be_changed(site, address):
    assert press(site, address).status_code == 404
    assert site.visitor.http.get(address).status_code == 405


def test_a_restart_of_the_listening_connection_is_survived(site):
    with site.live() as page:
        upload(site, ("one.jpg", picture()))
        news_until(page, {"title": "One"})
        (before,) = site.rows(LISTENING)
        site.db.execute("select pg_terminate_backend(%s)", before)
        upload(site, ("two.jpg", picture()))
        news_until(page, {"title": "Two"})
        wait_until(lambda: site.rows(LISTENING) not in ([], [before]), message="a new connection listens")


def test_all_pages_share_one_listening_connection(site):
    with site.live() as one, site.live() as two, site.live() as three:
        (photo,) = upload(site, ("one.jpg", picture()))
        for page in (one, two, three):
            news_until(page, {"id": photo})
        assert len(site.rows(LISTENING)) == 1
