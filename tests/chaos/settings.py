"""The scenarios' settings of a worker: the tests' own, with a test's lease of 5 s and a beat of 1 s.

CHAOS_OPTIONS: JSON with more OPTIONS. CHAOS_DIRECT_URL: a second alias, "direct".
"""

import json
import os
from typing import Any

import dj_database_url

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

if os.environ.get("CHAOS_DIRECT_URL"):
    DATABASES["direct"] = {**dj_database_url.parse(os.environ["CHAOS_DIRECT_URL"])}

_options: dict[str, Any] = {"heartbeat": 1.0, "dead_after": 5.0, **json.loads(os.environ.get("CHAOS_OPTIONS") or "{}")}
TASKS: dict[str, dict[str, Any]] = {  # type: ignore[no-redef]
    "default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": [], "OPTIONS": _options}
}
