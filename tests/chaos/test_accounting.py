"""The books themselves: each counter sees what it is there for, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos import accounting
from tests.chaos.accounting import Acked, Books, Counts, Execution
from tests.chaos.fleet import Exit

NOW = 1000.0


def row(status: str = "succeeded", attempts: int = 1, attempted_at: float | None = NOW - 100) -> dict[str, Any]:
    return {"status": status, "attempts": attempts, "attempted_at": attempted_at, "now": NOW, "worker_id": 1}


def run(key: str, pid: int = 1, started: float = NOW - 50, ended: float | None = NOW - 40) -> Execution:
    return Execution(key, 1, 1, 1, pid, started, ended)


GOOD = Books(
    acked=[Acked("a", 1), Acked("b", 2, atomic=True)],
    forbidden=frozenset({"never"}),
    rows={1: row(), 2: row()},
    executions=[run("a"), run("b")],
    effects=[("a", 1), ("b", 1)],
    endings={1: 1, 2: 1},
    deaths=[],
    exits=[],
    cleared=[],
    living=frozenset({1}),
)


def counted(**changes: Any) -> dict[str, int]:
    """The counters that are not 0, A left out."""
    counts = accounting.count(replace(GOOD, **changes)).as_json()
    return {name: counts[name] for name in ("L", "K", "D", "E2", "U", "X", "W") if counts[name]}


def test_good_books_count_the_acknowledged_and_nothing_else() -> None:
    assert counted() == {}
    assert accounting.count(GOOD).A == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rows": {2: row()}, "effects": [("b", 1)]}, {"L": 1}),
        ({"effects": [("b", 1)]}, {"L": 1}),
        ({"rows": {1: row("failed"), 2: row()}, "effects": [("b", 1)]}, {}),
        ({"rows": {1: row("todo"), 2: row()}, "effects": [("b", 1)]}, {}),
        ({"effects": [("a", 1), ("b", 1), ("b", 1)]}, {"E2": 1}),
        ({"rows": {1: row(), 2: row("failed")}}, {"E2": 1}),
        ({"rows": {1: row(), 2: row("failed")}, "effects": [("a", 1)]}, {}),
        ({"effects": [("a", 1), ("a", 1), ("b", 1)]}, {}),
        ({"endings": {1: 2, 2: 1}}, {"U": 1}),
        ({"executions": [*GOOD.executions, run("never")]}, {"U": 1}),
        ({"effects": [*GOOD.effects, ("never", 1)]}, {"U": 1}),
        ({"effects": [*GOOD.effects, ("nobody's", 1)]}, {"U": 1}),
        ({"effects": [*GOOD.effects, ("nobody's", 1)], "unanswered": frozenset({"nobody's"})}, {}),
        ({"executions": [*GOOD.executions, run("a", pid=2)]}, {"D": 1}),
        ({"rows": {1: row(attempts=2), 2: row()}}, {"X": 1}),
        ({"exits": [Exit(1, 0, "", 0.0, ""), Exit(2, -9, "SIGKILL", 0.1, "")]}, {"W": 1}),
        ({"rows": {1: row("doing"), 2: row()}, "executions": [run("a", ended=None), run("b")]}, {}),
        ({"rows": {1: row("doing"), 2: row()}, "executions": [run("a", 9, ended=None), run("b")]}, {"K": 1}),
        ({"rows": {1: row("doing", attempted_at=NOW - 1), 2: row()}, "executions": [run("b")]}, {"X": 1}),
    ],
)
def test_each_counter_sees_what_it_is_there_for(changes: dict[str, Any], expected: dict[str, int]) -> None:
    assert counted(**changes) == expected


def test_the_duplicates_that_a_death_explains_were_in_its_hands() -> None:
    again = run("a", pid=2, started=NOW - 20)
    books = replace(GOOD, executions=[run("a", ended=None), run("b"), again], deaths=[(1, NOW - 30)])
    counts = accounting.count(books)
    assert accounting.unexplained(books, counts) == []
    assert counts.tres == [10.0]
    elsewhere = replace(books, deaths=[(7, NOW - 30)])
    assert accounting.unexplained(elsewhere, accounting.count(elsewhere)) == ["a"]


OF_A_AND_B = [(2, "started", 9.0), (1, "started", 10.0), (1, "deferred_for_retry", 15.0)]


@pytest.mark.parametrize(
    ("moves", "back", "passed_over"),
    [
        # Whoever has a slot is busy until it starts.
        ([(1, "started", 25.0), (2, "succeeded", 26.0)], 3.0, 0.0),
        ([(2, "succeeded", 24.0), (1, "started", 25.0)], 3.0, 1.0),
        ([(3, "started", 15.5), (2, "succeeded", 16.0), (1, "started", 25.0)], 3.0, 0.5),
        ([(0, "started", 15.5), (2, "succeeded", 16.0), (1, "started", 25.0)], 3.0, 0.0),
        ([(2, "succeeded", 16.0), (3, "started", 17.0), (3, "succeeded", 18.0), (1, "started", 25.0)], 3.0, 9.0),
        # Its second worker dies as well.
        ([(1, "started", 15.1), (1, "deferred_for_retry", 20.0), (3, "started", 21.0), (1, "started", 22.0)], 3.0, 0.0),
    ],
)
def test_a_job_whose_worker_died_waits_for_its_rescue_and_then_for_nothing_but_a_slot(
    moves: list[tuple[int, str, float]], back: float, passed_over: float
) -> None:
    books = replace(GOOD, executions=[run("a", 1, 10.0, None)], deaths=[(1, 12.0)])
    (found,) = accounting.returns(books, OF_A_AND_B + moves)
    assert (found.back, found.passed_over) == (back, passed_over)


def test_a_job_that_never_came_back_has_no_end_of_its_wait() -> None:
    books = replace(GOOD, executions=[run("a", 1, 10.0, None), run("b", 1, 9.0, 11.0)], deaths=[(1, 12.0)])
    (found,) = accounting.returns(books, OF_A_AND_B[:2])
    assert found.back == float("inf")
    (failed,) = accounting.returns(books, [*OF_A_AND_B[:2], (1, "failed", 15.0), (3, "started", 16.0)])
    assert (failed.back, failed.passed_over) == (3.0, 0.0)


def test_bodies_of_one_lock_overlap_unless_one_ended_before_or_died() -> None:
    first, second = run("a", 1, 10.0, 20.0), run("b", 2, 15.0, 30.0)
    lock_of = {"a": "lock", "b": "lock"}
    (overlap,) = accounting.overlaps(replace(GOOD, executions=[first, second]), lock_of)
    assert overlap == ("lock", [first, second])
    assert accounting.overlaps(replace(GOOD, executions=[first, second]), lock_of, limit=2) == []
    assert accounting.overlaps(replace(GOOD, executions=[first, replace(second, started=20.0)]), lock_of) == []
    died = replace(GOOD, executions=[replace(first, ended=None), second], deaths=[(1, 12.0)])
    assert accounting.overlaps(died, lock_of) == []
    assert accounting.overlaps(replace(died, deaths=[]), lock_of) != []
    # Its start was on its way to the server when it died.
    assert accounting.overlaps(replace(died, deaths=[(1, 9.9)]), lock_of) == []


def test_starts_and_ends_are_paired_by_key_lease_and_process() -> None:
    def note(phase: str, at: float, pid: int = 1) -> dict[str, Any]:
        return {"key": "a", "job_id": 1, "lease": 1, "attempt": 1, "pid": pid, "phase": phase, "at": at}

    notes = [note("start", 1.0), note("start", 2.0, pid=2), note("told", 3.0), note("end", 4.0)]
    assert [(r.pid, r.started, r.ended) for r in accounting.executions(notes)] == [(1, 1.0, 4.0), (2, 2.0, None)]


def test_the_report_line_is_the_scorecard_s() -> None:
    counts = Counts(A=10_000, D=37, W=0, requested=20, tres=[1.0, 2.0, 3.0])
    assert counts.line("S01", 7, most=240) == (
        "S01 seed=7 A=10000 L=0 K=0 D=37(≤240) E2=0 U=0 X=0 W=20(req) Tres p50/p99=2.0/3.0s bound(L)≤3e-4"
    )
    assert " W=2(+20 req) " in replace(counts, W=2).line("S01", 7)
