"""S26 scheduler-swarm: every worker is a scheduler, they tick every second, and some are killed.

The library has no schedules of its own yet: these are procrastinate's periodic tasks under our scheduler. Clocks that
disagree are left out: every process of a machine has the same one.
"""

from __future__ import annotations

from tests.chaos import accounting
from tests.chaos.accounting import Acked
from tests.chaos.harness import Chaos


def test_each_tick_comes_once_however_many_schedulers_there_are_and_die(chaos: Chaos) -> None:
    workers, kills, seconds = chaos.size(quick=(3, 1, 6), full=(12, 10, 120))
    with chaos.fleet(workers, concurrency=2, settings="tests.chaos.ticking_settings") as fleet:
        for ended in sorted(chaos.random.sample(range(2, seconds - 1), kills)):
            chaos.until_ended(ended, timeout=300)
            fleet.kill(chaos.random.choice(fleet.ready))
        chaos.until_ended(seconds, timeout=300)
        fleet.stop()
    ticks = chaos.rows(
        "select id, (args ->> 'timestamp')::bigint as at, status::text from procrastinate_jobs "
        "where task_name = 'tests.chaos.ticking.tick' order by id"
    )
    # Each is acknowledged by the transaction that its scheduler has committed.
    chaos.acked += [Acked(f"tick {row['at']}", row["id"]) for row in ticks]
    times = sorted(row["at"] for row in ticks)
    missed = sorted(set(range(times[0], times[-1] + 1)) - set(times))
    starts: dict[str, float] = {}
    for run in chaos.books(fleet).executions:
        starts[run.key] = min(run.started, starts.get(run.key, run.started))
    killed = {run.key for pid, at in fleet.deaths for run in accounting.in_flight(chaos.books(fleet), pid, at)}
    late = [at - float(key.split()[1]) for key, at in starts.items() if key not in killed]
    latest = chaos.size(quick=6, full=2)  # the quick form shares the machine with other tests
    chaos.report(
        fleet,
        most_duplicates=kills * 3,
        criteria={
            "no tick twice": len(times) == len(set(times)),
            f"no tick missed: {missed}": not missed,
            f"at most {latest:g} s late: {sorted(late)[-3:]}": accounting.percentile(late, 99) <= latest,
            "as many kills as planned": len(fleet.deaths) == kills,
        },
        figures={"late p99": accounting.percentile(late, 99)},
    )
