"""Run the scorecard at full size, one scenario after the other, and print the table.

Called by    `make chaos`
Usage        python tools/chaos.py [--seed 1[,2,3]] [--peer procrastinate] [--quick] [arguments of pytest: -k s03]
Environment  SEED, PEER: the same as the options
Exit codes   0 every scenario that ran passed; 1 one did not (with a peer: 0, its failures are the finding)

A scenario is a file tests/chaos/test_sNN_*.py; tests/chaos/README.md says what the counters mean.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from tests.chaos.scorecard import NAMES, OUT_OF_REACH  # noqa: E402 - a script's own path first

COUNTERS = ("A", "L", "K", "D", "E2", "U", "X", "W")


@dataclass
class Scenario:
    """What came of one scenario."""

    reports: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether something of it ran and nothing failed."""
        ran = [outcome["outcome"] for outcome in self.outcomes]
        return "passed" in ran and "failed" not in ran and all(report["passed"] for report in self.reports)

    @property
    def skipped(self) -> str:
        """Why nothing of it ran; empty when something did."""
        if any(outcome["outcome"] != "skipped" for outcome in self.outcomes):
            return ""
        return "; ".join(sorted({outcome["reason"] for outcome in self.outcomes}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run the scorecard at full size and print the table.")
    parser.add_argument("--seed", default=os.environ.get("SEED") or "1", help="of the faults; several: 1,2,3")
    parser.add_argument("--peer", default=os.environ.get("PEER") or "", choices=["", "procrastinate"])
    parser.add_argument("--quick", action="store_true", help="the sizes of `make test`")
    options, rest = parser.parse_known_args(arguments)
    everything = not rest
    failed = False
    for seed in options.seed.split(","):
        results = run(seed, options.peer, rest, quick=options.quick)
        print(f"\n## Scorecard: {options.peer or 'queue_tasks'}, seed {seed}\n")
        print(table(results))
        print(summary(results, options.peer) if everything else "")
        failed |= not all(scenario.passed or scenario.skipped for scenario in results.values())
    return 1 if failed and not options.peer else 0


def run(seed: str, peer: str, arguments: Sequence[str], *, quick: bool) -> dict[str, Scenario]:
    """Run pytest over the scenarios; what it left, by scenario."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        results = Path(folder) / "results.jsonl"
        results.touch()
        environment = {
            **os.environ,
            "CHAOS_FULL": "0" if quick else "1",
            "CHAOS_SEED": seed,
            "CHAOS_PEER": peer,
            "CHAOS_RESULTS": str(results),
        }
        command = [sys.executable, "-m", "pytest", "-n0", "-q", "-s", "-p", "no:randomly", "-m", "chaos", "tests/chaos"]
        subprocess.run([*command, *arguments], cwd=PROJECT, env=environment, check=False)
        found: dict[str, Scenario] = {}
        for line in results.read_text().splitlines():
            result = json.loads(line)
            scenario = found.setdefault(result["scenario"], Scenario())
            (scenario.outcomes if "outcome" in result else scenario.reports).append(result)
    return dict(sorted(found.items()))


def table(results: Mapping[str, Scenario]) -> str:
    """Every report as a row, in Markdown."""
    lines = [
        f"| scenario | {' | '.join(COUNTERS)} | Trec p50/p99 | Tres p50/p99 | also | seconds | |",
        f"|---|{'---:|' * len(COUNTERS)}---:|---:|---|---:|---|",
    ]
    for name, scenario in results.items():
        if scenario.skipped:
            continue
        title = f"{name} {NAMES.get(name, '')}"
        for report in scenario.reports:
            counts = report["counts"]
            cells = [str(counts.get(counter, "")) for counter in COUNTERS]
            if counts.get("requested"):
                cells[-1] += f" (+{counts['requested']} asked)"
            times = [quantiles(counts.get(kind, [])) for kind in ("trec", "tres")]
            verdict = "passed" if report["passed"] else f"**failed**: {shortened(', '.join(report['unmet']))}"
            also = ", ".join(
                f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
                for key, value in report["figures"].items()
            )
            row = [f"{title} {report['variant']}".strip(), *cells, *times, also, str(report["seconds"]), verdict]
            lines.append(f"| {' | '.join(row)} |")
        told = bool(scenario.reports) and all(report["passed"] for report in scenario.reports) == scenario.passed
        for outcome in scenario.outcomes:
            # What a test without a report has to say is its outcome.
            if not told and outcome["outcome"] != "skipped":
                verdict = "passed" if outcome["outcome"] == "passed" else f"**failed**: {shortened(outcome['reason'])}"
                words = outcome["test"].removeprefix("test_").replace("_", " ")
                lines.append(
                    f"| {title} | {' | ' * (len(COUNTERS) + 1)} | {words} | {outcome['seconds']} | {verdict} |"
                )
    return "\n".join(lines)


def shortened(text: str, longest: int = 200) -> str:
    """So that it fits a cell of the table; the whole is above it."""
    text = text.replace("|", "/").replace("\n", " ")
    return text if len(text) <= longest else f"{text[:longest]}..."


def quantiles(times: Sequence[float]) -> str:
    """The median and the 99th percentile, in seconds."""
    if not times:
        return ""
    ordered = sorted(times)
    return " / ".join(f"{ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]:.1f}" for percent in (50, 99))


def summary(results: Mapping[str, Scenario], peer: str) -> str:
    """How many of the 36 passed, and why the others did not or could not."""
    passed = [name for name in results if results[name].passed]
    lines = ["", f"**passed {len(passed)}/{len(NAMES)}**", ""]
    for name, title in NAMES.items():
        if name in passed:
            continue
        if name not in results:
            why = "does not fit the peer" if peer else OUT_OF_REACH.get(name, "has no file")
        else:
            why = results[name].skipped or "failed"
        lines.append(f"* {name} {title}: {why}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
