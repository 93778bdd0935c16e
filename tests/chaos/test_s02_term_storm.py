"""S02 term-storm: workers are told to stop at random moments of a run, some many times over, and replaced."""

from __future__ import annotations

import signal

import pytest

from tests.chaos.harness import Chaos

MARGIN = 2.0


@pytest.mark.peer
def test_workers_told_to_stop_end_in_time_and_hand_everything_over(chaos: Chaos) -> None:
    count, terms = chaos.size(quick=(160, 3), full=(10_000, 20))
    times = chaos.size(quick=(0.02, 0.15), full=(0.05, 0.2))
    # On a busy machine a body takes longer; one that is cut off would start twice.
    grace = chaos.size(quick=20.0, full=5.0)
    for mode in chaos.modes:
        chaos.enqueue(count // len(chaos.modes), mode, seconds=times)
    # The name of the variable is the stock worker's.
    environment = {"PROCRASTINATE_WORKER_SHUTDOWN_GRACEFUL_TIMEOUT": f"{grace:g}"}
    with chaos.fleet(None, "--grace", f"{grace:g}", environment=environment) as fleet:
        for number, ended in enumerate(chaos.moments(terms, of=count)):
            chaos.until_ended(ended, timeout=600)
            fleet.until_whole()
            member = fleet.terminate(chaos.random.choice(fleet.ready))
            if number % 2:
                # A storm is one stop.
                for again in [*[signal.SIGTERM] * 4, signal.SIGINT, signal.SIGQUIT]:
                    member.worker.send(again)
        chaos.until_done(timeout=600)
        fleet.until_whole()
        told = [exit_ for exit_ in fleet.exits if exit_.requested == "SIGTERM"]
    longest = max(exit_.seconds for exit_ in told)
    chaos.report(
        fleet,
        most_duplicates=0,
        criteria={
            "every one ended": len(told) == terms,
            "each with exit code 0": all(exit_.code == 0 for exit_ in told),
            "each within grace + 2 s": longest <= grace + MARGIN + chaos.slack,
        },
        figures={"stops": terms, "longest stop": longest},
    )
