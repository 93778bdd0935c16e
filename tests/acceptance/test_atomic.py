"""An atomic task's worker is killed at each point of the transaction: everything of it, or nothing."""

from __future__ import annotations

import contextlib
import json

from tests.acceptance.workers import Table, worker_process
from tests.waiting import wait_until

POINTS = ("in the body", "before the finish", "before the commit", "after the commit")


def test_a_worker_killed_at_any_point_leaves_one_effect(migrated_database: str) -> None:
    table = Table(migrated_database)
    ids = {}
    for number, point in enumerate(POINTS):
        args = json.dumps([point, point])
        statement = "select queue_tasks_enqueue_v1('tests.testapp.atomic.die_at', %s::jsonb, queue_name => %s) as id"
        ids[point] = table.all(statement, args, f"q{number}")[0]["id"]
    with contextlib.ExitStack() as stack:
        victims = [
            stack.enter_context(worker_process(migrated_database, "--queues", f"q{number}", ready=False))
            for number in range(len(POINTS))
        ]
        assert [victim.wait(60) for victim in victims] == [-9] * len(POINTS)
        # The one whose commit has happened is done; of the others there is no trace.
        assert table.job(ids["after the commit"])["status"] == "succeeded"
        assert [row["name"] for row in table.all("select name from auth_group")] == ["after the commit"]
        queues = ",".join(f"q{number}" for number in range(len(POINTS)))
        with worker_process(migrated_database, "--queues", queues):
            wait_until(lambda: all(table.job(job_id)["status"] == "succeeded" for job_id in ids.values()), 60)
    assert {row["name"] for row in table.all("select name from auth_group")} == set(POINTS)
    assert [table.job(job_id)["qt_result"] for job_id in ids.values()] == list(POINTS)
    assert {table.job(job_id)["attempts"] for job_id in ids.values()} == {1}, "a crash is not the job's failure"
    follow_ups = table.all("select count(*) as n from procrastinate_jobs where task_name = 'tests.testapp.tasks.add'")
    assert follow_ups == [{"n": len(POINTS)}]
    table.db.close()
