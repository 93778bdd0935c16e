"""Run the scorecard at full size, one scenario after the other, and print the table.

Called by    `make chaos`
Usage        python tools/chaos.py [--seed 1[,2,3]] [--peer procrastinate] [--quick] [--record] [arguments of pytest]
             python tools/chaos.py -k s03 --seed 7      one scenario
             python tools/chaos.py --table              only write the table of docs/reliability.md again
Environment  SEED, PEER: the same as the options
Exit codes   0 every scenario that ran passed; 1 one did not (with a peer: 0, its failures are the finding)

Each scenario is a file tests/chaos/test_sNN_*.py and runs in a process of its own, for LIMIT seconds at most: one that
fails, hangs or dies does not stop the others, and is told with the command that runs it again. The table is written to
build/chaos/ after each. --record keeps what came of them in tests/chaos/results.jsonl, in place of what was known of
the same scenarios, seeds and sizes, and writes the table of docs/reliability.md from it.

tests/chaos/README.md says what the counters mean.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from tests.chaos.recorded import RESULTS, records, write_table  # noqa: E402 - a script's own path first
from tests.chaos.scorecard import NAMES, OUT_OF_REACH  # noqa: E402 - a script's own path first

COUNTERS = ("A", "L", "K", "D", "E2", "U", "X", "W")
BUILD = PROJECT / "build" / "chaos"
LIMIT = 1800
"""Seconds a scenario may take: the longest takes ten minutes."""
SCENARIO = re.compile(r"(tests/chaos/test_(s\d\d)_\w+\.py)::")


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
    parser.add_argument("--record", action="store_true", help="keep the results for docs/reliability.md")
    parser.add_argument("--table", action="store_true", help="only write the table of docs/reliability.md again")
    options, rest = parser.parse_known_args(arguments)
    if options.table:
        write_table()
        return 0
    files = scenarios(rest)
    if not files:
        print(f"no scenario is chosen by {' '.join(rest)}")
        return 1
    failed = False
    for seed in options.seed.split(","):
        results = run_all(files, seed, options, rest)
        print(f"\n{heading(options, seed)}\n\n{table(results)}")
        print(summary(results, options.peer, seed, everything=not rest))
        failed |= not all(scenario.passed or scenario.skipped for scenario in results.values())
    return 1 if failed and not options.peer else 0


def scenarios(arguments: Sequence[str]) -> dict[str, str]:
    """The scenarios that arguments of pytest choose, in order: name -> file."""
    command = [*pytest_command(), "--collect-only", "tests/chaos", *arguments]
    said = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False).stdout
    return {found[2].upper(): found[1] for found in sorted(SCENARIO.finditer(said), key=lambda found: found[2])}


def pytest_command() -> list[str]:
    """What runs scenarios, without what chooses them."""
    return [sys.executable, "-m", "pytest", "-n0", "-q", "-s", "-p", "no:randomly", "-m", "chaos"]


def run_all(
    files: Mapping[str, str], seed: str, options: argparse.Namespace, arguments: Sequence[str]
) -> dict[str, Scenario]:
    """Run one scenario after the other, and write the table after each."""
    size = "quick" if options.quick else "full"
    found: dict[str, Scenario] = {}
    BUILD.mkdir(parents=True, exist_ok=True)
    into = BUILD / f"{options.peer or 'queue_tasks'}-seed{seed}-{size}.md"
    for number, (name, file) in enumerate(files.items(), 1):
        print(f"\n=== {name} {NAMES.get(name, '')}, seed {seed}, {size} size ({number} of {len(files)})", flush=True)
        found[name] = run(name, file, seed, options, arguments)
        if options.record and not found[name].skipped:
            record(name, found[name], seed, options)
        if not found[name].passed and not found[name].skipped:
            print(f"--- {name} failed; again: {again(name, seed, options.peer)}", flush=True)
        text = f"{heading(options, seed)}\n\n{table(found)}\n{summary(found, options.peer, seed, everything=False)}\n"
        into.write_text(text)
    print(f"\nThe table is in {into.relative_to(PROJECT)}.")
    return found


def run(name: str, file: str, seed: str, options: argparse.Namespace, arguments: Sequence[str]) -> Scenario:
    """Run the tests of one scenario; what they left."""
    scenario = Scenario()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        results = Path(folder) / "results.jsonl"
        results.touch()
        environment = {
            **os.environ,
            "CHAOS_FULL": "0" if options.quick else "1",
            "CHAOS_SEED": seed,
            "CHAOS_PEER": options.peer,
            "CHAOS_RESULTS": str(results),
        }
        begun = time.monotonic()
        code = run_limited([*pytest_command(), file, *arguments], environment)
        for line in results.read_text().splitlines():
            result = json.loads(line)
            (scenario.outcomes if "outcome" in result else scenario.reports).append(result)
    if code not in (0, 1) or not scenario.outcomes:
        # Nothing a test could say: it hung, or its process died.
        why = f"no end after {LIMIT} s" if code is None else f"pytest ended with {code}"
        seconds = round(time.monotonic() - begun, 1)
        scenario.outcomes.append(
            {"scenario": name, "test": "run", "outcome": "failed", "reason": why, "seconds": seconds}
        )
    return scenario


def run_limited(command: Sequence[str], environment: Mapping[str, str]) -> int | None:
    """The exit code; None when it had to be ended. An interrupt from the keyboard ends it and us."""
    process = subprocess.Popen(command, cwd=PROJECT, env=dict(environment), start_new_session=True)
    try:
        return process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                # It ends what it has started.
                process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def record(name: str, scenario: Scenario, seed: str, options: argparse.Namespace) -> None:
    """Keep what came of a scenario, and write the table of the documentation."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - the one that is found
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    new = {
        "scenario": name,
        "peer": options.peer,
        "seed": int(seed),
        "size": "quick" if options.quick else "full",
        "passed": scenario.passed,
        "commit": commit,
        "reports": [summarised(report) for report in scenario.reports],
        "failures": [
            f"{outcome['test']}: {outcome['reason']}" for outcome in scenario.outcomes if outcome["outcome"] == "failed"
        ],
    }
    same = ("scenario", "peer", "seed", "size")
    kept = [old for old in records() if any(old[key] != new[key] for key in same)]
    kept.append(new)
    kept.sort(key=lambda one: [one[key] for key in same])
    RESULTS.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in kept))
    write_table()


