"""S33 ordered-shutdown: the supervisor of several workers is killed; none of them outlives it, nothing runs twice."""

from __future__ import annotations

import re
import time

from tests.chaos.fleet import Member
from tests.chaos.harness import Chaos
from tests.processes import Pid
from tests.waiting import wait_until

GIVEN_BACK = re.compile(r"(\d+) jobs still run after the time of grace")
WITHIN = 5.0
"""Seconds a worker process may outlive its supervisor."""


def test_no_process_outlives_its_supervisor_and_no_job_runs_twice(chaos: Chaos) -> None:
    count, kills, processes = chaos.size(quick=(120, 1, 2), full=(10_000, 8, 4))
    for mode in chaos.modes:
        chaos.enqueue(count // len(chaos.modes), mode, seconds=(0.02, 0.2))
    outlived: list[float] = []
    with chaos.fleet(1, "--processes", str(processes)) as fleet:
        for ended in chaos.moments(kills, of=count):
            chaos.until_ended(ended, timeout=600)
            fleet.until_whole()
            supervisor = fleet.ready[0]
            children = children_of(chaos, supervisor)
            assert len(children) == processes
            fleet.kill(supervisor)
            begun = time.monotonic()
            wait_until(lambda: not any(child.alive for child in children), 60, "the workers end")  # noqa: B023 - called at once
            outlived.append(time.monotonic() - begun)
        chaos.until_done(timeout=600)
    # What a worker has left to end is short of a busy machine; what is cut off then is told, and runs again.
    cut_off = sum(map(int, GIVEN_BACK.findall(fleet.output)))
    chaos.report(
        fleet,
        most_duplicates=chaos.size(quick=cut_off, full=0),
        criteria={f"no worker lives {WITHIN:g} s longer than its supervisor": max(outlived) <= WITHIN + chaos.slack},
        figures={"kills": kills, "processes": processes, "outlived by": max(outlived)},
    )


def children_of(chaos: Chaos, supervisor: Member) -> list[Pid]:
    """The worker processes of a supervisor: their names end with its process id and their number."""
    found = chaos.rows("select qt_pid from procrastinate_workers where qt_name like %s", f"%-{supervisor.pid}-%")
    return [Pid(row["qt_pid"]) for row in found]
