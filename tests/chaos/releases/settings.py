"""The settings of both releases: which one it is, PYTHONPATH says."""

from tests.chaos.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as OTHERS

INSTALLED_APPS = [*OTHERS, "shop"]
