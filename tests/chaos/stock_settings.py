"""The scenarios' settings of procrastinate's own: its tables alone, with the same lease of 5 s and beat of 1 s."""

import django

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [app for app in _APPS if app not in ("queue_tasks", "django_tasks", "tests.testapp")]
PROCRASTINATE_IMPORT_PATHS = ["tests.chaos.stock_tasks"]
PROCRASTINATE_WORKER_DEFAULTS = {"update_heartbeat_interval": 1.0, "stalled_worker_timeout": 5.0}
# Only so that tasks can be declared, whose bodies the stock tasks borrow.
_FRAMEWORK = "django_tasks" if django.VERSION < (6, 0) else "django.tasks"
TASKS = {"default": {"BACKEND": f"{_FRAMEWORK}.backends.dummy.DummyBackend"}}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"procrastinate": {"handlers": ["stderr"], "level": "INFO"}},
}
