"""The tests' settings of a project that has procrastinate tasks of its own."""

from tests.settings import *  # noqa: F403

PROCRASTINATE_IMPORT_PATHS = ["tests.testapp.stock_tasks"]
