"""The worker's side of the database: every statement it sends, one method each, in a store for each of its duties.

Asynchronous, on connections it makes or is given. Every method raises psycopg's errors; the caller decides whether to
try again.
"""

from __future__ import annotations

from queue_tasks.conf import Options
from queue_tasks.connections import WorkerConnection
from queue_tasks.store.client import Client, Connect
from queue_tasks.store.figures import FigureStore
from queue_tasks.store.jobs import JobStore, Written
from queue_tasks.store.maintenance import MaintenanceStore, Promotion, Rescued
from queue_tasks.store.schedules import DueSchedule, ScheduleStore, schedule_as_json
from queue_tasks.store.workers import WorkerStore

__all__ = [
    "DueSchedule",
    "FigureStore",
    "JobStore",
    "MaintenanceStore",
    "Promotion",
    "Rescued",
    "ScheduleStore",
    "Store",
    "WorkerStore",
    "Written",
    "schedule_as_json",
]


class Store:
    """All of them for one worker. A role is handed the one it uses."""

    def __init__(self, options: Options, connect: Connect = WorkerConnection) -> None:
        self._client = client = Client(options, connect)
        self.workers = WorkerStore(client)
        self.jobs = JobStore(client)
        self.maintenance = MaintenanceStore(client)
        self.schedules = ScheduleStore(client)
        self.figures = FigureStore(client)

    @property
    def worker_id(self) -> int:
        """The worker's number, once it is registered; 0 before."""
        return self._client.worker_id

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
