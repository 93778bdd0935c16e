"""Settings for Django's own tests/tasks."""

from tests.settings import *  # noqa: F403

TASKS = {"default": {"BACKEND": "tests.conformance.backends.EnqueueOnly", "QUEUES": []}}
