"""Diagnosis: whether the database is well, as far as the queue needs it, and what to do where it is not.

Reads statistics and catalogs only, on Django's connection; no job is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connections

from queue_tasks import schema
from queue_tasks.caller import rows
from queue_tasks.database_errors import migration
from queue_tasks.durations import in_words
from queue_tasks.statements import LIST_SNAPSHOTS, MEASURE_SERVER, MEASURE_TABLES
from queue_tasks.tasks import home_of_jobs

MAX_SNAPSHOTS = 5
MAX_NAMED = 5
"""Objects that one finding names."""

OLD, VERY_OLD = 300.0, 3600.0
"""Seconds for which a snapshot may be held before it is worth a word, and before it is grave."""

FILLING, FULL = 0.25, 0.5
"""The used parts of the queue of notifications that are too much, and grave."""

DEAD_PART, DEAD_ROWS = 0.2, 10_000
"""Dead rows for each living one, and as a number, from which vacuum does not keep up."""

BLOAT_PART, BLOAT_BYTES = 0.5, 100 * 2**20
"""The part of a table that is empty, and bytes of it, that are worth giving back."""

SESSIONS_PART = 0.9
"""Sessions for each that the server takes, from which the next ones may be refused."""

OLD_TRANSACTIONS = 1_000_000_000
"""Transactions since the oldest row was frozen: at about two billion the server takes no more."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Somebody who keeps dead rows from being cleared; the columns of sql/queries/list_snapshots.sql."""

    kind: str
    """session, prepared transaction, replication slot."""
    name: str
    pid: int | None
    state: str | None
    age: float | None
    """Seconds; None when nobody knows."""
    transactions: int
    """Begun since."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the queue; the columns of sql/queries/measure_tables.sql."""

    name: str
    live: int
    dead: int
    """Rows that no transaction sees any more and that still take room."""
    table_bytes: int
    index_bytes: int
    bloat_bytes: int | None
    """An estimate; None: the table was never analyzed."""
    vacuumed_at: datetime | None
    analyzed_at: datetime | None
    autovacuum: bool


@dataclass(frozen=True, slots=True)
class Server:
    """The server; the columns of sql/queries/measure_server.sql."""

    version: str
    autovacuum: bool
    sees_sessions: bool
    """Whether this role sees what the sessions of others do."""
    notify_usage: float
    """The used part, 0 to 1, of the queue of notifications."""
    in_recovery: bool
    sessions: int
    """Of this database."""
    max_sessions: int
    """Of the whole server."""
    oldest_transaction: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not well."""

    grave: bool
    text: str
    advice: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All of it."""

    server: Server
    snapshots: Sequence[Snapshot]
    tables: Sequence[Table]
    drift: Sequence[schema.SchemaObject]
    """Objects that are not as this release wants them."""
    findings: Sequence[Finding]
    """The gravest first; none when all is well."""


def diagnose(*, database: str | None = None) -> Diagnosis:
    """Look at a database of DATABASES; None: the one that jobs live in.

    SQL: sql/queries/measure_server.sql, sql/queries/list_snapshots.sql, sql/queries/measure_tables.sql,
    sql/queries/schema_*.sql
    """
    database = database or home_of_jobs()
    server = Server(*rows(database, MEASURE_SERVER, {})[0])
    snapshots = [Snapshot(*row) for row in rows(database, LIST_SNAPSHOTS, {"max_rows": MAX_SNAPSHOTS})]
    tables = [Table(*row) for row in rows(database, MEASURE_TABLES, {})]
    drift = [item for item in schema.status(connections[database]) if item.state is not schema.State.INSTALLED]
    found = [*_of_server(server), *_of_snapshots(snapshots), *_of_tables(tables), *_of_schema(drift, database)]
    return Diagnosis(server, snapshots, tables, drift, sorted(found, key=lambda finding: not finding.grave))


