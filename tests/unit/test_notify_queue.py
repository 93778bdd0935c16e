"""The watch over the server's queue of notifications: said once, and again when it was better meanwhile."""

import logging

import pytest

from queue_tasks import events
from queue_tasks.worker.notify_queue import NotifyQueueWatch


def test_a_queue_that_fills_is_said_once_each_time_it_does(caplog: pytest.LogCaptureFixture) -> None:
    told: list[events.NotifyQueueFilling] = []
    unsubscribe = events.subscribe(events.NotifyQueueFilling, told.append)
    watch = NotifyQueueWatch()
    with caplog.at_level(logging.WARNING, "queue_tasks"):
        for used in (0.0, 0.24, 0.25, 0.9, 0.3, 0.1, 0.5):
            watch.note(7, used)
    unsubscribe()
    assert told == [events.NotifyQueueFilling(7, 0.25), events.NotifyQueueFilling(7, 0.5)]
    assert ["25% full" in record.getMessage() for record in caplog.records] == [True, False]
