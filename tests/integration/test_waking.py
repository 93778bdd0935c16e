"""Two workers and many writers, none of whom waits for a poll: a wake-up that were lost would leave a job behind."""

from __future__ import annotations

import random
import threading
from contextlib import ExitStack

import psycopg
import pytest

from queue_tasks.worker.worker import Worker
from tests.waiting import hold, wait_until
from tests.workers import running_worker

NEVER = 600  # seconds: the poll that is not to help
WRITERS = 8
ENQUEUE = "select queue_tasks_enqueue_v1('tests.testapp.tasks.noop')"
LEVELS = (*[psycopg.IsolationLevel.READ_COMMITTED] * 4, psycopg.IsolationLevel.REPEATABLE_READ)


def write(dsn: str, seed: int) -> None:
    """Bursts and lone jobs, in transactions that are committed at once or after a while, or rolled back."""
    choose = random.Random(seed)  # noqa: S311 - a plan
    with psycopg.connect(dsn, autocommit=True, application_name="tests.writer") as connection:
        for _ in range(6):
            for _ in range(choose.randrange(30)):
                connection.execute(ENQUEUE)
            # Long enough for the workers to lie down, now and then.
            hold(choose.choice([0, 0.05, 0.2, 0.4]))
            connection.isolation_level = choose.choice(LEVELS)
            with connection.transaction(force_rollback=choose.random() < 0.1):
                connection.execute("select count(*) from queue_tasks_listeners")
                hold(choose.choice([0, 0.1, 0.3]))
                connection.execute(ENQUEUE)
                hold(choose.choice([0, 0.05, 0.2, 0.5]))
            connection.isolation_level = None


@pytest.mark.parametrize("seed", range(3))
def test_no_wake_up_is_lost_whoever_commits_when(transactional_db: None, dsn: str, seed: int) -> None:
    with ExitStack() as stack:
        workers: list[Worker] = [stack.enter_context(running_worker(poll_interval=NEVER)) for _ in range(2)]
        db = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        writers = [threading.Thread(target=write, args=(dsn, 100 * seed + number)) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
        left = "select count(*) from procrastinate_jobs where status in ('todo', 'doing')"
        wait_until(lambda: db.execute(left).fetchone() == (0,), 60, "every job ended")
        wait_until(lambda: all(worker.crew.waking.asleep for worker in workers), 60, "both sleep in the end")
        assert all(worker.crew.waking._lay_down_at for worker in workers)
        assert not db.execute("select from procrastinate_jobs where status <> 'succeeded'").fetchall()
