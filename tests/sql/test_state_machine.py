"""Random histories of statements on one database, each step compared with a model of the tables.

QUEUE_TASKS_EXAMPLES=2000 makes as many histories of 50 steps, other ones each time, and shortens one that fails.
Without it there are a few, always the same. Time is moved by moving the rows.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from queue_tasks import statements
from tests.sql import drawn
from tests.sql.model import (
    DEAD_AFTER,
    FINISHED,
    MAX_CRASHES,
    PARKED,
    SILENT_AFTER,
    STRAY_AFTER,
    AlreadyWaiting,
    End,
    Handle,
    Model,
)
from tests.sql.session import Session

STATE = """
select
    id, queue_name, priority, lock, queueing_lock,
    case
        when scheduled_at < queue_tasks_parked_until_v1()
            then extract(epoch from scheduled_at - clock_timestamp())::float
        when scheduled_at is not null then 'infinity'
    end,
    status::text, worker_id, qt_lease, attempts, qt_crashes, qt_started_lease, abort_requested, qt_ephemeral,
    qt_started_at is not null, qt_finished_at is not null,
    extract(epoch from qt_expires_at - clock_timestamp())::float, qt_result::text,
    coalesce(jsonb_array_length(qt_errors), 0), (qt_meta -> 'progress')::integer
