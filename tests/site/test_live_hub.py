"""The hub: one connection that LISTENs, any number of pages. Real notifications, rows of the test's own."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator
from contextlib import aclosing, contextmanager

import psycopg
import pytest

from site_app.live.hub import Hub
from site_app.live.topic import Topic
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

# The session of the hub, once its LISTEN is committed.
LISTENING = """
    select pid from pg_stat_activity
    where application_name = 'site_app live' and datname = current_database()
        and state = 'idle' and query ilike '%listen%'
"""


class Rows:
    """Rows that are not in the database: what matters here is who reads them when."""

    def __init__(self, rows: dict[int, str]) -> None:
        self.rows = rows
        self.read: list[set[int]] = []
        self.jobs: list[set[str] | None] = []
        self.broken = False
        self.topic = Topic("row", "site_photos", self.render, self.newer, self.rows_of_jobs)

    def render(self, ids: Collection[int]) -> dict[int, str]:
        if self.broken:
            raise RuntimeError("the database is away")
        self.read.append(set(ids))
        return {id_: self.rows.get(id_, "gone") for id_ in ids}

    def newer(self, than: int) -> list[int]:
        return [id_ for id_ in sorted(self.rows) if id_ > than]

    def rows_of_jobs(self, jobs: Collection[str] | None) -> list[int]:
        self.jobs.append(None if jobs is None else set(jobs))
        return [1] if jobs else []


class Stage:
    """A hub, the pages a test opened, and a session that notifies."""

    def __init__(self, dsn: str) -> None:
        self.hub = Hub()
        self.db = psycopg.connect(dsn, autocommit=True, application_name="tests.live")
        self.letters: dict[str, list[str | None]] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def open(self, name: str, rows: Rows, shown: Collection[int], *, takes_new: bool = False) -> list[str | None]:
        """Open a page; its letters arrive in the list returned. Returns when the hub listens."""
        letters = self.letters[name] = []
        self.tasks.append(
            asyncio.create_task(self._collect(self.hub.follow(rows.topic, shown, takes_new=takes_new), letters))
        )
        await await_until(lambda: self.db.execute(LISTENING).fetchall(), message="the hub listens")
        return letters

    async def _collect(self, stream: AsyncGenerator[str | None], letters: list[str | None]) -> None:
        async with aclosing(stream):
            async for letter in stream:  # one by one: the test looks at the list meanwhile
                letters.append(letter)  # noqa: PERF401 - see above

    def say(self, payload: object, channel: str = "site_photos") -> None:
        self.db.execute("select pg_notify(%s, %s)", [channel, str(payload)])

    async def close(self) -> None:
        await self.hub.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.db.close()


@pytest.fixture
def play(dsn: str, transactional_db: None) -> Callable[[Callable[[Stage], Awaitable[None]]], None]:
    """Run an async story on a stage, and clear the stage whatever happens."""

    def run(story: Callable[[Stage], Awaitable[None]]) -> None:
        async def whole() -> None:
            stage = Stage(dsn)
            try:
                await story(stage)
            finally:
                await stage.close()

        asyncio.run(whole())

    return run


@contextmanager
def unchanged(letters: list[str | None]) -> Iterator[None]:
    before = list(letters)
    yield
    assert letters == before


def test_a_page_first_gets_what_it_shows_and_then_what_changes(play):
    async def story(stage: Stage) -> None:
        rows = Rows({1: "one", 2: "two"})
        letters = await stage.open("page", rows, [1, 2])
        await await_until(lambda: {"one", "two"} <= set(letters))
        rows.rows[2] = "two, changed"
        stage.say(2)
        await await_until(lambda: "two, changed" in letters)

    play(story)


def test_a_change_is_read_once_for_all_pages(play):
    async def story(stage: Stage) -> None:
        rows = Rows({1: "one"})
        pages = [await stage.open(f"page {number}", rows, [1]) for number in range(5)]
        await await_until(lambda: all(pages))
        await await_until(lambda: not any(page.stale for page in stage.hub._pages))
        reads = len(rows.read)
        rows.rows[1] = "new"
        stage.say(1)
        await await_until(lambda: all("new" in page for page in pages))
        assert rows.read[reads:] == [{1}]

    play(story)


def test_a_page_gets_only_the_rows_it_follows(play):
    async def story(stage: Stage) -> None:
        rows = Rows({1: "one", 2: "two"})
        narrow = await stage.open("narrow", rows, [1])
        wide = await stage.open("wide", rows, [1], takes_new=True)
        await await_until(lambda: narrow and "two" in wide)
        rows.rows[3] = "three"
        with unchanged(narrow):
            stage.say(3)
            await await_until(lambda: "three" in wide)

    play(story)


def test_a_row_that_is_gone_is_told(play):
    async def story(stage: Stage) -> None:
        rows = Rows({1: "one"})
        letters = await stage.open("page", rows, [1])
        await await_until(lambda: letters)
        del rows.rows[1]
        stage.say(1)
        await await_until(lambda: "gone" in letters)

    play(story)


def test_a_payload_that_is_no_id_is_left_alone(play):
    async def story(stage: Stage) -> None:
        rows = Rows({1: "one"})
        letters = await stage.open("page", rows, [1])
        for payload in ("", "drop table", "-1", "1e9", "9" * 4000, "\u0661"):
            stage.say(payload)
        rows.rows[1] = "still here"
        stage.say(1)
        await await_until(lambda: "still here" in letters)

    play(story)


def test_a_job_that_goes_on_makes_its_rows_be_read_again(play):
    async def story(stage: Stage) -> None:
        rows = Rows({1: "one"})
        letters = await stage.open("page", rows, [1])
        await await_until(lambda: letters)
        rows.rows[1] = "half way"
        stage.say("41,42", channel="queue_tasks_progress")
        await await_until(lambda: "half way" in letters)
        rows.rows[1] = "ready"
        stage.say("*", channel="queue_tasks_finished")
        await await_until(lambda: rows.jobs[-1] is None)
        assert {"41", "42"} in rows.jobs

    play(story)


def test_a_lost_connection_comes_back_and_nothing_is_missed(play):
    async def story(stage: Stage) -> None:
        rows = Rows({1: "one"})
        letters = await stage.open("page", rows, [1], takes_new=True)
        await await_until(lambda: letters)
        ((process,),) = stage.db.execute(LISTENING).fetchall()
        rows.rows[1] = "changed meanwhile"  # and nobody says so
        rows.rows[2] = "new meanwhile"
        stage.db.execute("select pg_terminate_backend(%s)", [process])
        await await_until(lambda: {"changed meanwhile", "new meanwhile"} <= set(letters))
        rows.rows[1] = "heard again"
        stage.say(1)
        await await_until(lambda: "heard again" in letters)

    play(story)


def test_a_slow_page_holds_only_the_newest_of_each_row(play):
    async def story(stage: Stage) -> None:
        rows = Rows({1: "one"})
        watcher = await stage.open("watcher", rows, [1])
        slow = stage.hub.follow(rows.topic, [1])
        async with aclosing(slow):
            assert await anext(slow) == "one"
            for number in range(50):
                rows.rows[1] = f"change {number}"
                stage.say(1)
                expected = f"change {number}"
                await await_until(lambda: watcher and watcher[-1] == expected)  # noqa: B023 - awaited at once
            assert await anext(slow) == "change 49"

    play(story)


def test_rows_that_cannot_be_read_end_the_stream_and_the_hub_goes_on(play):
    async def story(stage: Stage) -> None:
        rows = Rows({1: "one"})
        letters = await stage.open("page", rows, [1])
        await await_until(lambda: letters)
        rows.broken = True
        stage.say(1)
        await await_until(stage.tasks[0].done)
        assert isinstance(stage.tasks[0].exception(), RuntimeError)
        rows.broken = False
        again = await stage.open("again", rows, [1])
        await await_until(lambda: again)
        rows.rows[1] = "well"
        stage.say(1)
        await await_until(lambda: "well" in again)

    play(story)


def test_a_closed_hub_ends_every_page_and_leaves_the_database(play, dsn):
    async def story(stage: Stage) -> None:
        rows = Rows({1: "one"})
        letters = await stage.open("page", rows, [1])
        await await_until(lambda: letters)
        await stage.hub.close()
        await await_until(stage.tasks[0].done)
        assert stage.tasks[0].exception() is None
        await await_until(lambda: not stage.db.execute(LISTENING).fetchall(), message="the connection is closed")

    play(story)


def test_a_page_that_leaves_is_forgotten(play):
    async def story(stage: Stage) -> None:
        rows = Rows({1: "one"})
        letters = await stage.open("page", rows, [1])
        await await_until(lambda: letters)
        stage.tasks[0].cancel()
        await await_until(lambda: not stage.hub._pages)

    play(story)
