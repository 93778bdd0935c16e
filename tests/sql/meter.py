"""What one statement reads of procrastinate_jobs."""

from tests.sql.session import Session
from tests.waiting import wait_until

TABLE = "procrastinate_jobs"


class Meter:
    """What one statement reads, by Postgres's own counters."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def wait_for_others(self) -> None:
        """Until the transactions that run now have ended, those of other test processes on this server among them.

        As long as one runs, an index scan goes on visiting rows that are gone.
        """
        gone = self.session.value("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        oldest = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        wait_until(lambda: self.session.value(oldest) >= gone, 120, "the transactions that ran meanwhile have ended")

    def read(self) -> dict[str, int]:
        self.session.rows("select pg_stat_force_next_flush()")
        found = dict(
            self.session.rows(
                "select indexrelname::text, idx_blks_hit + idx_blks_read "
                "from pg_statio_user_indexes where relname = %s "
                "union all select 'heap', heap_blks_hit + heap_blks_read from pg_statio_user_tables where relname = %s "
                "union all select 'seq_scan', seq_scan from pg_stat_user_tables where relname = %s",
                TABLE,
                TABLE,
                TABLE,
            )
        )
        return {name: int(value) for name, value in found.items()}

    def measure(self, statement: str, *parameters: object) -> tuple[list[tuple[object, ...]], dict[str, int]]:
        before = self.read()
        rows = self.session.rows(statement, *parameters)
        after = self.read()
        return rows, {name: after[name] - before[name] for name in after if after[name] != before[name]}
