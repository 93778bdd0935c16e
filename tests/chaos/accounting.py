"""Jepsen's accounting: what was acknowledged, against the rows, the ledger, and what was done to the workers.

A    enqueues acknowledged
L    lost: acknowledged, and neither an effect, nor waiting, nor failed with its reason
K    stuck: running in its row for longer than two leases, and nobody runs it
D    jobs with more than one start
E2   atomic jobs whose effects are not exactly one (none, if the job failed)
U    unexpected: a start or an effect of a job that was rolled back, cancelled, or had ended
X    attempts charged without a start
W    exits of workers that nobody asked for
Trec seconds from the end of a fault to the next end of a job; Tres from a worker's death to the next start of its job,
     in which it may have waited for a slot, or died once more: `returns` tells what of it the queue answers for

The standing rule: L = K = U = E2 = 0.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg

from tests.chaos.fleet import Exit

LEASE = 5.0
"""Seconds; the scenarios' settings."""

LIVE = ("todo", "doing")
UNDONE = ("failed", "cancelled", "aborted")
SHOWN = 10
"""Offending rows a failure shows of each kind."""


@dataclass(frozen=True)
class Acked:
    """A job whose enqueueing was acknowledged: its transaction's commit returned."""

    key: str
    job_id: int
    atomic: bool = False
    lock: str | None = None


@dataclass(frozen=True)
class Execution:
    """One run of a body, as the ledger has it; times are seconds since 1970."""

    key: str
    job_id: int
    lease: int
    attempt: int
    pid: int
    started: float
    ended: float | None


@dataclass(frozen=True)
class Return:
    """How a job came back whose body had died with its worker; seconds."""

    key: str
    back: float
    """From the death until it was ready again, or had failed for crashing its workers."""
    passed_over: float
    """From then until it was taken, as far as a slot was free for it: until the last job behind it was taken before it,
    or since nobody had a job in hand."""


@dataclass
class Books:
    """Everything there is to count from."""

    acked: Sequence[Acked]
    forbidden: frozenset[str]
    """Keys that must never start: rolled back, or cancelled in time."""
    rows: Mapping[int, dict[str, Any]]
    executions: Sequence[Execution]
    effects: Sequence[tuple[str, int]]
    """(key, pid)"""
    endings: Mapping[int, int]
    """Job id -> events of a final kind."""
    deaths: Sequence[tuple[int, float]]
    exits: Sequence[Exit]
    cleared: Sequence[float]
    """When faults ended, seconds since 1970."""
    living: frozenset[int]
    """Process ids of workers that live and are not frozen."""
    unanswered: frozenset[str] = frozenset()
    """Keys whose enqueuer never heard whether they were committed: they may run, or not."""


@dataclass
class Counts:
    """The counters, and for each that must be zero the rows that are not."""

    A: int = 0
    L: int = 0
    K: int = 0
    D: int = 0
    E2: int = 0
    U: int = 0
    X: int = 0
    W: int = 0
    requested: int = 0
    trec: list[float] = field(default_factory=list)
    tres: list[float] = field(default_factory=list)
    offending: dict[str, list[Any]] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    """The keys that D counts."""

    def line(self, scenario: str, seed: int, most: int | None = None, more: Mapping[str, Any] | None = None) -> str:
        """The report line of FAULTS.md. most: what D may be. more: figures of the scenario's own."""
        duplicated = f"D={self.D}" if most is None else f"D={self.D}(≤{most})"
        exits = f"{self.requested}(req)" if self.requested and not self.W else str(self.W)
        if self.W and self.requested:
            exits += f"(+{self.requested} req)"
        words = [
            f"{scenario} seed={seed} A={self.A} L={self.L} K={self.K} {duplicated}",
            f"E2={self.E2} U={self.U} X={self.X} W={exits}",
        ]
        for name, times in (("Trec", self.trec), ("Tres", self.tres)):
            if times:
                words.append(f"{name} p50/p99={percentile(times, 50):.1f}/{percentile(times, 99):.1f}s")
        words += [
            f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in (more or {}).items()
        ]
        if self.A:
            words.append(f"bound(L)≤{bound(self.A)}")
        return " ".join(words)

    def as_json(self) -> dict[str, Any]:
        """The counters, for the table."""
        values = asdict(self)
        return {name: values[name] for name in ("A", "L", "K", "D", "E2", "U", "X", "W", "requested", "trec", "tres")}


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def bound(trials: int) -> str:
    """No failure in so many trials: the rate is, with 95 % confidence, at most 3/N."""
    mantissa, _, exponent = f"{3 / trials:.0e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def read(db: psycopg.Connection[dict[str, Any]], acked: Sequence[Acked], **known: Any) -> Books:
    """Read the books from the database of a scenario."""
    if db.execute("select to_regclass('chaos_ledger') is null as missing").fetchall()[0]["missing"]:
        raise LookupError("there is no ledger: ledger.TABLES was not executed in this database")
    # By name, through JSON: a stock row has no such columns, and a hostile one may hold what Python cannot.
    rows = db.execute(
        "select id, status::text as status, attempts, worker_id, "
        "extract(epoch from (to_jsonb(j) ->> 'qt_attempted_at')::timestamptz)::float8 as attempted_at, "
        "extract(epoch from clock_timestamp())::float8 as now from procrastinate_jobs j where id = any (%s)",
        [[job.job_id for job in acked]],
    ).fetchall()
    notes = db.execute(
        "select key, job_id, lease, attempt, pid, phase, extract(epoch from at)::float8 as at "
        "from chaos_ledger order by id"
    ).fetchall()
    effects = [(row["key"], row["pid"]) for row in db.execute("select key, pid from chaos_effect").fetchall()]
    endings = db.execute(
        "select job_id, count(*) from procrastinate_events "
        "where type::text in ('succeeded', 'failed', 'cancelled', 'aborted') group by 1"
    ).fetchall()
    return Books(
        acked=acked,
        rows={row["id"]: row for row in rows},
        executions=executions(notes),
        effects=effects,
        endings={row["job_id"]: row["count"] for row in endings},
        **known,
    )


