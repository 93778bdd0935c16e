"""ProgressWriter: writes the newest progress of running jobs, a few times a second, in one statement."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

from queue_tasks.database_errors import StatementRefused, is_of_the_value
from queue_tasks.jobs import FetchedJob
from queue_tasks.store import JobStore
from queue_tasks.worker.service import Service

EVERY = 0.25
"""Seconds between writes."""


class ProgressWriter(Service):
    """Takes notes from any thread; only the newest of each job is written."""

    name = "progress"

    def __init__(self, store: JobStore) -> None:
        super().__init__()
        self._store = store
        # Read and written by any thread, under the lock.
        self._notes: dict[int, tuple[FetchedJob, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._some = asyncio.Event()
        self._loop_of_notes = asyncio.get_running_loop()

    def note(self, job: FetchedJob, progress: dict[str, Any]) -> None:
        """Take the newest progress of a job; from any thread."""
        with self._lock:
            first = not self._notes
            self._notes[job.id] = (job, progress)
        if first:
            # The loop is closed when a body outlives its worker: nobody is told any more.
            with contextlib.suppress(RuntimeError):
                self._loop_of_notes.call_soon_threadsafe(self._some.set)

    def forget(self, job_id: int) -> None:
        """Drop what is not written yet: the job has ended."""
        if self._notes:
            with self._lock:
                self._notes.pop(job_id, None)

    async def run(self) -> None:
        """Write what was noted, then rest a little."""
        while True:
            await self._some.wait()
            self._some.clear()
            with self._lock:
                notes, self._notes = list(self._notes.values()), {}
            if notes:
                await self._write(notes)
            await asyncio.sleep(EVERY)

    async def _write(self, notes: list[tuple[FetchedJob, dict[str, Any]]]) -> None:
        try:
            await self._store.progress_jobs(notes)
        except StatementRefused as exc:
            if not is_of_the_value(exc):
                raise
            # The database's encoding lacks a letter of some message.
            await self._store.progress_jobs(
                [
                    (job, {**note, "message": note["message"].encode("ascii", "backslashreplace").decode()})
                    for job, note in notes
                ]
            )
