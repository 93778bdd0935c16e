"""S07 ack-adversary: the database refuses the finish of some jobs again and again, each time with another reason."""

from __future__ import annotations

import pytest
from psycopg import sql

from tests.chaos.harness import Chaos

REASONS = {"40P01": "deadlock", "40001": "serialization", "57014": "cancelled", "53100": "disk full"}
REFUSE = """
    create function chaos_refuse() returns trigger language plpgsql as $body$
    begin
        -- A sequence is not undone with the transaction that used it: it counts what was refused.
        if old.status = 'doing' and new.status <> 'doing' and to_regclass('chaos_refused_' || new.id) is not null
            and nextval('chaos_refused_' || new.id) <= current_setting('chaos.times')::int then
            raise exception 'refused on purpose' using errcode = current_setting('chaos.reason');
        end if;
        return new;
    end
    $body$;
    create trigger chaos_refuse before update on procrastinate_jobs for each row execute function chaos_refuse();
"""


@pytest.mark.peer
@pytest.mark.parametrize("reason", REASONS)
def test_a_finish_that_is_refused_is_written_in_the_end_and_no_job_runs_twice(chaos: Chaos, reason: str) -> None:
    count, times = chaos.size(quick=(60, 3), full=(2000, 10))
    jobs = chaos.enqueue(count, "async", seconds=0.01)
    refused = [job.job_id for job in jobs][chaos.seed % 20 :: 20]
    database = sql.Identifier(chaos.db.info.dbname)
    for setting, value in (("chaos.times", str(times)), ("chaos.reason", reason)):
        chaos.db.execute(sql.SQL("alter database {} set {} = {}").format(database, sql.SQL(setting), value))
    for job_id in refused:
        chaos.db.execute(sql.SQL("create sequence {}").format(counter(job_id)))
    chaos.db.execute(REFUSE)
    with chaos.fleet(concurrency=4) as fleet:
        # A stock worker never tries again.
        chaos.until_done(timeout=60 if chaos.peer else 300)
        counted = [chaos.rows(sql.SQL("select last_value as n from {}").format(counter(job))) for job in refused]
        tries = [rows[0]["n"] for rows in counted]
    chaos.report(
        fleet,
        variant=f"{reason} {REASONS[reason]}",
        most_duplicates=0,
        figures={"refused": len(refused), "tries": max(tries)},
        criteria={"each was tried until it was taken": min(tries) > times},
    )


def counter(job_id: int) -> sql.Identifier:
    """The sequence that counts how often a job's finish was tried."""
    return sql.Identifier(f"chaos_refused_{job_id}")
