"""`make demo`: everything it says is true, it ends with the right code, and nothing is left of it."""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from PIL import Image

from site_app.processes import PROJECT
from tests import postgres
from tests.site.programs import processes_with
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for left processes in /proc")

DEMO = [sys.executable, "-m", "site_app.demo"]
DATABASE = f"{postgres.PREFIX}_demo"
DATABASES = "select count(*) from pg_database where datname = %s"


def photograph(size: tuple[int, int] = (1000, 700)) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A visitor's own photos, and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("one.jpg", "Two.JPEG"):
        (folder / name).write_bytes(photograph())
    (folder / "notes.txt").write_text("left alone")
    return folder


@pytest.fixture
def env(photos: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment for the demo; afterwards no process and no database of it may be left."""
    folder = tmp_path / "demo"
    yield {
        **os.environ,
        "DATABASE_URL": postgres.server_url(),
        "SITE_DEMO_DATABASE": DATABASE,
        "SITE_DEMO_FOLDER": str(folder),
        "PHOTOS": str(photos),
        "PYTHONUNBUFFERED": "1",
    }
    wait_until(lambda: not processes_of(folder), message="no process of the demo is left")


def processes_of(folder: Path) -> dict[int, list[str]]:
    """The running processes of a demo, with their arguments."""
    return processes_with("SITE_DEMO_FOLDER", folder)


def databases() -> int:
    with psycopg.connect(postgres.server_url(), autocommit=True, application_name="tests.demo") as connection:
        ((count,),) = connection.execute(DATABASES, [DATABASE]).fetchall()
    return int(count)


def run(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(DEMO, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=300, check=False)


def start(env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(DEMO, cwd=PROJECT, env=env, stdout=output, stderr=subprocess.STDOUT)


def wait_for(words: str, demo: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the demo says these words; fail at once when it ends without."""

    def said() -> bool:
        ended = demo.poll() is not None
        text = log.read_text()
        assert words in text or not ended, f"the demo ended without saying {words!r}:\n{text}"
        return words in text

    wait_until(said, timeout=150, message=f"the demo says {words!r}")


def test_it_tells_the_whole_story_twice_in_a_row(env, tmp_path):
    for _ in range(2):
        ended = run(env)
        said = ended.stdout
        assert ended.returncode == 0, said + ended.stderr
        for fact in (
            "2 photos and their 12 jobs, in 1 transaction",
            "12 of 12 jobs done, each seen live on the page",
            "8 renditions opened, each as wide as it should be",
            "The gallery holds 2 photos and is full",
            "Nothing of it exists: no photo, no job, no event, no file.",
            "All of it is true.",
        ):
            assert fact in said
        assert re.search(r"make_rendition +8 +0 +0", said)
        assert re.search(r"nothing +10,200 +0 +0", said)
        assert re.search(r"commit to start, worker idle( +[\d.]+ ms){3}", said)
        assert "\x1b" not in said, "no colours where there is no terminal"
        assert ended.stderr == ""
        assert databases() == 0
    assert len(list((tmp_path / "demo" / "media").rglob("*.webp"))) == 6, "the pictures stay to be looked at"


def test_a_photo_that_cannot_be_handled_makes_it_fail_and_say_which(env, photos):
    (photos / "torn.jpg").write_bytes(photograph((2000, 2000))[:-90_000])
    ended = run(env)
    assert ended.returncode == 1
    assert "Torn failed: The picture is damaged" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
    assert databases() == 0


def test_a_file_that_the_site_refuses_is_named_and_the_rest_goes_on(env, photos):
    (photos / "really text.png").write_text("hello")
    ended = run(env)
    assert ended.returncode == 0, ended.stdout
    assert "not taken: really text.png is not a picture" in ended.stdout


@pytest.mark.parametrize("folder", ["/nowhere/at/all", "/proc/self/fd"])
def test_a_folder_without_photos_is_a_wrong_usage(env, folder):
    ended = run({**env, "PHOTOS": folder})
    assert ended.returncode == 2
    assert f"PHOTOS={folder}: expected a folder with .jpg, .png or .webp files" in ended.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("moment", ["Migrated", "Worker", "Uploaded", "Measuring"])
def test_it_can_be_stopped_at_any_moment(env, tmp_path, number, code, moment):
    log = tmp_path / "log"
    with start(env, log) as demo:
        try:
            wait_for(moment, demo, log)
            demo.send_signal(number)
            assert demo.wait(60) == code
        finally:
            demo.kill()
    assert "Traceback" not in log.read_text()
    assert databases() == 0


def test_a_killed_demo_leaves_no_process_and_the_next_one_begins_afresh(env, tmp_path):
    log = tmp_path / "log"
    with start(env, log) as demo:
        try:
            wait_for("Uploaded", demo, log)
        finally:
            demo.kill()
    wait_until(lambda: not processes_of(tmp_path / "demo"), message="its programs have ended")
    ended = run(env)
    assert ended.returncode == 0, ended.stdout


def test_a_worker_that_dies_makes_it_fail_with_the_workers_words(env, tmp_path):
    log = tmp_path / "log"
    with start(env, log) as demo:
        try:
            wait_for("Worker ", demo, log)
            (worker,) = [
                id_ for id_, arguments in processes_of(tmp_path / "demo").items() if "queue_worker" in arguments
            ]
            os.kill(worker, signal.SIGKILL)
            assert demo.wait(60) == 1
        finally:
            demo.kill()
    assert "the worker ended by itself (exit code -9)" in log.read_text()


def test_two_at_once_do_not_harm_each_other(env, tmp_path):
    log = tmp_path / "log"
    with start(env, log) as first:
        try:
            wait_for("Migrated", first, log)
            second = run({**env, "SITE_DEMO_FOLDER": str(tmp_path / "second")})
            assert second.returncode == 1
            assert f"Another demo is running in the database {DATABASE}." in second.stdout
            assert first.wait(240) == 0
        finally:
            first.kill()
