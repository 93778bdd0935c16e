"""What a test of the site holds in its hand: the address, the database, the files, and the worker's switch."""

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, LiteralString, Self

import psycopg

from site_app.demo.visitor import LivePage, Visitor
from site_app.processes import Program, Programs, listen_on, start_web, start_worker
from tests.waiting import START, wait_until

EMPTY: LiteralString = """
    truncate photos_photo, photos_step, reports_report, procrastinate_jobs, procrastinate_events,
        procrastinate_periodic_defers, queue_tasks_schedules, queue_tasks_ticks, queue_tasks_changes,
        queue_tasks_figures, queue_tasks_queues, procrastinate_workers
        restart identity cascade
"""


class House:
    """The running site."""

    def __init__(self, url: str, folder: Path, *, env: Mapping[str, str] | None = None) -> None:
        self.url = url
        self.folder = folder
        self.media = folder / "media"
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "site_app.settings",
            "DATABASE_URL": url,
            "SITE_MEDIA_ROOT": str(self.media),
            "SITE_GALLERY_LIMIT": "60",
            "SITE_SCHEDULES": "0",
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        }
        self.stack = ExitStack()
        self.worker: Programs | None = None
        self.address = ""
        self.web: Program

    def __enter__(self) -> Self:
        programs = self.stack.enter_context(Programs())
        with listen_on("127.0.0.1", 0) as listener:
            self.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self.web = start_web(programs, listener, self.env, self.folder / "web.log")
        self.db = self.stack.enter_context(psycopg.connect(self.url, autocommit=True, application_name="tests.site"))
        self.visitor = self.stack.enter_context(Visitor(self.address))
        self.visitor.open_gallery()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop_worker()
        self.stack.close()

    # the worker

    def start_worker(self) -> None:
        """Start the worker; it is ready on return."""
        self.worker = Programs()
        program = start_worker(self.worker, self.env, self.folder / "worker.log")
        program.wait_for_line("ready", timeout=START)

    def stop_worker(self) -> None:
        if self.worker is not None:
            self.worker.stop()
            self.worker = None

    # looking

    def rows(self, statement: LiteralString, **values: Any) -> list[tuple[Any, ...]]:
        return self.db.execute(statement, values).fetchall()

    def value(self, statement: LiteralString, **values: Any) -> Any:
        ((found,),) = self.rows(statement, **values)
        return found

    def count_everything(self) -> dict[str, int]:
        """How much there is of everything an upload leaves."""
        return {
            "photos": self.value("select count(*) from photos_photo"),
            "steps": self.value("select count(*) from photos_step"),
            "jobs": self.value("select count(*) from procrastinate_jobs"),
            "events": self.value("select count(*) from procrastinate_events"),
            "files": len(self.files()),
        }

    def files(self) -> list[str]:
        """Every file and folder under photos/, hidden ones too."""
        root = self.media / "photos"
        return sorted(str(path.relative_to(root)) for path in root.rglob("*")) if root.exists() else []

    def states(self, photo: int) -> set[str]:
        """The states of a photo's steps."""
        return {
            state for (state,) in self.rows("select state from photos_step where photo_id = %(photo)s", photo=photo)
        }

    def wait_until_done(self, photos: Sequence[int]) -> None:
        wait_until(lambda: [self.states(photo) for photo in photos] == [{"done"}] * len(photos), timeout=START)

    def folder_of(self, photo: int) -> Path:
        return self.media / "photos" / str(self.value("select key from photos_photo where id = %(id)s", id=photo))

    def live(self) -> LivePage:
        """The gallery's stream."""
        return LivePage(self.address)

    # tidying

    def clear(self, *, logins: bool = True) -> None:
        """Empty it. logins: whether sessions are forgotten too, and so who has logged in."""
        self.db.execute(EMPTY)
        if logins:
            self.db.execute("delete from django_session")
        shutil.rmtree(self.media, ignore_errors=True)


def news_until(page: LivePage, wanted: Mapping[str, object], timeout: float = START) -> list[dict[str, Any]]:
    """The events of a stream up to the first that has all these values; that one is the last."""
    seen: list[dict[str, Any]] = []

    def arrived() -> bool:
        news = page.next(timeout=0.2)
        if news is None:
            return False
        seen.append(news)
        return wanted.items() <= news.items()

    wait_until(
        arrived, timeout=timeout, message=f"an event with {dict(wanted)}; seen: {[short(news) for news in seen]}"
    )
    return seen


def short(news: Mapping[str, Any]) -> dict[str, Any]:
    """An event without its HTML, for messages."""
    return {name: value for name, value in news.items() if name != "html"}
