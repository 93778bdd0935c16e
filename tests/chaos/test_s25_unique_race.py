"""S25 unique-race: many threads enqueue under the same few queueing locks, and some of them roll back.

The library has no unique enqueue of its own yet: this is procrastinate's queueing lock, on our tables and indexes, by
procrastinate's own `defer` in Django's transaction.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from django.db import connections, transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from tests.chaos.accounting import Acked
from tests.chaos.harness import TASKS, Chaos


def test_of_all_who_enqueue_under_one_queueing_lock_exactly_one_has_done_so(chaos: Chaos) -> None:
    threads, tries, locks, rounds = chaos.size(quick=(8, 15, 4, 2), full=(50, 200, 10, 3))
    told: list[tuple[str, Acked]] = []
    refusals: Counter[str] = Counter()
    guard = threading.Lock()

    def race(number: int) -> None:
        dice = random.Random(f"{chaos.seed} {number}")  # noqa: S311 - a plan, to be repeated
        try:
            for _ in range(tries):
                lock = f"lock {dice.randrange(locks)}"
                with guard:
                    key = chaos.key()
                rolls_back = dice.random() < 0.5
                try:
                    with transaction.atomic():
                        job_id = app.configure_task(TASKS["sync"], queueing_lock=lock).defer(args=[key], kwargs={})
                        transaction.set_rollback(rolls_back)
                except AlreadyEnqueued:
                    with guard:
                        refusals[lock] += 1
                    continue
                with guard:
                    if rolls_back:
                        chaos.forbidden.add(key)
                    else:
                        told.append((lock, Acked(key, job_id)))
        finally:
            connections.close_all()

    wrong: list[str] = []
    for turn in range(rounds):
        told.clear()
        with ThreadPoolExecutor(threads) as pool:
            for future in [pool.submit(race, threads * turn + number) for number in range(threads)]:
                future.result()
        pending = chaos.rows(
            "select queueing_lock as lock, array_agg(id) as ids from procrastinate_jobs "
            "where status = 'todo' group by 1"
        )
        wrong += [f"{row['lock']}: {len(row['ids'])} pending" for row in pending if len(row["ids"]) != 1]
        # Told the truth: who heard of success has the one pending job, and nobody else does.
        successes = {lock: [acked.job_id for name, acked in told if name == lock] for lock, _ in told}
        if successes != {row["lock"]: row["ids"] for row in pending}:
            wrong.append(f"told {successes}, there is {pending}")
        chaos.acked += [acked for _, acked in told]
        # The line is emptied: the next round begins anew under the same locks.
        with chaos.fleet(1):
            chaos.until_done()
    chaos.report(
        *chaos.fleets,
        most_duplicates=0,
        criteria={f"exactly one job pending of each lock, and its enqueuer knows: {wrong[:5]}": not wrong},
        figures={"refused": refusals.total(), "rolled back": len(chaos.forbidden)},
    )
