"""S15 disk-full: the queue's tables, and in full size the write-ahead log, are on a file system that fills up."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from site_app.embedded_postgres.accounts import account_for
from tests.chaos.harness import FULL, Chaos
from tests.waiting import hold, wait_until

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="a small file system is mounted by root only"
)

MIB = 2**20
MOST_TRIES = 2.0
"""Refused statements a second, of each worker."""

SETTLING = 1.5
"""Seconds until the workers' waits between tries have grown."""


class SmallDisk:
    """A file system in memory that can be filled up to its last byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave nothing."""
        with self._filler.open("ab", buffering=0) as file:
            chunk = MIB
            while chunk:
                try:
                    file.write(b"\0" * chunk)
                except OSError:
                    chunk //= 2

    def free(self) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(chaos: Chaos, name: str, size: int) -> Iterator[SmallDisk]:
    """Mount one that belongs to the account the scenario's server will run as. size: MiB."""
    # pytest's own folders are closed to the server's account.
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{name}-"))
    account = account_for(chaos.folder / "pg")
    owner = f",uid={account.uid},gid={account.gid}" if account else ""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=700{owner}", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def enqueue_until_refused(chaos: Chaos) -> psycopg.Error:
    """Enqueue until there is no room, a hundred to a transaction; what the database said."""
    for _ in range(2000):
        try:
            chaos.enqueue(100, "sync")
        except psycopg.Error as exc:
            return exc
    pytest.fail("the disk did not fill")


def refusals(log: Path) -> int:
    """Statements of workers that the server refused for want of room."""
    lines = log.read_text(errors="replace").splitlines()
    return sum("ERROR" in line and "No space left" in line and "queue_tasks" in line for line in lines)


def test_a_full_disk_is_a_clean_error_to_enqueuers_and_a_pause_to_workers(chaos: Chaos) -> None:
    # The mount goes last: after the server that is on it.
    disk = chaos.enter(small_disk(chaos, "disk", chaos.size(quick=16, full=48)))
    server = chaos.own_server(log_line_prefix="%t [%p] %a ")
    chaos.db.execute(f"create tablespace small location '{disk.folder}'")
    for table in ("procrastinate_jobs", "procrastinate_events"):
        chaos.db.execute(f"alter table {table} set tablespace small")
        for row in chaos.rows("select indexname from pg_indexes where tablename = %s", table):
            chaos.db.execute(f"alter index {row['indexname']} set tablespace small")
    # In the quick form each loop's first, quick tries are a large part of all.
    seconds, most = chaos.size(quick=(2.5, 3 * MOST_TRIES), full=(20.0, MOST_TRIES))
    with chaos.fleet(concurrency=4) as fleet:
        chaos.enqueue(chaos.size(quick=50, full=1000), "sync", seconds=0.02)
        chaos.until_ended(10)
        disk.fill()
        refused = enqueue_until_refused(chaos)
        hold(SETTLING)
        before, begun = refusals(server.log), time.monotonic()
        hold(seconds)
        tries = (refusals(server.log) - before) / (time.monotonic() - begun) / len(fleet.living)
        disk.free()
        chaos.clear()
        chaos.enqueue(20, "sync")
        chaos.until_done(timeout=600)
    counts = chaos.report(
        fleet,
        most_duplicates=chaos.size(quick=8, full=64),
        criteria={
            f"the enqueuer is told: {refused!r}": isinstance(refused, psycopg.errors.DiskFull),
            f"at most {most} tries a second: {tries:.1f}": tries <= most,
        },
        figures={"tries/s": tries},
        variant="tables",
    )
    assert counts.trec
    assert counts.trec[0] <= 10 + chaos.slack


@pytest.mark.skipif(not FULL, reason="in full size only: the server crashes, and recovers")
def test_a_full_write_ahead_log_ends_the_server_and_no_worker(chaos: Chaos) -> None:
    disk = chaos.enter(small_disk(chaos, "wal", 160))
    server = chaos.own_server(max_wal_size="64MB", min_wal_size="32MB", fsync="on", full_page_writes="on")
    server.halt("fast")
    log = disk.folder / "pg_wal"
    shutil.move(server.data / "pg_wal", log)
    (server.data / "pg_wal").symlink_to(log)
    subprocess.run(["chown", "-R", "--reference", str(server.data), str(log)], check=True)
    server.resume()
    with chaos.fleet(concurrency=4) as fleet:
        chaos.enqueue(3000, "sync", seconds=0.02)
        chaos.until_ended(100)
        disk.fill()
        enqueue_until_refused(chaos)
        wait_until(lambda: not server.is_running(), 120, "the server gave up")
        disk.free()
        server.resume()
        chaos.clear()
        chaos.enqueue(100, "sync")
        chaos.until_done(timeout=600)
    counts = chaos.report(fleet, variant="write-ahead log")
    assert counts.trec
    assert counts.trec[0] <= 10 + chaos.slack
