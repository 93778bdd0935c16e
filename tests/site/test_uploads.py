"""An upload over HTTP: one transaction, or nothing; and what is refused is told. No worker runs here."""

import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from site_app.photos import steps
from site_app.processes import PROJECT
from tests.site.drawing import bomb, picture, stripes
from tests.site.house import House

STEPS = len(steps.LABELS)
HTML = {"Accept": "text/html"}


@pytest.fixture
def send(site: House):
    """Send files (name, bytes) as a browser with JavaScript does; the site's answer."""

    def post(*files: tuple[str, bytes], headers: dict[str, str] | None = None) -> httpx.Response:
        token = {"X-CSRFToken": site.visitor.http.cookies["csrftoken"]}
        parts = [("photos", (name, data, "image/jpeg")) for name, data in files]
        return site.visitor.http.post("/", files=parts, headers={**token, **(headers or {})})

    return post


def test_photos_and_their_jobs_are_written_together(site, send):
    answer = send(("one.jpg", picture()), ("two.png", picture(format_name="PNG")))
    assert answer.status_code == 201
    said = answer.json()
    assert [photo["title"] for photo in said["photos"]] == ["Two", "One"]
    assert all(photo["state"] == "waiting" and photo["steps"] == STEPS for photo in said["photos"])
    assert site.count_everything() | {"files": 0} == {
        "photos": 2, "steps": 2 * STEPS, "jobs": 2 * STEPS, "events": 2 * STEPS, "files": 0,
    }  # fmt: skip
    jobs = {str(job) for (job,) in site.rows("select id from procrastinate_jobs")}
    assert {job for photo in said["photos"] for job in photo["jobs"]} == jobs


def test_one_transaction_wrote_all_of_it(site, send):
    send(("one.jpg", picture()), ("two.jpg", picture()))
    writers = site.rows(
        "select xmin::text from photos_photo union select xmin::text from photos_step "
        "union select xmin::text from procrastinate_jobs union select xmin::text from procrastinate_events"
    )
    assert len(writers) == 1


def test_the_thumbnails_go_first(site, send):
    send(("one.jpg", picture()))
    first = "select args from procrastinate_jobs order by priority desc, id limit 1"
    assert "320" in str(site.value(first))


def test_the_file_is_kept_as_it_was_sent_under_a_name_of_ours(site, send):
    data = picture()
    send(("../../etc/passwd.jpg", data))
    folder = site.folder_of(1)
    assert [path.name for path in folder.iterdir()] == ["original.jpeg"]
    assert (folder / "original.jpeg").read_bytes() == data
    assert site.value("select title from photos_photo") == "Passwd"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("notes.txt", b"hello", "is not a picture"),
        ("empty.jpg", b"", "is empty"),
        ("bomb.png", bomb(), "megapixels"),
        ("film.gif", picture(format_name="GIF", mode="P", colour=1), "is a GIF file"),
        ("page.jpg", b"<html><script>alert(1)</script>", "is not a picture"),
        ("large.jpg", picture() + b"\0" * (25 * 2**20), "is larger than the 25 MB taken here"),
    ],
)
def test_a_refused_file_is_told_and_leaves_nothing(site, send, name, data, reason):
    before = site.count_everything()
    answer = send((name, data))
    assert answer.status_code == 422
    ((refused,),) = (answer.json()["refused"],)
    assert refused["name"] == name
    assert reason in refused["reason"]
    assert site.count_everything() == before
    assert site.files() == []


def test_the_good_ones_of_an_upload_are_taken(site, send):
    answer = send(
        ("good.jpg", picture()),
        ("large.jpg", b"\xff\xd8\xff" + b"\0" * (25 * 2**20)),
        ("notes.txt", b"hello"),
        ("fine.webp", picture(format_name="WEBP")),
    )
    assert answer.status_code == 201
    assert {photo["title"] for photo in answer.json()["photos"]} == {"Good", "Fine"}
    assert {refused["name"] for refused in answer.json()["refused"]} == {"large.jpg", "notes.txt"}
    assert site.count_everything()["photos"] == 2
    assert len(site.files()) == 2 * 2  # a folder and a file each


def test_files_beyond_the_number_taken_are_refused_one_by_one(site, send):
    answer = send(*[(f"photo {number}.png", picture((8, 8), format_name="PNG")) for number in range(42)])
    assert answer.status_code == 201
    assert len(answer.json()["photos"]) == 40
    refused = answer.json()["refused"]
    assert [one["name"] for one in refused] == ["photo 40.png", "photo 41.png"]
    assert "one too many: 40 photos are taken at once" in refused[0]["reason"]
    assert site.count_everything()["jobs"] == 40 * STEPS


def test_an_upload_that_would_overfill_the_gallery_leaves_nothing(site, send):
    for first in range(0, 60, 30):
        send(*[(f"{first + number}.png", picture((8, 8), format_name="PNG")) for number in range(30)])
    before = site.count_everything()
    given_out = site.value("select last_value from procrastinate_jobs_id_seq")
    answer = send(("one more.jpg", picture()))
    assert answer.status_code == 409
    assert "holds 60 photos and is full" in answer.json()["problem"]
    assert site.count_everything() == before
    assert site.value("select last_value from procrastinate_jobs_id_seq") == given_out + STEPS  # they were enqueued


