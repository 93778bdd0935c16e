"""The scenarios' settings, with finished jobs kept for seconds: what comes in and what is pruned balance."""

from datetime import timedelta

from tests.chaos.settings import *  # noqa: F403
from tests.chaos.settings import TASKS

TASKS["default"]["OPTIONS"]["keep"] = timedelta(seconds=10)
