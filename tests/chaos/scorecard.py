"""The scorecard: 36 scenarios by name. tools/chaos.py prints the table; a scenario is a file test_sNN_*.py."""

from __future__ import annotations

NAMES = {
    "S01": "kill-storm",
    "S02": "term-storm",
    "S03": "zombie-fence",
    "S04": "pause-train",
    "S05": "pg-immediate",
    "S06": "backend-sniper",
    "S07": "ack-adversary",
    "S08": "lost-commit",
    "S09": "half-open",
    "S10": "failover",
    "S11": "conn-famine",
    "S12": "timeouts",
    "S13": "isolation",
    "S14": "pgbouncer",
    "S15": "disk-full",
    "S16": "xmin-hold",
    "S17": "deep-queue",
    "S18": "lock-mix",
    "S19": "poison-process",
    "S20": "never-returns",
    "S21": "hostile-outcomes",
    "S22": "hostile-rows",
    "S23": "arg-fidelity",
    "S24": "tx-enqueue",
    "S25": "unique-race",
    "S26": "scheduler-swarm",
    "S27": "dst-table",
    "S28": "notify-hostile",
    "S29": "herd",
    "S30": "notify-cost",
    "S31": "rolling-deploy",
    "S32": "soak",
    "S33": "ordered-shutdown",
    "S34": "supervision",
    "S35": "every-call-fails",
    "S36": "dashboard-abuse",
}

OUT_OF_REACH: dict[str, str] = {}
"""Why there is no file for it."""
