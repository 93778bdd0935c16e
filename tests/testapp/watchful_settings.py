"""The tests' settings for workers that soon say who blocks the event loop."""

from tests.settings import *  # noqa: F403
from tests.settings import TASKS

TASKS["default"]["OPTIONS"] = {"block_warning": 0.3}
