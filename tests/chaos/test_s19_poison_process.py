"""S19 poison-process: jobs that kill the process they run in, by signals, exits and for want of memory."""

from __future__ import annotations

from tests.chaos.accounting import Acked
from tests.chaos.harness import Chaos

POISON = "tests.chaos.endless.poison"
WAYS = ("segfault", "memory", "exit code 3", "kill")
DIED = {"queue_tasks.exceptions.ProcessDied", "queue_tasks.exceptions.MemoryLimitExceeded"}


def test_a_job_that_kills_its_process_fails_alone_at_its_third_attempt_and_says_of_what(chaos: Chaos) -> None:
    good = chaos.size(quick=15, full=980)
    pills = chaos.size(quick=2, full=20)
    ways: dict[int, str] = {}
    with chaos.fleet(concurrency=2) as fleet:
        for mode in ("process", "sync", "async"):
            chaos.enqueue(good // 3, mode, seconds=(0.01, 0.05))
        for number in range(pills):
            key, how = chaos.key(), WAYS[number % len(WAYS)]
            (row,) = chaos.rows(
                "select queue_tasks_enqueue_v1(%s, to_jsonb(%s::text[]), priority => 10) as id", POISON, [key, how]
            )
            chaos.acked.append(Acked(key, row["id"]))
            ways[row["id"]] = how
        chaos.until_done()
    told = {
        row["id"]: (row["status"], row["errors"])
        for row in chaos.rows(
            "select id, status::text, array(select jsonb_path_query(qt_errors, '$[*].exception') #>> '{}') as errors "
            "from procrastinate_jobs where id = any (%s)",
            list(ways),
        )
    }
    wrong = {
        ways[job]: (status, errors)
        for job, (status, errors) in told.items()
        if status != "failed" or len(errors) != 3 or not set(errors) <= DIED
    }
    charged = chaos.rows(
        "select id from procrastinate_jobs where (attempts <> 1 or status <> 'succeeded' or qt_crashes > 0) "
        "and id <> all (%s)",
        list(ways),
    )
    chaos.report(
        fleet,
        most_duplicates=pills,
        criteria={
            f"each pill failed at its third death, and says of what: {wrong}": not wrong,
            f"nobody else was charged anything: {charged}": not charged,
        },
        figures={"pills": len(ways)},
    )
