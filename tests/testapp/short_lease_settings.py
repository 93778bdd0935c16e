"""The tests' settings with a worker that is taken for dead soon, so that a test need not wait long for that."""

from tests.settings import *  # noqa: F403 - the same project

TASKS = {
    "default": {
        "BACKEND": "queue_tasks.backend.PostgresBackend",
        "QUEUES": [],
        "OPTIONS": {"heartbeat": 0.5, "dead_after": 8},
    }
}
