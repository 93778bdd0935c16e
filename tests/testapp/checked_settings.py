"""The test settings, in a project with a check that always has something to say."""

from typing import Any

from django.core import checks

from tests.settings import *  # noqa: F403


@checks.register
def warn(app_configs: Any, **kwargs: Any) -> list[checks.Warning]:
    return [checks.Warning("checked")]