def summarised(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report with the quantiles in place of the times."""
    counts = {key: value for key, value in report["counts"].items() if key not in ("trec", "tres")}
    times = {kind: quantiles(report["counts"].get(kind, [])) for kind in ("trec", "tres")}
    kept = {key: report[key] for key in ("variant", "passed", "unmet", "seconds")}
    return {**kept, "counts": counts, **times, "figures": report["figures"]}


def again(name: str, seed: str, peer: str) -> str:
    """The command that runs one scenario again."""
    return f"make chaos ARGS='-k {name.lower()}' SEED={seed}{f' PEER={peer}' if peer else ''}"


def heading(options: argparse.Namespace, seed: str) -> str:
    """The title of a table."""
    size = "quick size" if options.quick else "full size"
    return f"## Scorecard: {options.peer or 'queue_tasks'}, seed {seed}, {size}"


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


def summary(results: Mapping[str, Scenario], peer: str, seed: str, *, everything: bool) -> str:
    """How many passed of those that were to run, and why the others did not or could not."""
    passed = [name for name in results if results[name].passed]
    ran = {name: NAMES.get(name, "") for name in results if not results[name].skipped}
    wanted = NAMES if everything and not peer else ran
    lines = ["", f"**passed {len(passed)}/{len(wanted)}**", ""]
    for name, title in wanted.items():
        if name in passed:
            continue
        if name not in results:
            why = OUT_OF_REACH.get(name, "has no file")
        else:
            why = results[name].skipped or f"failed; again: `{again(name, seed, peer)}`"
        lines.append(f"* {name} {title}: {why}")
    if peer:
        lines += ["", f"Of {len(NAMES)}, the others need what {peer} does not have."]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
