"""`python -m benchmarks [NAME...]`: every measurement on both sides, in turn, and the ratios between them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import psycopg

from site_app.embedded_postgres import EmbeddedPostgres


@dataclass(frozen=True)
class Measurement:
    """What to measure, how much of it on each side, and which figure to show."""

    name: str
    title: str
    count: int
    stock_count: int  # 0: the stock worker has no such thing
    figure: str
    unit: str
    more_is_better: bool = True


MEASUREMENTS = [
    Measurement("drain_async", "drain, no-op coroutines, kept", 40_000, 2_000, "per_second", "jobs/s"),
    Measurement("drain_ephemeral", "drain, no-op coroutines, ephemeral", 40_000, 0, "per_second", "jobs/s"),
    Measurement("drain_thread", "drain, no-op functions in threads", 15_000, 2_000, "per_second", "jobs/s"),
    Measurement("drain_process", "drain, no-op functions in processes", 3_000, 0, "per_second", "jobs/s"),
    Measurement("latency", "commit to start, idle worker, p50", 300, 300, "p50", "ms", more_is_better=False),
    Measurement("enqueue_single", "enqueue, one a transaction", 2_000, 2_000, "per_second", "jobs/s"),
    Measurement("enqueue_bulk", "enqueue, many a transaction", 50_000, 20_000, "per_second", "jobs/s"),
    Measurement("idle_memory", "memory of an idle worker", 0, 0, "megabytes", "MB", more_is_better=False),
]


def main() -> None:
    """Measure what is named on the command line, or everything, on a server of our own."""
    wanted = [m for m in MEASUREMENTS if not sys.argv[1:] or m.name in sys.argv[1:]]
    if not wanted:
        sys.exit(f"no such measurement; there are: {', '.join(m.name for m in MEASUREMENTS)}")
    # Durable, as in production: fsync stays on.
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder) / "pg", temporary=True) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            (version,) = connection.execute("show server_version").fetchone() or ("?",)
            for side in ("ours", "stock"):
                connection.execute(f"create database {side}")
        print(
            f"Python {platform.python_version()}, Django {django.get_version()}, Postgres {version}, "
            f"{os.cpu_count()} CPUs, fsync on, concurrency 20, one worker"
        )
        print(f"{'':44}{'queue_tasks':>14}{'stock worker':>14}  ratio")
        for side in ("ours", "stock"):
            run(server, side, "migrate", 0)
        for measurement in wanted:
            show(measurement, run_both(server, measurement))


def run_both(server: EmbeddedPostgres, measurement: Measurement) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Our figures and the stock worker's."""
    ours = run(server, "ours", measurement.name, measurement.count)
    stock = run(server, "stock", measurement.name, measurement.stock_count) if measurement.stock_count else None
    return ours, stock


def run(server: EmbeddedPostgres, side: str, name: str, count: int) -> dict[str, Any]:
    """One measurement in a process of its own."""
    environment = {**os.environ, "DATABASE_URL": server.url_of(side), "BENCHMARK_SIDE": side}
    environment["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    command = [sys.executable, "-m", "benchmarks.measure", name, str(count)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} ({side}) failed:\n{done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def show(measurement: Measurement, figures: tuple[dict[str, Any], dict[str, Any] | None]) -> None:
    """One line of the table; latencies also with their tails."""
    ours, stock = figures
    mine = ours[measurement.figure]
    line = f"{measurement.title:<44}{text(mine, measurement.unit):>14}"
    if stock is not None:
        theirs = stock[measurement.figure]
        ratio = mine / theirs if measurement.more_is_better else theirs / mine
        line += f"{text(theirs, measurement.unit):>14}{ratio:>6.1f}x"
    print(line, flush=True)
    if "p99" in ours:
        tails = ", ".join(f"{name} {ours[name]:.2f} ms" for name in ("p95", "p99"))
        print(f"{'':44}{tails}")


def text(value: float, unit: str) -> str:
    """A figure for people."""
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.2f} {unit}"


if __name__ == "__main__":
    main()
