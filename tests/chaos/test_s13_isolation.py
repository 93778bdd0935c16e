"""S13 isolation: the database's default is SERIALIZABLE, or REPEATABLE READ, and many enqueue and run at once."""

from __future__ import annotations

import threading

import pytest
from django.db import connections
from psycopg import sql

from tests.chaos.accounting import Acked
from tests.chaos.harness import Chaos
from tests.chaos.tasks import work_async


@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
def test_nobody_meets_a_serialization_failure(chaos: Chaos, level: str) -> None:
    count, threads = chaos.size(quick=(160, 4), full=(5000, 8))
    chaos.db.execute(
        sql.SQL("alter database {} set default_transaction_isolation = {}").format(
            sql.Identifier(chaos.db.info.dbname), level
        )
    )
    surfaced: list[BaseException] = []

    def enqueue(keys: list[str]) -> None:
        try:
            for key in keys:
                result = work_async.enqueue(key)
                chaos.acked.append(Acked(key, int(result.id)))
                result.refresh()
        except Exception as exc:  # noqa: BLE001 - which is what is counted
            surfaced.append(exc)
        finally:
            connections.close_all()

    with chaos.fleet(concurrency=8) as fleet:
        keys = [chaos.key() for _ in range(count)]
        callers = [threading.Thread(target=enqueue, args=(keys[n::threads],)) for n in range(threads)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(300)
        chaos.until_done(timeout=300)
    chaos.report(
        fleet,
        variant=level,
        most_duplicates=0,
        figures={"surfaced": len(surfaced)},
        criteria={
            "every enqueue was acknowledged": len(chaos.acked) == count,
            "0 surfaced 40001": not surfaced and "could not serialize" not in fleet.output,
        },
    )
