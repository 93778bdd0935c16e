"""Every error the library raises, each owning its text: what was found, what was expected, where, what to do.

QueueTasksError
├── ArgumentsNotStorable          (also TypeError)   an argument is of a type that JSON does not have
├── ArgumentsOutOfRange           (also ValueError)  an argument's value would be changed or refused on its way
├── ArgumentsDoNotFit             (also TypeError)   a job's arguments are not those its function takes now
├── OptionsInvalid                                   TASKS[...]["OPTIONS"] has an unknown or wrong option
├── SchemaOutdated                                   the database lacks what this release of the code needs
├── TaskNotFound                                     a job names a task that cannot be imported
├── JobNotFound                                      a job row does not exist
├── ScheduleInvalid               (also ValueError)  a schedule's cron line, time zone or another option is wrong
├── ScheduleNotFound                                 no schedule has this name
├── ControlInvalid                (also ValueError)  a queue's name, the end of its pause or its limit is wrong
├── WorkerNotRegistered                              the worker was taken for dead and removed
├── TaskTimeout                   (also TimeoutError) a task ran longer than its timeout
├── AtomicNotCommitted                               an atomic task was not committed, for no fault of its body
├── AtomicBroken                                     an atomic task's body went on after its transaction was broken
├── AtomicEnded                                      an atomic task's body ended its transaction by itself
├── OutsideAtomic                                    an atomic task's body would change another database
├── MemoryLimitExceeded           (also MemoryError) a task in a process took more memory than it may
├── ProcessDied                                      the process that a task ran in ended under it
├── RaisedInProcess                                  an exception that was raised in a process, as text
├── WorkerCrashed                                    a job's worker died again and again; found in its errors
├── JobAborted                                       a running job was told to stop
├── JobCancelled                                     a job was cancelled before it ran; found in its errors
├── WaitTimeout                   (also TimeoutError) a result did not come in time
├── DrainEndless                                     drain(), in a test, came to no end
└── Retry, Snooze, Discard                           raised by a task to say how its attempt ends
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import datetime, timedelta

LONGEST_WAIT = 1e9
"""Seconds, about 31 years: far beyond, a time has more digits than Python can read back."""

LAST_YEAR = 9000
"""Jobs are not scheduled for it or later: that is where parked jobs are."""


class QueueTasksError(Exception):
    """Root of all errors of this library."""


class ArgumentsNotStorable(QueueTasksError, TypeError):
    """An argument of a task is of a type that JSON does not have. Raised by enqueue before any SQL."""

    def __init__(self, task: str, where: str, found: str, remedy: str) -> None:
        super().__init__(f"{task}: {where}: Unsupported type: {found}, which is not JSON. {remedy}")


class ArgumentsOutOfRange(QueueTasksError, ValueError):
    """The value of a task's argument would be changed or refused on its way. Raised by enqueue before any SQL."""

    def __init__(self, task: str, where: str, found: str, remedy: str) -> None:
        super().__init__(f"{task}: {where} {found}. {remedy}")


class ArgumentsDoNotFit(QueueTasksError, TypeError):
    """A job's arguments are not those its function takes now: it was enqueued by another release."""

    def __init__(self, job_id: int, task: str, given: str, expected: str, reason: str) -> None:
        super().__init__(
            f"Job {job_id} gives {task} {given}, and the function takes {expected}: {reason}. Keep what jobs that wait "
            "were enqueued with: give a new parameter a default, remove one only when its jobs are done."
        )


class OptionsInvalid(QueueTasksError):
    """TASKS[alias]["OPTIONS"] has an unknown or wrong option; `problems` has one sentence for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__(" ".join(self.problems))


class SchemaOutdated(QueueTasksError):
    """The database lacks objects that this release of the code needs: it was not migrated, or not since an upgrade."""

    def __init__(self, database: str, found: str, remedy: str) -> None:
        super().__init__(f"The database {database!r} lacks objects of queue_tasks ({found}). Run: {remedy}")


class TaskNotFound(QueueTasksError):
    """A job names a task that cannot be imported."""

    def __init__(self, name: str, reason: str, known: Iterable[str] = ()) -> None:
        hint = _did_you_mean(name, known)
        super().__init__(
            f'Task "{name}" cannot be imported: {reason}. {hint}'
            "If it was renamed, keep the old name until its jobs are done."
        )


class JobNotFound(QueueTasksError):
    """No job row has this id: it never existed, was deleted on success, or its time to be kept is over."""

    def __init__(self, job_id: object) -> None:
        super().__init__(f"Job {job_id} does not exist: it never did, or it was deleted after it had finished.")


class ScheduleInvalid(QueueTasksError, ValueError):
    """A cron line, a time zone or another option of a schedule is wrong; says what was found and what was expected."""


class ScheduleNotFound(QueueTasksError):
    """No schedule has this name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        hint = _did_you_mean(name, known)
        super().__init__(f'There is no schedule "{name}". {hint}To see them all: manage.py queue schedules')


class ControlInvalid(QueueTasksError, ValueError):
    """A queue's name, the end of its pause or its limit is wrong; says what was found and what was expected."""


class WorkerNotRegistered(QueueTasksError):
    """The worker's row is gone: it was taken for dead. It registers anew and goes on."""


