"""S04 pause-train: the workers are frozen one after the other, for less and for more than a lease."""

from __future__ import annotations

import itertools

import pytest

from tests.chaos import accounting
from tests.chaos.harness import Chaos
from tests.waiting import hold, wait_until

SOON = 5.0
"""Seconds after which a worker that was thawed must have started a job."""


@pytest.mark.peer
def test_a_worker_that_was_frozen_goes_on_as_if_it_had_not_been(chaos: Chaos) -> None:
    stops = chaos.size(quick=(0.5, 5.5), full=tuple(chaos.random.uniform(3, 15) for _ in range(8)))
    returns: list[float] = []
    with chaos.fleet(concurrency=4) as fleet:
        members = itertools.cycle(fleet.living)
        for seconds in stops:
            # What keeps the others busy, and what the thawed one finds.
            chaos.enqueue(chaos.size(quick=40, full=400), "async", seconds=(0.02, 0.1))
            chaos.enqueue(chaos.size(quick=20, full=200), "sync", seconds=(0.02, 0.1))
            member = fleet.freeze(next(members))
            hold(seconds)
            fleet.thaw(member)
            chaos.clear()
            chaos.enqueue(chaos.size(quick=40, full=200), "async", seconds=0.05)
            returns.append(until_it_starts_a_job(chaos, member.pid))
        chaos.until_done(timeout=600)
    chaos.report(
        fleet,
        criteria={
            "every worker starts a job within 5 s of its thaw": max(returns) <= SOON + chaos.slack,
            "nobody ended": not [exit_ for exit_ in fleet.exits if exit_.requested != "the end"],
        },
        figures={"return p50": accounting.percentile(returns, 50), "max": max(returns)},
    )


def until_it_starts_a_job(chaos: Chaos, pid: int) -> float:
    """Seconds from the thaw until the worker starts a job that it has fetched since; it is offered jobs meanwhile."""
    thawed = chaos.cleared[-1]
    statement = """
        select extract(epoch from min(l.at))::float8 as at
        from chaos_ledger l join procrastinate_events e on e.job_id = l.job_id
        where l.pid = %(pid)s and l.phase = 'start' and l.at > e.at
            and e.type = 'started' and e.at > to_timestamp(%(thawed)s)
    """

    def started() -> float | None:
        if chaos.statuses().get("todo", 0) == 0:
            chaos.enqueue(8, "async", seconds=0.02)
        found: float | None = chaos.rows(statement, pid=pid, thawed=thawed)[0]["at"]
        return found

    return float(wait_until(started, 90, f"worker {pid} starts a job after its thaw") or 0) - thawed
