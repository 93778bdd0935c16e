"""S21 hostile-outcomes: return values and errors of every odd shape, from wherever bodies run, good jobs among them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.harness import Chaos
from tests.testapp import hostile

HOSTILE = "tests.testapp.hostile"
ISOLATED = "tests.testapp.isolated"
RAISERS = ("throw", "throw_async", "throw_async_later")
PLAIN = ("overflow", "overflow_async")


@pytest.mark.peer
def test_whatever_a_task_returns_or_raises_its_job_ends_and_its_worker_goes_on(chaos: Chaos) -> None:
    shapes = [(task, {"name": name}) for task in RAISERS for name in hostile.NAMES]
    shapes += [("give", {"name": name}) for name in hostile.GIVEN]
    shapes += [(task, {}) for task in PLAIN]
    shapes = [(f"{HOSTILE}.{task}", args) for task, args in shapes]
    if "process" in chaos.modes:
        shapes += [(f"{HOSTILE}.give_async", {"name": name}) for name in hostile.GIVEN]
        shapes += [(f"{ISOLATED}.throw", {"name": name}) for name in hostile.NAMES]
        shapes += [(f"{ISOLATED}.give", {"name": name}) for name in hostile.GIVEN]
        shapes.append((f"{ISOLATED}.overflow", {}))
    rounds = chaos.size(quick=1, full=5)
    jobs: dict[int, str] = {}
    with chaos.fleet(concurrency=4) as fleet:
        for _ in range(rounds):
            chaos.random.shuffle(shapes)
            for task, args in shapes:
                job_id = chaos.enqueue_call(task, **args)
                jobs[job_id] = f"{task.rpartition('.')[2]}({', '.join(args.values())})"
            # Behind them, on the same loop and in the same threads.
            chaos.enqueue(40, "async")
            chaos.enqueue(40, "sync")
        chaos.until(lambda: not rows(chaos, jobs, "todo", "doing"), 60)
        chaos.until_done()
        left = {jobs[row["id"]]: row for row in rows(chaos, jobs, "todo", "doing")}

    def as_it_should(row: dict[str, Any]) -> bool:
        if chaos.peer:
            # It keeps neither return values nor errors.
            return row["status"] == "failed" or jobs[row["id"]].startswith("give")
        return row["status"] == "failed" and bool(row["error"]) and row["attempts"] == 1

    wrong = {
        jobs[row["id"]]: row
        for row in rows(chaos, jobs, "succeeded", "failed", "aborted", "cancelled")
        if not as_it_should(row)
    }
    chaos.report(
        fleet,
        most_duplicates=0,
        criteria={
            f"each ended, {len(left)} did not: {list(left)[:5]}": not left,
            f"each failed, at its first attempt, and says why, {len(wrong)} did not: {list(wrong)[:5]}": not wrong,
        },
        figures={"hostile": len(jobs)},
    )


def rows(chaos: Chaos, jobs: dict[int, str], *statuses: str) -> list[dict[str, Any]]:
    """Those of the jobs that have one of the statuses."""
    return chaos.rows(
        "select id, status::text, attempts, to_jsonb(j) -> 'qt_errors' -> -1 ->> 'exception' as error "
        "from procrastinate_jobs j "
        "where id = any (%s) and status::text = any (%s)",
        list(jobs),
        list(statuses),
    )
