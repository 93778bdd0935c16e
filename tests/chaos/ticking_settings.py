"""The scenarios' settings of a worker, with a task that ticks every second."""

from tests.chaos.settings import *  # noqa: F403

PROCRASTINATE_IMPORT_PATHS = ["tests.chaos.ticking"]
