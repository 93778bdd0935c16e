"""The one connection of this process that LISTENs. It hears, and says so; it reads nothing and decides nothing."""

import asyncio
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections

from site_app.sql import read_sql

logger = logging.getLogger(__name__)

SQL = Path(__file__).parent / "sql"
SETTLED = 1.0  # seconds after which those who ended a job before we followed, and tell us nothing, have committed
SILENCE = 30.0  # seconds without a notification after which the server is asked whether it is still there
DEADLINE = 10.0  # seconds the server has to answer anything
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds before the next try of a connection that was lost


class Listener:
    """Hears the site's channels for as long as it runs, through lost connections and restarts of the database.

    heard:     called with channel and payload of every notification
    connected: called whenever listening has begun, and a moment later: what was said or done before was not heard
    """

    def __init__(self, *, heard: Callable[[str, str], None], connected: Callable[[], None]) -> None:
        self._heard = heard
        self._connected = connected
        self._wait = FIRST_WAIT

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError, TimeoutError) as error:
                logger.warning("live updates are interrupted (%s); next try in %.1f s", str(error).strip(), self._wait)
            await asyncio.sleep(self._wait * random.uniform(0.5, 1.0))  # noqa: S311  many processes must not come at once
            self._wait = min(self._wait * 2, LONGEST_WAIT)

    async def _listen(self) -> None:
        """One connection's life."""
        async with asyncio.timeout(DEADLINE):
            connection = await psycopg.AsyncConnection.connect(**connection_parameters(), autocommit=True)
        async with connection:
            async with asyncio.timeout(DEADLINE):
                await connection.execute(read_sql(SQL / "listen.sql"))
            self._wait = FIRST_WAIT
            self._connected()
            silence = SETTLED
            while True:
                async for notification in connection.notifies(timeout=silence):
                    self._heard(notification.channel, notification.payload)
                if silence == SETTLED:
                    self._connected()
                silence = SILENCE
                async with asyncio.timeout(DEADLINE):
                    await connection.execute(read_sql(SQL / "still_there.sql"))


def connection_parameters() -> dict[str, Any]:
    """How Django reaches its database, in psycopg's words, without what only Django's own connection can use."""
    parameters = connections["default"].get_connection_params()
    for djangos_own in ("context", "cursor_factory", "prepare_threshold"):
        parameters.pop(djangos_own, None)
    return {**parameters, "application_name": "site_app live", "connect_timeout": int(DEADLINE)}
