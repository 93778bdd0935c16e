"""S24 tx-enqueue: half of the transactions that enqueue roll back, some to a savepoint, while workers wait."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connection, connections, transaction

from queue_tasks import enqueue_many
from tests.chaos.accounting import Acked
from tests.chaos.harness import Chaos


def test_a_job_starts_if_and_only_if_its_transaction_has_committed_and_never_before(chaos: Chaos) -> None:
    from tests.chaos.tasks import work, work_async

    threads, transactions = chaos.size(quick=(4, 60), full=(8, 2500))
    committed_after: dict[str, float] = {}
    guard = threading.Lock()

    def new_keys(count: int) -> list[str]:
        with guard:
            return [chaos.key() for _ in range(count)]

    def transact(dice: random.Random) -> None:
        kept, dropped = new_keys(dice.choice([1, 1, 3])), new_keys(1)
        rolls_back = dice.random() < 0.5
        with transaction.atomic():
            results = enqueue_many(dice.choice([work, work_async]).bind(key) for key in kept)
            if dice.random() < 0.5:
                with transaction.atomic():
                    work.enqueue(dropped[0])
                    transaction.set_rollback(True)
            else:
                dropped = []
            with connection.cursor() as cursor:
                cursor.execute("select extract(epoch from clock_timestamp())::float8")
                now = cursor.fetchone()[0]
            transaction.set_rollback(rolls_back)
        with guard:
            chaos.forbidden.update(dropped)
            if rolls_back:
                chaos.forbidden.update(kept)
            else:
                chaos.acked += [Acked(key, int(result.id)) for key, result in zip(kept, results, strict=True)]
                committed_after.update(dict.fromkeys(kept, now))

    def enqueuer(number: int) -> None:
        dice = random.Random(f"{chaos.seed} {number}")  # noqa: S311 - a plan, to be repeated
        try:
            for _ in range(transactions):
                transact(dice)
        finally:
            connections.close_all()

    with chaos.fleet(concurrency=8) as fleet:
        with ThreadPoolExecutor(threads) as pool:
            for future in [pool.submit(enqueuer, number) for number in range(threads)]:
                future.result()
        chaos.until_done(timeout=600)
    early = [run for run in chaos.books(fleet).executions if run.started < committed_after.get(run.key, 0.0)]
    chaos.report(
        fleet,
        most_duplicates=0,
        criteria={f"none started before its commit: {early[:3]}": not early, "half rolled back": bool(chaos.forbidden)},
        figures={"transactions": threads * transactions, "rolled back": len(chaos.forbidden)},
    )