def executions(notes: Iterable[Mapping[str, Any]]) -> list[Execution]:
    """Pair the starts with their ends, in the order of their starts."""
    begun: list[dict[str, Any]] = []
    open_: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for row in notes:
        place = (row["key"], row["lease"], row["pid"])
        if row["phase"] == "start":
            open_[place].append(len(begun))
            begun.append({**row, "ended": None})
        elif row["phase"] == "end" and open_[place]:
            begun[open_[place].pop()]["ended"] = row["at"]
    return [Execution(r["key"], r["job_id"], r["lease"], r["attempt"], r["pid"], r["at"], r["ended"]) for r in begun]


def count(books: Books) -> Counts:
    """Count everything; see the module."""
    runs: dict[str, list[Execution]] = defaultdict(list)
    for execution in books.executions:
        runs[execution.key].append(execution)
    effects = Counter(key for key, _ in books.effects)
    bad: dict[str, list[Any]] = {
        "L": [(job, status(books, job)) for job in books.acked if _is_lost(status(books, job), effects[job.key])],
        "K": [job for job in books.acked if _is_stuck(books.rows.get(job.job_id), runs[job.key], books.living)],
        "E2": [
            (job, status(books, job), f"{effects[job.key]} effects", runs[job.key])
            for job in books.acked
            if job.atomic and not _is_exact(status(books, job), effects[job.key])
        ],
        "U": _unexpected(books, runs, effects),
        "X": [
            (job, f"{books.rows[job.job_id]['attempts']} attempts", runs[job.key])
            for job in books.acked
            if job.job_id in books.rows and books.rows[job.job_id]["attempts"] > len(runs[job.key])
        ],
        "W": [(exit_.pid, exit_.code, exit_.output[-2000:]) for exit_ in books.exits if not exit_.requested],
    }
    counts = Counts(A=len(books.acked), offending={name: rows for name, rows in bad.items() if rows})
    for name, rows in bad.items():
        setattr(counts, name, len(rows))
    counts.requested = sum(exit_.requested not in ("", "the end") for exit_ in books.exits)
    counts.twice = sorted(key for key, found in runs.items() if len(found) > 1)
    counts.D = len(counts.twice)
    ends = sorted(execution.ended for execution in books.executions if execution.ended is not None)
    counts.trec = [min(e for e in ends if e > at) - at for at in books.cleared if ends and ends[-1] > at]
    counts.tres = restarts(books, runs)
    return counts


def status(books: Books, job: Acked) -> str | None:
    """The status of a job's row; None when there is no row."""
    row = books.rows.get(job.job_id)
    return None if row is None else str(row["status"])


def _is_lost(status: str | None, effects: int) -> bool:
    return not effects and status not in (*LIVE, *UNDONE)


def _is_exact(status: str | None, effects: int) -> bool:
    return status in LIVE or effects == (0 if status in UNDONE else 1)


def _unexpected(books: Books, runs: Mapping[str, Sequence[Execution]], effects: Mapping[str, int]) -> list[Any]:
    expected = {job.key for job in books.acked} | books.forbidden | books.unanswered
    ran = {key for key, found in runs.items() if found} | {key for key, found in effects.items() if found}
    bad: list[Any] = [
        (job, f"ended {books.endings[job.job_id]} times", runs[job.key])
        for job in books.acked
        if books.endings.get(job.job_id, 0) > 1
    ]
    bad += [(key, "was forbidden", runs.get(key)) for key in sorted(ran & books.forbidden)]
    bad += [(key, "was never acknowledged", runs.get(key)) for key in sorted(ran - expected)]
    return bad


def _is_stuck(row: Mapping[str, Any] | None, runs: Sequence[Execution], living: frozenset[int]) -> bool:
    if row is None or row["status"] != "doing" or any(run.ended is None and run.pid in living for run in runs):
        return False
    # A stock row does not know when it was fetched: its start in the ledger is the next best.
    since = row["attempted_at"] or max((run.started for run in runs), default=0.0)
    return bool(row["now"] - since > 2 * LEASE)


