"""S20 never-returns: bodies that never end, in threads, on the loop and in processes, among others that do."""

from __future__ import annotations

import time

from tests.chaos.accounting import Acked
from tests.chaos.endless import TIMEOUT
from tests.chaos.harness import Chaos

MARGIN = 3.0
"""Seconds for an outcome to be written, on a busy machine."""

ENDLESS = {"endless": 6, "endless_in_c": 2, "endless_on_the_loop": 2, "endless_process": 2}
QUICK = {"endless": 2, "endless_in_c": 1, "endless_on_the_loop": 1, "endless_process": 1}
TIMED_OUT = "queue_tasks.exceptions.TaskTimeout"


def test_a_body_that_never_returns_is_timed_out_and_the_others_go_on(chaos: Chaos) -> None:
    count = chaos.size(quick=40, full=1000)
    kinds = chaos.size(quick=QUICK, full=ENDLESS)
    patience = chaos.size(quick=3.0, full=1.0)  # what can be stopped has to be within it, also on a busy machine
    endless: list[Acked] = []
    with chaos.fleet(concurrency=4, options={"timeout_patience": patience}) as fleet:
        baseline = rate(chaos, count) if chaos.full else 0.0
        for name, number in kinds.items():
            for _ in range(number):
                key = chaos.key()
                (row,) = chaos.rows(
                    "select queue_tasks_enqueue_v1(%s, to_jsonb(%s::text[]), priority => 10) as id",
                    f"tests.chaos.endless.{name}",
                    [key],
                )
                endless.append(Acked(key, row["id"]))
        chaos.acked += endless
        beside = rate(chaos, count)
        chaos.until_done()
        replaced = chaos.until(lambda: fleet.exits, 60)
        ends = chaos.rows(
            "select j.status::text, j.attempts, j.qt_crashes, j.qt_errors -> -1 ->> 'exception' as error, "
            "extract(epoch from j.qt_finished_at - l.at)::float8 as took from procrastinate_jobs j "
            "join chaos_ledger l on l.job_id = j.id and l.phase = 'start' where j.id = any (%s)",
            [job.job_id for job in endless],
        )
        rescued = chaos.rows("select id from procrastinate_jobs where qt_crashes > 0")
    wrong = [row for row in ends if (row["status"], row["attempts"], row["error"]) != ("failed", 1, TIMED_OUT)]
    longest = max(row["took"] for row in ends)
    ratio = beside / baseline if baseline else 1.0
    chaos.report(
        fleet,
        most_duplicates=0,
        # Whose threads are stuck in C: to be replaced.
        may_exit=kinds["endless_in_c"],
        criteria={
            f"each was timed out, once: {wrong}": not wrong and len(ends) == len(endless),
            f"none ran longer than {TIMEOUT + patience + MARGIN:g} s": longest
            <= TIMEOUT + patience + MARGIN + chaos.slack,
            "the others went on at 70 % of their rate or more": ratio >= 0.7,
            f"nobody was rescued who was not dead: {rescued}": not rescued,
            "who was stuck was replaced": replaced
            and all(exit_.code == 1 for exit_ in fleet.exits if not exit_.requested),
        },
        figures={"endless": len(endless), "longest": longest, "jobs/s": beside, "of baseline": ratio},
    )


def rate(chaos: Chaos, count: int) -> float:
    """Jobs a second of so many that take a moment each, in threads and on the loop."""
    begun = time.monotonic()
    took = chaos.size(quick=0.2, full=0.3)
    jobs = chaos.enqueue(count // 2, "sync", seconds=took) + chaos.enqueue(count // 2, "async", seconds=took)
    ids = [job.job_id for job in jobs]
    left = "select 1 from procrastinate_jobs where id = any (%s) and status in ('todo', 'doing') limit 1"
    assert chaos.until(lambda: not chaos.rows(left, ids), 120), "the others did not go on"
    return count / (time.monotonic() - begun)
