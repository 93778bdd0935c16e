"""The stream of an open page: it tells of what was committed, in time, and costs what it may cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.test import AsyncClient

from queue_tasks import following, news
from queue_tasks.dashboard import live
from tests.aliases import alias_of
from tests.dashboard.visitors import address
from tests.pooler import PgBouncer, needs_pgbouncer
from tests.waiting import PATIENCE, await_until, wait_until

SESSIONS = (
    "select pid from pg_stat_activity where application_name = 'queue_tasks news' and datname = current_database()"
)
ADD_JOB: LiteralString = (
    "insert into procrastinate_jobs (queue_name, task_name, args, status) values ('q', 't', '{}', 'todo') returning id"
)


@pytest.fixture
def outside(transactional_db: None, dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody else, who commits."""
    with psycopg.connect(dsn, autocommit=True, application_name="tests.live") as connection:
        yield connection


@pytest.fixture
def client(outside: psycopg.Connection[Any]) -> Iterator[AsyncClient]:
    """A viewer's browser, on a server that speaks ASGI."""
    user = User.objects.create_user("viewer")
    user.user_permissions.set(Permission.objects.filter(codename="view_job"))
    found = AsyncClient()
    found.force_login(user)
    yield found
    news.close_news()


class Page:
    """An open page: what it was sent."""

    def __init__(self, sent: AsyncIterator[bytes]) -> None:
        self.sent = sent

    async def next(self) -> str:
        """What comes next that is not only a sign of life."""
        async with asyncio.timeout(PATIENCE):
            async for part in self.sent:
                if part.decode() not in (live.SIGN, live.COME_BACK):
                    return part.decode()
        return "the end"

    async def settle(self) -> int:
        """Wait until it is told of changes and nothing more is to be told; how often it was told to look."""
        told = 0
        async with asyncio.timeout(PATIENCE):
            async for part in self.sent:
                told += part.decode() == live.CHANGED
                if told and part.decode() == live.SIGN:
                    break
        return told


@asynccontextmanager
async def opened(client: AsyncClient) -> AsyncIterator[Page]:
    response = await client.get(address("stream"))
    assert response.status_code == 200, response.status_code
    assert response["Content-Type"] == "text/event-stream"
    assert response["Cache-Control"] == "no-store"
    try:
        yield Page(aiter(response.streaming_content))  # type: ignore[attr-defined]  # of a response that streams
    finally:
        # As Django does when a page is gone.
        await sync_to_async(response.close)()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for nothing waits for less."""
    monkeypatch.setattr(live, "GATHER", 0.01)
    monkeypatch.setattr(live, "SIGN_EVERY", 0.05)
    monkeypatch.setattr(following, "LONGEST", 0.05)


SCHEDULE: LiteralString = """
    insert into queue_tasks_schedules
        (name, declared, task_name, queue_name, args, every, timezone, missed, overlap, last_tick)
    values ('s', true, 't', 'q', '{}', 60, 'UTC', 'latest', 'allow', now())
