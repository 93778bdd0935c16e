"""The tests' settings for workers that give up soon."""

from tests.settings import *  # noqa: F403
from tests.settings import TASKS

TASKS["default"]["OPTIONS"] = {"timeout_patience": 1, "block_warning": 0.3}
