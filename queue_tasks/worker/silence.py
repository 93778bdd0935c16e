"""Silence: for how long a worker may give no sign of life before others look whether it is dead."""

from __future__ import annotations

from queue_tasks.conf import Options

SILENT_BEATS = 1.5
"""Heartbeats a worker of ours may miss before its advisory lock is looked at."""

LEAST_SILENCE = 3.0
"""Seconds of silence before that at the least: other workers may beat more slowly than this one."""


def silent_after(options: Options) -> float:
    """Seconds, for one that has a job in hand; twice as many for one that has none."""
    return max(LEAST_SILENCE, SILENT_BEATS * options.heartbeat)