def _of_server(server: Server) -> Iterator[Finding]:
    used = server.notify_usage
    if used >= FILLING:
        yield Finding(
            used >= FULL,
            f"The server's queue of notifications is {100 * used:.0f}% full; when it is full, every enqueue fails.",
            "Some session listens and does not read. End those that have been idle in a transaction for long.",
        )
    if not server.autovacuum:
        yield Finding(
            grave=True,
            text="Autovacuum is off: dead rows are never cleared, and the queue grows slower by the hour.",
            advice="Set autovacuum = on in the server's configuration and reload it.",
        )
    if not server.sees_sessions:
        yield Finding(
            grave=False,
            text="This role does not see the sessions of others: who holds an old snapshot may not be shown.",
            advice="Grant it pg_read_all_stats.",
        )
    if server.sessions >= SESSIONS_PART * server.max_sessions:
        yield Finding(
            grave=True,
            text=f"{server.sessions} sessions are open here; the server takes {server.max_sessions} in all.",
            advice="Raise max_connections, or put a pooler between: see the documentation, poolers.",
        )
    if server.oldest_transaction >= OLD_TRANSACTIONS:
        yield Finding(
            grave=True,
            text=f"{server.oldest_transaction:,} transactions have begun since the oldest row was frozen.",
            advice="See why autovacuum does not freeze; at two billion the server takes no more writes.",
        )


def _of_snapshots(snapshots: Sequence[Snapshot]) -> Iterator[Finding]:
    for snapshot in snapshots:
        if snapshot.age is not None and snapshot.age >= OLD:
            who = f"{snapshot.kind} {snapshot.name}" + (f", pid {snapshot.pid}," if snapshot.pid else "")
            yield Finding(
                snapshot.age >= VERY_OLD,
                f"The {who} has held a snapshot for {in_words(snapshot.age)}: nothing that died since is cleared.",
                f"If it is not needed: select pg_terminate_backend({snapshot.pid})"
                if snapshot.pid
                else f"If it is not needed: rollback prepared '{snapshot.name}'",
            )
        elif snapshot.kind == "replication slot" and snapshot.state == "inactive":
            yield Finding(
                grave=False,
                text=f"The replication slot {snapshot.name} is used by nobody and keeps dead rows of "
                f"{snapshot.transactions:,} transactions.",
                advice=f"If it is not needed: select pg_drop_replication_slot('{snapshot.name}')",
            )


def _of_tables(tables: Sequence[Table]) -> Iterator[Finding]:
    for table in tables:
        if not table.autovacuum:
            yield Finding(
                grave=True,
                text=f"Autovacuum is off for the table {table.name}.",
                advice=f"alter table {table.name} reset (autovacuum_enabled)",
            )
        if table.dead >= max(DEAD_ROWS, DEAD_PART * table.live):
            yield Finding(
                table.dead > 10 * (table.live + DEAD_ROWS),
                f"{table.name} has {table.dead:,} dead rows beside {table.live:,} living ones.",
                "If no old snapshot is to blame, autovacuum is too slow: raise autovacuum_vacuum_cost_limit, "
                f"or run: vacuum {table.name}",
            )
        bloat = table.bloat_bytes or 0
        if bloat >= max(BLOAT_BYTES, BLOAT_PART * table.table_bytes):
            megabytes = f"{bloat / 2**20:,.0f} MB of the {table.table_bytes / 2**20:,.0f} MB"
            yield Finding(
                grave=False,
                text=f"About {megabytes} of {table.name} are empty.",
                advice="New rows use that room. To give it back: pg_repack, or, while nobody works, "
                f"vacuum full {table.name}",
            )


def _of_schema(drift: Sequence[schema.SchemaObject], database: str) -> Iterator[Finding]:
    wrong = [str(item) for item in drift if item.state in schema.WRONG]
    if wrong:
        what = "is not as this release wants it" if len(wrong) == 1 else "are not as this release wants them"
        more = " …" if len(wrong) > MAX_NAMED else ""
        yield Finding(
            grave=True,
            text=f"{len(wrong)} of our objects {what}: {'; '.join(wrong[:MAX_NAMED])}{more}.",
            advice=f"Run: {migration(database)} (it repairs them).",
        )