from procrastinate_jobs order by id
"""


BACKDATE = (
    """
    update procrastinate_jobs
    set qt_expires_at = qt_expires_at - make_interval(secs => %(seconds)s),
        qt_attempted_at = qt_attempted_at - make_interval(secs => %(seconds)s),
        scheduled_at = case
            when scheduled_at < queue_tasks_parked_until_v1() then scheduled_at - make_interval(secs => %(seconds)s)
            else scheduled_at
        end
    """,
    "update queue_tasks_queues set paused_until = paused_until - make_interval(secs => %(seconds)s)",
    "update procrastinate_workers set last_heartbeat = last_heartbeat - make_interval(secs => %(seconds)s)",
)


def rounded(seconds: float | None) -> float | None:
    """Times a little apart are one time: an example takes less than 25 seconds, and its times lie 50 apart."""
    return seconds if seconds in {None, PARKED} else round(seconds / 50) * 50.0


class Machine(RuleBasedStateMachine):
    """The statements as rules."""

    session: Session

    @initialize(workers=st.integers(1, 3))
    def begin(self, workers: int) -> None:
        self.session.rows("select pg_advisory_unlock_all()")
        self.session.rows(
            "truncate procrastinate_jobs, procrastinate_events, procrastinate_workers, procrastinate_periodic_defers, "
            "queue_tasks_queues restart identity"
        )
        self.model = Model()
        self.handles: list[Handle] = []
        self.leases: Counter[int] = Counter()
        self.statuses: dict[int, str] = {}
        self.attempts: Counter[int] = Counter()
        self.runs: Counter[int] = Counter()
        self.retried: set[int] = set()
        for _ in range(workers):
            self.register()

    def run(self, statement: Any, **parameters: Any) -> list[tuple[Any, ...]]:
        return self.session.connection.execute(statement, parameters).fetchall()

    def some_jobs(self, picks: list[int]) -> list[int]:
        newest = sorted(self.model.jobs, reverse=True)
        return list(dict.fromkeys(newest[pick % len(newest)] for pick in picks)) if newest else [0]

    def some_handles(self, picks: list[int]) -> list[Handle]:
        return list(dict.fromkeys(self.handles[-1 - pick % len(self.handles)] for pick in picks))

    def some_worker(self, pick: int) -> int:
        """A registered one, or now and then one that is not."""
        known = [*self.model.workers, 999] if pick == 0 else list(self.model.workers) or [999]
        return known[pick % len(known)]

    # -------------------------------------------------------------------------------------------------------- enqueue

    @rule(rows=st.lists(drawn.new_jobs, min_size=1, max_size=4), ephemeral=st.booleans(), then=drawn.then_fetches)
    def enqueue(self, rows: list[dict[str, Any]], ephemeral: bool, then: list[dict[str, Any]]) -> None:
        delays = self.session.column(
            "select clock_timestamp() + make_interval(secs => d) "
            "from unnest(%s::float[]) with ordinality u (d, n) order by n",
            [row["delay"] for row in rows],
        )
        [(ids, _)] = self.run(
            statements.ENQUEUE_JOBS,
            queue_names=[row["queue"] for row in rows],
            task_names=["t"] * len(rows),
            priorities=[row["priority"] for row in rows],
            run_afters=delays,
            ephemerals=[ephemeral] * len(rows),
            tasks="\n".join(str(number) for number in range(1, len(rows) + 1)),
            args="\n".join(["{}"] * len(rows)),
            locks=[row["lock"] for row in rows],
            trace=None,
        )
        expected = self.model.enqueue([{**self.timed(row), "ephemeral": ephemeral} for row in rows])
        assert ids == expected
        self.fetch(then)

    @rule(
        row=drawn.new_jobs,
        queueing_locks=st.lists(st.sampled_from(["q1", "q1", "q2"]), min_size=1, max_size=2),
        then=drawn.then_fetches,
    )
    def defer(self, row: dict[str, Any], queueing_locks: list[str], then: list[dict[str, Any]]) -> None:
        """Upstream's way, the only one that knows queueing locks."""
        rows = [{**self.timed(row), "queueing_lock": queueing_lock} for queueing_lock in queueing_locks]
        values = [
            (row["queue"], "t", row["priority"], row["lock"], queueing_lock, row["delay"])
            for queueing_lock in queueing_locks
        ]
        try:
            expected = self.model.enqueue(rows)
        except AlreadyWaiting:
            with pytest.raises(psycopg.errors.UniqueViolation):
                self.call_defer(values)
            self.model.next_job = 1 + self.session.value("select last_value from procrastinate_jobs_id_seq")
        else:
            assert self.call_defer(values) == expected
        self.fetch(then)

    def call_defer(self, values: list[tuple[Any, ...]]) -> list[int]:
        jobs = ", ".join(["row(%s, %s, %s, %s, %s, '{}', clock_timestamp() + make_interval(secs => %s))"] * len(values))
        statement = f"select procrastinate_defer_jobs_v1(array[{jobs}]::procrastinate_job_to_defer_v1[])"
        return list(self.session.value(statement, *(value for row in values for value in row)))

    def timed(self, row: dict[str, Any]) -> dict[str, Any]:
        delay = row["delay"]
        columns = {name: value for name, value in row.items() if name != "delay"}
        return {**columns, "scheduled_at": None if delay is None else self.model.now + delay}

    # -------------------------------------------------------------------------------------------------------- workers

    @rule(
        what=st.sampled_from(["register", "beat", "beat_busy", "hold_lock", "hold_lock", "die", "unregister"]),
        pick=st.integers(0, 3),
    )
    def live_or_die(self, what: str, pick: int) -> None:
        """What happens to one of the workers."""
        getattr(self, what)(pick)

    def register(self, _pick: int = 0) -> None:
        parameters = {
            "name": "w",
            "host": "h",
            "pid": 1,
            "version": "1",
            "queues": None,
            "concurrency": 1,
            "told": None,
        }
        ((worker,),) = self.run(statements.REGISTER_WORKER, **parameters)
        assert worker == self.model.register()

    def unregister(self, pick: int) -> None:
        worker = self.some_worker(pick)
        self.session.connection.execute(statements.UNREGISTER_WORKER, {"worker_id": worker})
        self.let_go(worker)
        self.model.unregister(worker)

    def beat(self, pick: int, *, busy: bool = False) -> None:
        worker = self.some_worker(pick)
        found = self.run(
            statements.HEARTBEAT,
            worker_id=worker,
            busy=busy,
            memory=None,
            dead_after=DEAD_AFTER,
            silent_after=SILENT_AFTER,
        )
        predicted = self.model.beat(worker, busy=busy)
        assert [(rounded(silence), running) for silence, running, _ in found] == ([predicted] if predicted else [])

    def beat_busy(self, pick: int) -> None:
        self.beat(pick, busy=True)

    def hold_lock(self, pick: int) -> None:
        worker = self.some_worker(pick)
        found = self.run(statements.HOLD_LOCK, worker_id=worker)
        assert found == ([(True,)] if worker in self.model.workers else [])
        if found:
            self.model.workers[worker].locked = self.model.workers[worker].holds = True

    def die(self, pick: int) -> None:
        """The worker's connection is gone, and with it the lock."""
        worker = self.some_worker(pick)
        self.let_go(worker)
        if worker in self.model.workers:
            self.model.workers[worker].holds = False

    def let_go(self, worker: int) -> None:
        # As often as it was taken: a session may hold a lock many times.
        while self.session.value(
            "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() "
            "and (classid::bigint << 32 | objid::bigint) = queue_tasks_worker_lock_v1(%s)",
            worker,
        ):
            self.session.rows("select pg_advisory_unlock(queue_tasks_worker_lock_v1(%s))", worker)

    # -------------------------------------------------------------------------------------------------- fetch, finish

    @rule(then=st.lists(drawn.fetches, min_size=1, max_size=3))
    def fetch(self, then: list[dict[str, Any]]) -> None:
        for given in then:
            self.fetch_once(**given)

    def fetch_once(self, pick: int, queues: tuple[str, ...] | None, max_jobs: int) -> None:
        worker = self.some_worker(pick)
        if worker in self.model.workers:
            found = [Handle(worker, job.id, job.lease) for job in self.session.fetch(worker, queues, max_jobs)]
            assert found == self.model.fetch(worker, queues, max_jobs)
            self.handles += found
        else:
            with pytest.raises(psycopg.Error) as caught:
                self.session.fetch(worker, queues, max_jobs)
            assert caught.value.sqlstate == "QT002"
            self.register()

    @precondition(lambda self: self.handles)
    @rule(picks=drawn.picks, ends=st.lists(drawn.ends, min_size=4, max_size=4))
    def finish(self, picks: list[int], ends: list[End]) -> None:
        """What one worker believes it has, some of it long since lost."""
        handles = self.some_handles(picks)
        worker = handles[0].worker
        given = {Handle(worker, handle.job, handle.lease): end for handle, end in zip(handles, ends, strict=False)}
        count = len(given)
        for handle, end in given.items():
            self.runs[handle.job] += self.model.owns(handle) and end.kind not in {"snoozed", "released"}
        found = self.run(
            statements.FINISH_JOBS,
            worker_id=worker,
            ids=[handle.job for handle in given],
            leases=[handle.lease for handle in given],
            outcomes=[end.kind for end in given.values()],
            results=['"done"' if end.kind == "succeeded" else None for end in given.values()],
            errors=["{}" if end.kind in {"failed", "aborted", "retried"} else None for end in given.values()],
            started_ago=[None if end.kind == "released" else 0.0 for end in given.values()],
            ended_ago=[0.0] * count,
            waits=[float(end.wait) for end in given.values()],
            untils=[None] * count,
            keeps=[None if end.keep is None else float(end.keep) for end in given.values()],
            priorities=[end.priority for end in given.values()],
            queue_names=[end.queue for end in given.values()],
            locks=[end.lock for end in given.values()],
        )
        assert dict(found) == self.model.finish(given)

    @precondition(lambda self: self.handles)
    @rule(pick=drawn.recent, progress=st.integers(0, 9), start=st.booleans())
    def note(self, pick: int, progress: int, start: bool) -> None:
        (handle,) = self.some_handles([pick])
        if start:
            found = self.run(statements.NOTE_START, worker_id=handle.worker, id=handle.job, lease=handle.lease)
            owned = self.model.note_start(handle)
        else:
            found = self.run(
                statements.PROGRESS_JOBS,
                worker_id=handle.worker,
                ids=[handle.job],
                leases=[handle.lease],
                progress=[str(progress)],
            )
            owned = self.model.note_progress(handle, progress)
        assert [row[0] for row in found] == ([handle.job] if owned else [])

    # ------------------------------------------------------------------------------------------------------ operators

    @rule(
        verb=st.sampled_from(["cancel", "abort", "abort", "retry", "retry", "park"]),
        picks=drawn.picks,
        in_hand=st.booleans(),
        keep=drawn.keeps,
    )
    def operate(self, verb: str, picks: list[int], in_hand: bool, keep: float | None) -> None:
        """An operator's verb, on any jobs or on those that were fetched: left alone, it would seldom meet these."""
        ids = [handle.job for handle in self.some_handles(picks)] if in_hand and self.handles else self.some_jobs(picks)
        getattr(self, verb)(list(dict.fromkeys(ids)), keep)

    def cancel(self, ids: list[int], keep: float | None) -> None:
        found = self.run(statements.CANCEL_JOBS, ids=ids, keep=keep)
        assert {row[0] for row in found} == self.model.cancel(ids, keep)

    def abort(self, ids: list[int], keep: float | None) -> None:
        assert dict(self.run(statements.ABORT_JOBS, ids=ids, keep=keep)) == self.model.abort(ids, keep)

    def retry(self, ids: list[int], _keep: float | None) -> None:
        found = {row[0] for row in self.run(statements.RETRY_JOBS, ids=ids, wait=None, args=None, lock=None)}
        assert found == self.model.retry(ids)
        self.retried |= found

    def park(self, ids: list[int], _keep: float | None) -> None:
        self.session.rows(
            "update procrastinate_jobs set scheduled_at = queue_tasks_parked_until_v1() "
            "where id = any (%s) and status = 'todo'",
            ids,
        )
        for job in set(ids) & self.model.jobs.keys():
            if self.model.jobs[job].status == "todo":
                self.model.jobs[job].change(scheduled_at=PARKED)

    @rule(gate=drawn.gates, queue=st.sampled_from(drawn.QUEUES), then=drawn.then_fetches)
    def control(self, gate: tuple[str, float | None], queue: str, then: list[dict[str, Any]]) -> None:
        """Pause, resume or limit a queue."""
        what, value = gate
        if what == "pause":
            found = self.run(statements.PAUSE_QUEUE, name=queue, until=None, wait=value, by=None)
            self.model.paused[queue] = PARKED if value is None else self.model.now + value
        elif what == "resume":
            found = self.run(statements.RESUME_QUEUE, name=queue)
            assert bool(found) == self.model.is_paused(queue)
            self.model.paused.pop(queue, None)
        else:
            found = self.run(statements.LIMIT_QUEUE, name=queue, concurrency=value, by=None)
            self.model.limits[queue] = None if value is None else int(value)
        assert found in ([(queue,)], [])
        self.fetch(then)

    # ---------------------------------------------------------------------------------------------------- maintenance

    @rule(
        duty=st.sampled_from(["rescue", "rescue", "reclaim", "promote", "prune"]),
        silence=st.sampled_from([0, 1, 2, 3, 11]),
        pick=st.integers(0, 3),
        in_hand=drawn.picks,
        keep=drawn.keeps,
        max_jobs=st.sampled_from([1, 100]),
    )
    def tend(self, duty: str, silence: int, **given: Any) -> None:
        """One of the duties of maintenance, some time after."""
        self.advance(silence)
        getattr(self, duty)(**given)

    def advance(self, ticks: int) -> None:
        parameters = {"seconds": ticks * drawn.TICK}
        for statement in ("set session_replication_role = replica", *BACKDATE, "set session_replication_role = origin"):
            self.session.connection.execute(statement, parameters if "%" in statement else None)
        self.model.now += ticks * drawn.TICK

    def rescue(self, keep: float | None, max_jobs: int, **_: Any) -> None:
        dead = self.model.dead()
        found = self.run(
            statements.RESCUE_JOBS,
            dead_after=DEAD_AFTER,
            silent_after=SILENT_AFTER,
            max_crashes=MAX_CRASHES,
            keep=keep,
            max_jobs=max_jobs,
        )
        assert {row[0]: row[1] for row in found} == self.model.rescue(keep, max_jobs)
        for worker in dead - self.model.workers.keys():
            self.let_go(worker)

    def reclaim(self, pick: int, in_hand: list[int], keep: float | None, **_: Any) -> None:
        worker, known = self.some_worker(pick), self.some_jobs(in_hand)
        found = self.run(statements.RECLAIM_JOBS, worker_id=worker, in_hand=known, older_than=STRAY_AFTER, keep=keep)
        assert {row[0] for row in found} == self.model.reclaim(worker, known, keep)

    def promote(self, **_: Any) -> None:
        ((promoted, next_due_in, _, resumes_in, _),) = self.run(statements.PROMOTE_JOBS, max_jobs=100)
        assert (promoted, rounded(next_due_in), rounded(resumes_in)) == (*self.model.promote(), self.model.resumes_in())

    def prune(self, **_: Any) -> None:
        assert self.run(statements.PRUNE_JOBS, max_jobs=100) == [(self.model.prune(),)]

    # ----------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def the_rows_are_as_predicted(self) -> None:
        found = [
            (*row[:5], rounded(row[5]), *row[6:16], rounded(row[16]), *row[17:]) for row in self.session.rows(STATE)
        ]
        model, now = self.model, self.model.now
        assert found == [
            (
                *(row.id, row.queue, row.priority, row.lock, row.queueing_lock),
                None if row.scheduled_at is None else row.scheduled_at - now,
                *(row.status, row.worker, row.lease, row.attempts, row.crashes, row.started_lease, row.abort_requested),
                *(row.ephemeral, row.started, row.finished),
                None if row.expires_at is None else row.expires_at - now,
                *(row.result, row.errors, row.progress),
            )
            for _, row in sorted(model.jobs.items())
        ]
        workers = self.session.rows("select id, qt_locked from procrastinate_workers order by id")
        assert workers == [(number, worker.locked) for number, worker in sorted(model.workers.items())]

    @invariant()
    def the_history_is_as_predicted(self) -> None:
        found: dict[int, list[str]] = {}
        for job, event in self.session.rows("select job_id, type::text from procrastinate_events order by id"):
            found.setdefault(job, []).append(event)
        assert found == {row.id: row.events for row in self.model.jobs.values() if not row.ephemeral}

    @invariant()
    def the_promises_hold_whatever_the_model_says(self) -> None:
        rows = self.session.rows(
            "select id, status::text, qt_lease, attempts, lock, queueing_lock from procrastinate_jobs"
        )
        held = [lock for _, status, _, _, lock, _ in rows if status == "doing" and lock is not None]
        assert len(held) == len(set(held)), "two running jobs share a lock"
        queued = [lock for *_, lock in [row for row in rows if row[1] == "todo"] if lock is not None]
        assert len(queued) == len(set(queued)), "two waiting jobs share a queueing lock"
        for job, status, lease, attempts, _, _ in rows:
            assert lease >= self.leases[job], "a lease went back"
            assert attempts <= self.runs[job], "an attempt was spent by what never ran"
            if self.statuses.get(job) in FINISHED and status != self.statuses[job]:
                assert job in self.retried, "what was finished came back by itself"
            self.leases[job], self.statuses[job] = lease, status
        self.retried.clear()


def test_any_history_of_statements_leaves_what_the_model_predicts(open_session):
    examples = int(os.environ.get("QUEUE_TASKS_EXAMPLES", "0"))

    class Bound(Machine):
        session = open_session()

    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=examples or 80,
            stateful_step_count=50 if examples else 30,
            derandomize=not examples,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink] if examples else [Phase.generate],
            print_blob=bool(examples),
            suppress_health_check=list(HealthCheck),
        ),
    )