class TaskTimeout(QueueTasksError, TimeoutError):
    """A task ran longer than its timeout."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(f"Task {name} ran longer than its timeout of {seconds:g} s and was stopped.")


class AtomicNotCommitted(QueueTasksError):
    """An atomic task was not committed: a lost connection, a conflict. Nothing of it stays, and it is tried again."""

    def __init__(self, task: str, reason: str) -> None:
        super().__init__(
            f"Task {task} is atomic, and its transaction was not committed ({reason}): nothing of this attempt stays. "
            "It is tried again, also without a retry policy, a few times."
        )


class AtomicBroken(QueueTasksError):
    """An atomic task's body caught a database error and went on: Postgres commits nothing of such a transaction."""

    def __init__(self, task: str) -> None:
        super().__init__(
            f"Task {task} is atomic, and caught an error that left its transaction broken, or closed its connection: "
            "nothing of this attempt stays. Wrap what may fail in a transaction.atomic() of its own; catch outside it."
        )


class AtomicEnded(QueueTasksError):
    """An atomic task's body ended its transaction by itself, so its effects and its end are no longer one. No retry."""

    def __init__(self, task: str) -> None:
        super().__init__(
            f"Task {task} is atomic, and ended its transaction by itself (a COMMIT or ROLLBACK sent as SQL): what it "
            "wrote before a COMMIT stays, what it wrote since does not, and it is not tried again. "
            "Take the statement out, or atomic=True away."
        )


class OutsideAtomic(QueueTasksError):
    """An atomic task's body would change another database, where it could not be undone with the rest."""

    def __init__(self, task: str, alias: str, database: str, statement: str) -> None:
        super().__init__(
            f'Task {task} is atomic in database "{database}", and would run {" ".join(statement.split())[:80]!r} '
            f'in database "{alias}", outside of its transaction. Only SELECT may be run there. Do it in a task of its '
            "own, enqueued by this one, or take atomic=True away."
        )


class MemoryLimitExceeded(QueueTasksError, MemoryError):
    """A task in a process of its own took more memory than its `memory_limit`."""

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(f"Task {name} took more memory than its limit of {limit:,} bytes and was stopped.")


class ProcessDied(QueueTasksError):
    """The process that a task ran in ended under it: by a signal, out of memory, or by its own doing."""

    def __init__(self, how: str) -> None:
        super().__init__(f"The task's process {how}. The worker and its other jobs go on.")


class RaisedInProcess(QueueTasksError):
    """An exception that a task raised in a process of its own, as text: what events and receivers are shown.

    The job's errors have the exception itself: its path, its message, its traceback.
    """

    def __init__(self, path: str, message: str, trace: str, place: str = "") -> None:
        self.path = path
        self.message = message
        self.trace = trace
        self.place = place
        super().__init__(f"{path}: {message}")


class WorkerCrashed(QueueTasksError):
    """A job's worker died again and again while it ran. Never raised: it is the error such a job's result shows."""


class JobAborted(QueueTasksError):
    """A running job was told to stop. A task may raise it itself when `context.should_abort()` is true."""


class JobCancelled(QueueTasksError):
    """A job was cancelled before it ran. Never raised: it is the error a cancelled job's result shows."""


class WaitTimeout(QueueTasksError, TimeoutError):
    """A job did not finish within the time `wait` was given. The job goes on."""

    def __init__(self, job_id: str, timeout: float, status: str) -> None:
        super().__init__(f"Job {job_id} did not finish within {timeout:g} s; it is {status}. It goes on: wait again.")


class DrainEndless(QueueTasksError):
    """`queue_tasks.testing.drain` has run as many attempts as it may, and there are still jobs to run."""

    def __init__(self, max_runs: int, next_job: object, task: str, runs: int) -> None:
        super().__init__(
            f"drain() has run {max_runs} attempts and is not done: job {next_job} of {task} is next; {runs} of those "
            "attempts were of this task. Does it retry, snooze or enqueue itself for ever? Run single jobs by "
            "run_job(result), or let it do more by drain(max_runs=...)."
        )


class Retry(QueueTasksError):
    """Raised by a task: this attempt failed, try again `after` seconds or a timedelta (default: the task's own wait).

    Counts as an attempt; when the task's retry policy has none left, the job fails. A task without a policy may ask for
    as many as it likes.
    """

    def __init__(self, after: float | timedelta | None = None) -> None:
        self.after = _seconds(after)
        super().__init__("asked to be tried again" + ("" if after is None else f" after {self.after:g} s"))


class Snooze(QueueTasksError):
    """Raised by a task: not now, come back `after` (seconds or a timedelta) or `until` (an aware datetime).

    No attempt is spent.
    """

    def __init__(self, after: float | timedelta | None = None, until: datetime | None = None) -> None:
        if (after is None) == (until is None):
            raise TypeError("Snooze takes either after= or until=, e.g. Snooze(after=60).")
        if until is not None and until.utcoffset() is None:
            raise ValueError(
                f"Snooze(until={until!r}) is a naive time; give an aware one, such as datetime.now(UTC) + ..."
            )
        if until is not None and until.year >= LAST_YEAR:
            raise ValueError(f"Snooze(until={until!r}): give a time before the year {LAST_YEAR}.")
        self.after = _seconds(after)
        self.until = until
        super().__init__(f"snoozed until {until}" if until else f"snoozed for {self.after:g} s")


class Discard(QueueTasksError):
    """Raised by a task: this job is of no use any more; it fails at once, without a retry, for the given reason."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)


def _seconds(value: float | timedelta | None) -> float:
    if value is None:
        return -1.0
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not 0 <= seconds <= LONGEST_WAIT:
        raise ValueError(f"after is {value!r}; give 0 or more seconds, or a timedelta, of less than 31 years.")
    return seconds


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    """The name that comes next: one that ends alike, as a function moved to another module, or is written alike."""
    names = list(known)
    last = name.rpartition(".")[2]
    near = [other for other in names if other.rpartition(".")[2] == last] or difflib.get_close_matches(name, names, n=1)
    return f'Did you mean "{near[0]}"? ' if near else ""