def test_a_commit_that_fails_leaves_nothing(site, send):
    site.db.execute("""
        create function refuse_at_commit() returns trigger language plpgsql
        as $$ begin raise exception 'the commit failed' using errcode = 'check_violation'; end $$;
        create constraint trigger refuse_at_commit after insert on photos_photo
            deferrable initially deferred for each row execute function refuse_at_commit();
    """)
    try:
        before = site.count_everything()
        assert send(("one.jpg", picture())).status_code == 500
        assert site.count_everything() == before
        assert site.files() == []
    finally:
        site.db.execute("drop trigger refuse_at_commit on photos_photo; drop function refuse_at_commit()")


def test_a_request_that_is_too_long_is_refused_before_it_is_read(site):
    """The announced length is enough; nothing is sent."""
    there = urlsplit(site.address)
    with socket.create_connection((there.hostname, there.port), timeout=30) as line:
        line.sendall(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: 99000000000\r\n\r\n"
        )
        assert line.recv(100).startswith(b"HTTP/1.1 413")


def test_an_upload_without_the_cookies_token_is_refused(site):
    before = site.count_everything()
    answer = httpx.post(site.address, files={"photos": ("one.jpg", picture())})
    assert answer.status_code == 403
    assert site.count_everything() == before


def test_an_upload_without_a_file_says_so(site):
    token = {"X-CSRFToken": site.visitor.http.cookies["csrftoken"]}
    answer = site.visitor.http.post("/", data={"nothing": "here"}, headers=token)
    assert answer.status_code == 400
    assert answer.json()["problem"] == "No file was sent. Choose one or more photos."


# ------------------------------------------------------------------------------------------------- without JavaScript


def test_without_javascript_a_good_upload_leads_back_to_the_gallery(site, send):
    answer = send(("one.jpg", picture()), headers=HTML)
    assert answer.status_code == 302
    page = site.visitor.http.get(answer.headers["location"], headers=HTML).text
    assert re.search(r'data-state="waiting"', page)
    assert "One" in page


def test_without_javascript_refusals_are_on_the_page(site, send):
    answer = send(("good.jpg", picture()), ("<b>bad.txt", b"hello"), headers=HTML)
    assert answer.status_code == 201
    assert "1 file not taken" in answer.text
    assert "1 photo uploaded" in answer.text
    assert "&lt;b&gt;bad.txt</strong> is not a picture." in answer.text
    assert "<b>bad" not in answer.text


def test_the_title_of_a_photo_is_text_and_nothing_else(site, send):
    send(("<img src=x onerror=alert(1)>.jpg", picture()))
    page = site.visitor.http.get("/", headers=HTML).text
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


# ------------------------------------------------------------------------------------------------------------- the rest


def test_only_renditions_are_served(site, send):
    send(("one.jpg", picture()))
    folder = site.folder_of(1)
    for name in ("original.jpeg", "original.jpg", "320.webp", "..%2f..%2fsecret", ""):
        assert site.visitor.http.get(f"/media/{folder.name}/{name}").status_code == 404
    (folder / "320.webp").write_bytes(b"a rendition")
    found = site.visitor.http.get(f"/media/{folder.name}/320.webp")
    assert found.content == b"a rendition"
    assert found.headers["content-type"] == "image/webp"
    assert "immutable" in found.headers["cache-control"]
    assert found.headers["x-content-type-options"] == "nosniff"


def test_every_page_carries_its_safety_headers(site):
    for address in ("/", "/reports/", "/health/", "/nowhere/"):
        headers = site.visitor.http.get(address, headers=HTML).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"


def test_static_files_are_served_with_their_types(site):
    for name, kind in (("site.css", "text/css"), ("live.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        found = site.visitor.http.get(f"/static/site/{name}")
        assert found.status_code == 200
        assert found.headers["content-type"].startswith(kind)
        assert found.content == Path("site_app/static/site", name).read_bytes()


def test_a_static_file_that_did_not_change_is_not_sent_again(site):
    address = "/static/site/site.css"
    seen = site.visitor.http.get(address).headers["last-modified"]
    again = site.visitor.http.get(address, headers={"If-Modified-Since": seen})
    assert (again.status_code, again.content) == (304, b"")


def test_the_gallery_is_shown_in_pages(site, send):
    send(*[(f"{number}.png", stripes((8, 8))) for number in range(30)])
    first, second = (site.visitor.http.get(f"/?page={page}", headers=HTML).text for page in (1, 2))
    assert first.count("<article") == 24
    assert second.count("<article") == 6
    assert "data-live-new" in first
    assert "data-live-new" not in second


def test_the_site_says_whether_it_is_well(site):
    answer = site.visitor.http.get("/health/")
    assert answer.status_code == 200
    assert answer.json() == {"database": "ok"}


def test_what_is_not_there_is_said_on_a_page_of_the_site(site):
    answer = site.visitor.http.get("/photos/12345/", headers=HTML)
    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.text
    assert "Darkroom" in answer.text


def test_under_wsgi_pages_work_and_streams_are_declined(site):
    """In a process of its own: a WSGI server is not what the site is made for."""
    code = (
        "from site_app.wsgi import application; from django.test import Client; from django.urls import reverse\n"
        "client = Client(headers={'host': 'localhost'})\n"
        "names = 'photos:gallery', 'photos:gallery_events', 'reports:events'\n"
        "print([client.get(reverse(name)).status_code for name in names])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=site.env, capture_output=True, text=True, check=False
    )
    assert done.stdout == "[200, 204, 204]\n", done.stderr
