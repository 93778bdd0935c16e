"""Fitness: what a loop's failures make of its waits, with times that are only told."""

from itertools import pairwise

import pytest

from queue_tasks.worker.fitness import FIRST_WAIT, HEALTHY_AFTER, LONGEST_WAIT, PROVEN_AFTER, Fitness

SPREAD = 1.25
"""How much longer than meant a wait may be."""


@pytest.fixture
def fitness() -> Fitness:
    fitness = Fitness()
    fitness.begin(0.0)
    return fitness


def fail(fitness: Fitness, now: float, *, times: int = 1, by_itself: bool = True) -> list[float]:
    """Let it fail at once, again and again; the waits. It has begun again after the last."""
    waits = []
    for _ in range(times):
        waits.append(fitness.fail(now, by_itself=by_itself))
        fitness.begin(now)
    return waits


def test_each_failure_in_a_row_makes_the_wait_longer_and_none_longer_than_the_longest(fitness: Fitness) -> None:
    waits = fail(fitness, 0.0, times=6)
    assert waits[0] <= FIRST_WAIT * SPREAD
    assert all(later > earlier for earlier, later in pairwise(waits))
    assert max(fail(fitness, 0.0, times=2000)) <= LONGEST_WAIT * SPREAD


def test_waits_are_spread(fitness: Fitness) -> None:
    assert len(set(fail(fitness, 0.0, times=10, by_itself=False))) > 1


def test_only_the_first_in_a_row_is_the_first(fitness: Fitness) -> None:
    assert not fitness.failed_once
    told = []
    for now in (0.0, 0.0, 0.0, HEALTHY_AFTER + 1):
        fail(fitness, now)
        told.append(fitness.failed_once)
    assert told == [True, False, False, True]


@pytest.mark.parametrize(("ran", "forgotten"), [(HEALTHY_AFTER, False), (HEALTHY_AFTER + 0.01, True)])
def test_what_ran_long_enough_has_not_failed_before(fitness: Fitness, ran: float, forgotten: bool) -> None:
    fail(fitness, 0.0, times=5)
    (wait,) = fail(fitness, ran)
    assert (wait <= FIRST_WAIT * SPREAD) is forgotten
    assert fitness.failing_for(ran) == (0.0 if forgotten else ran)


def test_to_be_cancelled_makes_no_wait_longer(fitness: Fitness) -> None:
    assert max(fail(fitness, 0.0, times=20, by_itself=False)) <= FIRST_WAIT * SPREAD
    assert fitness.failed_once
    fail(fitness, 0.0, times=5)
    (cancelled,) = fail(fitness, 0.0, by_itself=False)
    (failed,) = fail(fitness, 0.0)
    assert cancelled <= FIRST_WAIT * SPREAD < failed


def test_what_ran_long_but_for_being_cancelled_has_not_failed_before(fitness: Fitness) -> None:
    fail(fitness, 0.0, times=5)
    fail(fitness, 0.8 * HEALTHY_AFTER, by_itself=False)
    (wait,) = fail(fitness, 1.6 * HEALTHY_AFTER)
    assert wait <= FIRST_WAIT * SPREAD
    assert fitness.failed_once


def test_what_fails_is_failing_until_it_has_run_for_a_while(fitness: Fitness) -> None:
    assert fitness.failing_for(0.5) == 0.0
    fail(fitness, 1.0, times=3)
    fail(fitness, 2.0)
    proven = 2.0 + fitness.fail(2.0) + PROVEN_AFTER
    assert fitness.failing_for(2.5) == 1.5
    assert fitness.failing_for(proven - 0.01) == pytest.approx(proven - 1.01)
    assert fitness.failing_for(proven) == 0.0