def in_flight(books: Books, pid: int, at: float, ack_window: float = 1.0) -> list[Execution]:
    """What a process had in hand at a time: bodies not ended, or ended so shortly before that nobody wrote it yet."""
    return [
        run
        for run in books.executions
        # A process dies a moment after it was told to: what it started in that moment was in its hands too.
        if run.pid == pid and (run.ended is None or run.ended >= at - ack_window)
    ]


def unexplained(books: Books, counts: Counts, ack_window: float = 1.0) -> list[str]:
    """The duplicates that no death explains: no run of theirs was in flight when its worker was killed."""
    explained = {run.key for pid, at in books.deaths for run in in_flight(books, pid, at, ack_window)}
    return [key for key in counts.twice if key not in explained]


def restarts(books: Books, runs: Mapping[str, Sequence[Execution]]) -> list[float]:
    """For each body that died with its worker: the seconds until the job's next start."""
    found = []
    for pid, at in books.deaths:
        for run in in_flight(books, pid, at, ack_window=0):
            if run.ended is None:
                after = [other.started for other in runs[run.key] if other.started > at and other.pid != pid]
                found += [min(after) - at] if after else []
    return found


def read_moves(db: psycopg.Connection[dict[str, Any]]) -> list[tuple[int, str, float]]:
    """What became of the jobs' places in line, in order: (job id, type of the event, seconds since 1970)."""
    rows = db.execute(
        "select job_id, type::text as type, extract(epoch from at)::float8 as at from procrastinate_events "
        "where type::text in ('started', 'deferred_for_retry', 'succeeded', 'failed') order by at, id"
    ).fetchall()
    return [(row["job_id"], row["type"], row["at"]) for row in rows]


def returns(books: Books, moves: Sequence[tuple[int, str, float]]) -> list[Return]:
    """For each body that died with its worker: how its job came back. Of jobs of one queue and priority.

    When all slots are taken, such as by jobs whose processes are only being started, even the first in line waits.
    """
    taken = [(job_id, at) for job_id, type_, at in moves if type_ == "started"]
    held = holds(moves)
    found = []
    for pid, died in books.deaths:
        for run in in_flight(books, pid, died, ack_window=0):
            if run.ended is not None:
                continue
            own = [(type_, at) for job_id, type_, at in moves if job_id == run.job_id and at > died]
            ready = next((at for type_, at in own if type_ != "started"), math.inf)
            start = next((at for type_, at in own if type_ == "started" and at >= ready), ready)
            overtaken = max((at for job_id, at in taken if job_id > run.job_id and ready < at < start), default=ready)
            emptied = [ready, *(end for _, end in held if ready < end < start)]
            idle = min((at for at in emptied if not any(begin <= at < end for begin, end in held)), default=start)
            found.append(Return(run.key, ready - died, max(overtaken - ready, start - idle) if start > ready else 0.0))
    return found


def holds(moves: Iterable[tuple[int, str, float]]) -> list[tuple[float, float]]:
    """When jobs were in somebody's hand: from when one was taken until it had ended or was ready again."""
    begun: dict[int, float] = {}
    found = []
    for job_id, type_, at in moves:
        if type_ == "started":
            begun[job_id] = at
        elif job_id in begun:
            found.append((begun.pop(job_id), at))
    return found + [(at, math.inf) for at in begun.values()]


def overlaps(books: Books, lock_of: Mapping[str, str], limit: int = 1) -> list[tuple[str, list[Execution]]]:
    """Where more than `limit` bodies of one lock ran at the same time; a killed process's bodies end with it."""
    dead = dict(books.deaths)
    by_lock: dict[str, list[Execution]] = defaultdict(list)
    for run in books.executions:
        # A start that the server wrote down when the process that had sent it was dead already is no body that runs.
        if run.key in lock_of and run.started < dead.get(run.pid, math.inf):
            by_lock[lock_of[run.key]].append(run)
    found = []
    for lock, own in by_lock.items():
        moments = sorted(
            itertools.chain.from_iterable(
                # At the same moment, an end comes before a start.
                ((run.started, 1, i), (run.ended or dead.get(run.pid, math.inf), 0, i))
                for i, run in enumerate(own)
            )
        )
        running: set[int] = set()
        for _, begins, index in moments:
            if not begins:
                running.discard(index)
                continue
            running.add(index)
            if len(running) > limit:
                found.append((lock, [own[i] for i in sorted(running)]))
    return found


def explain(counts: Counts, names: Iterable[str]) -> str:
    """The offending rows of some counters, for a failed assertion."""
    lines = []
    for name in names:
        rows = counts.offending.get(name, [])
        if rows:
            lines.append(f"{name}={len(rows)}:")
            lines += [f"  {row}" for row in rows[:SHOWN]]
    return "\n".join(lines)