"""
CHANGES: dict[str, LiteralString] = {
    "a job is enqueued": ADD_JOB,
    "a job is scheduled": ADD_JOB.replace("status", "status, scheduled_at").replace("'todo'", "'todo', now() + '1 h'"),
    "a job finishes": "update procrastinate_jobs set status = 'succeeded'",
    "a job is cancelled": "update procrastinate_jobs set status = 'cancelled'",
    "a job is deleted": "delete from procrastinate_jobs",
    "a worker comes": "insert into procrastinate_workers (qt_name) values ('ann')",
    "a worker goes": "delete from procrastinate_workers",
    "a schedule changes": SCHEDULE,
}


def test_what_was_done_before_pages_were_told_and_committed_after_it_is_told_all_the_same(outside, dsn, monkeypatch):
    monkeypatch.setattr(following, "FIRST", 0.01)
    monkeypatch.setattr(following, "LONGEST", 3600)
    outside.execute(ADD_JOB)
    seen: list[Any] = []

    def look() -> None:
        seen.append(outside.execute("select status::text from procrastinate_jobs").fetchone())

    heard = news.News("default")
    with psycopg.connect(dsn, application_name="tests.live") as early:
        early.execute(CHANGES["a job finishes"])
        leave = heard.follow(look, most=1)
        assert leave is not None
        wait_until(lambda: seen)
        early.commit()
        wait_until(lambda: ("succeeded",) in seen)
    leave()
    heard.close()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("change", CHANGES)
async def test_an_open_page_is_told_when(client, outside, change):
    outside.execute(ADD_JOB)
    outside.execute("insert into procrastinate_workers (qt_name) values ('bob')")
    async with opened(client) as page:
        await page.settle()
        outside.execute(CHANGES[change])
        assert await page.next() == live.CHANGED


@pytest.mark.usefixtures("quick")
async def test_what_an_operator_does_is_told_to_others(client, outside, settings):
    operator = AsyncClient()
    (user_id,) = outside.execute(
        "insert into auth_user (username, password, is_superuser, is_staff, is_active, first_name, last_name, email,"
        " date_joined) values ('root', '', true, true, true, '', '', '', now()) returning id"
    ).fetchone() or (0,)
    await operator.aforce_login(await User.objects.aget(id=user_id))
    (job,) = outside.execute(ADD_JOB.replace("'todo'", "'succeeded'")).fetchone() or (0,)
    async with opened(client) as page:
        await page.settle()
        form = {"id": job, "ticket": "00000000-0000-0000-0000-000000000001"}
        response = await operator.post(address("delete"), form)
        assert response.status_code == 200
        assert await page.next() == live.CHANGED
    assert outside.execute("select count(*) from procrastinate_jobs").fetchone() == (0,)


@pytest.mark.usefixtures("quick")
async def test_many_changes_are_gathered(client, outside, monkeypatch):
    async with opened(client) as page:
        await page.settle()
        monkeypatch.setattr(live, "GATHER", 0.3)
        for _ in range(50):
            outside.execute(ADD_JOB)
        assert 2 <= await page.settle() <= 20


@pytest.mark.usefixtures("quick")
async def test_all_pages_share_one_connection_and_the_last_one_ends_it(client, outside, monkeypatch):
    heard = news.news("default")
    async with opened(client) as first, opened(client) as second, opened(client) as third:
        for page in (first, second, third):
            assert await page.next() == live.CHANGED
        assert len(heard) == 3
        assert len(outside.execute(SESSIONS).fetchall()) == 1
    assert len(heard) == 0
    monkeypatch.setattr(news, "LINGER", 0.0)
    await await_until(lambda: not outside.execute(SESSIONS).fetchall())
    async with opened(client) as page:
        assert await page.next() == live.CHANGED


@pytest.mark.usefixtures("quick")
async def test_a_connection_that_is_lost_comes_back_and_the_pages_look_again(client, outside):
    async with opened(client) as page:
        await page.settle()
        (before,) = outside.execute(SESSIONS).fetchone() or (0,)
        outside.execute("select pg_terminate_backend(%s, 5000)", [before])
        assert await page.next() == live.CHANGED
        (after,) = outside.execute(SESSIONS).fetchone() or (0,)
        assert after not in (0, before)


async def test_more_pages_than_may_be_are_told_to_look_by_themselves(client, settings):
    settings.QUEUE_TASKS_DASHBOARD = {"live_pages": 1}
    async with opened(client) as page:
        assert await page.next() == live.CHANGED
        response = await client.get(address("stream"))
        assert (response.status_code, response.content) == (204, b"")
    async with opened(client) as page:
        assert await page.next() == live.CHANGED


@pytest.mark.usefixtures("quick")
async def test_a_stream_ends_by_itself_so_that_who_lost_the_permission_is_asked_again(client, outside, monkeypatch):
    monkeypatch.setattr(live, "LIFE", 0.2)
    async with opened(client) as page:
        while await page.next() != "the end":
            pass
    assert len(news.news("default")) == 0
    outside.execute("truncate auth_user_user_permissions")
    assert (await client.get(address("stream"))).status_code == 403


@pytest.mark.usefixtures("quick")
async def test_a_server_that_stops_ends_its_streams(client):
    async with opened(client) as page:
        await page.settle()
        await asyncio.to_thread(news.close_news)
        while await page.next() != "the end":
            pass


@pytest.mark.usefixtures("quick")
async def test_a_silent_page_is_sent_a_sign_of_life(client):
    async with opened(client) as page, asyncio.timeout(PATIENCE):
        assert await anext(page.sent) == live.COME_BACK.encode()
        while await anext(page.sent) != live.SIGN.encode():
            pass
    assert len(news.news("default")) == 0


def test_under_wsgi_a_page_looks_by_itself(viewer):
    response = viewer.get(address("stream"))
    assert (response.status_code, response.content) == (204, b"")
    assert 'data-refresh="5"' in viewer.get(address("overview")).content.decode()


@pytest.fixture
def pooled(outside: psycopg.Connection[Any], dsn: str, settings: Any) -> Iterator[None]:
    """The alias to listen through leads to a pool that lends out its sessions for a transaction."""
    settings.TASKS = {"default": {**settings.TASKS["default"], "OPTIONS": {"listen_database": "pooled"}}}
    with PgBouncer(dsn) as pooler, alias_of("pooled", pooler.url):
        yield
        news.close_news()


@needs_pgbouncer
async def test_through_a_pooler_of_transactions_nothing_is_listened_to(pooled, client, outside):
    async with opened(client) as page:
        while await page.next() != "the end":
            pass
    assert (await client.get(address("stream"))).status_code == 204
    left = outside.execute(
        "select query from pg_stat_activity where datname = current_database() and query ilike 'listen %'"
    ).fetchall()
    assert left == []
