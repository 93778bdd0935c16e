"""S08 lost-commit: the server commits, and the answer is lost."""

from __future__ import annotations

import psycopg
import pytest

from tests.chaos.accounting import Acked
from tests.chaos.harness import TASKS, Chaos, insert


def is_commit(statement: bytes) -> bool:
    """Of a transaction of Django's; the worker's own statements commit by themselves."""
    return statement.strip().lower() == b"commit"


def test_a_commit_whose_answer_is_lost_is_known_for_what_it_is(chaos: Chaos) -> None:
    if chaos.peer:
        pytest.skip("the stock worker has no atomic tasks")
    losses = chaos.size(quick=12, full=200)
    proxy = chaos.proxy()

    # Who enqueues is told by an error of the driver that nobody knows whether it was committed. Here it was.
    enqueued = proxy.drop_reply_after(is_commit)
    key = chaos.key()
    connection = psycopg.connect(proxy.url, application_name="chaos enqueue")
    (job_id,) = insert(connection, TASKS["atomic"], [(key, 0.0, None)], 0, None)
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    connection.close()
    assert enqueued.happened.wait(30)
    chaos.acked.append(Acked(key, job_id, atomic=True))

    # Every other commit of an atomic task, and some finishes of others.
    lost = [proxy.drop_reply_after(is_commit, nth=number) for number in range(1, 2 * losses, 2)]
    lost += [
        proxy.drop_reply_after(b"queue_tasks: finish_jobs", nth=number, only="queue_tasks finish")
        for number in range(2, losses, 4)
    ]
    with chaos.fleet(url=proxy.url, options={"poll_interval": 1}) as fleet:
        chaos.enqueue(2 * losses, "atomic")
        chaos.enqueue(2 * losses, "sync", seconds=0.02)
        chaos.until_done()
        fleet.stop()
    errors = chaos.rows("select count(*) as n from procrastinate_jobs where qt_errors is not null")[0]["n"]
    chaos.report(
        fleet,
        most_duplicates=0,
        figures={"answers lost": sum(loss.happened.is_set() for loss in lost)},
        criteria={
            "every commit meant lost its answer": all(loss.happened.is_set() for loss in lost[:losses]),
            "some finish lost its answer": any(loss.happened.is_set() for loss in lost[losses:]),
            "no attempt is told as failed": errors == 0,
            "no job is told as lost": "no longer ours" not in fleet.output,
        },
    )
