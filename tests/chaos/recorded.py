"""What came of the scenarios when they were last run with --record, and the table of docs/reliability.md made of it.

results.jsonl: a line for each scenario, peer, seed and size, in that order; tools/chaos.py writes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.scorecard import NAMES, OUT_OF_REACH
from tests.postgres import PROJECT

RESULTS = Path(__file__).parent / "results.jsonl"
PAGE = PROJECT / "docs" / "reliability.md"
BEGIN, END = "<!-- results: made by tools/chaos.py -->", "<!-- end of results -->"
COLUMNS = (
    "",
    "seeds",
    "A",
    "L K E2 U",
    "D",
    "X",
    "W",
    "Trec p50/p99",
    "Tres p50/p99",
    "figures",
    "passed",
    "procrastinate",
)
WHAT = re.compile(r":? [\[{(]")
SHOWN = 160
"""Characters of a reason."""

Record = Mapping[str, Any]


def records() -> list[dict[str, Any]]:
    """All that is kept."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def write_table() -> None:
    """Write the table into the page."""
    PAGE.write_text(with_table(PAGE.read_text()))


def with_table(page: str) -> str:
    """The page with the table as it should be."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(records())}\n{END}{after}"


def table(kept: Sequence[Record]) -> str:
    """A row for each scenario and variant, Markdown; then how many passed."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|---|---|{'---:|' * 5}---|---|---|---|---|"]
    passed = 0
    for name, title in NAMES.items():
        ours, peers = (
            best([one for one in kept if one["scenario"] == name and bool(one["peer"]) is p]) for p in (False, True)
        )
        passed += bool(ours) and ours[0]["size"] == "full" and all(one["passed"] for one in ours)
        label = f"{name} {title}"
        if not ours:
            told = OUT_OF_REACH.get(name, "not recorded")
            lines.append(f"| {label} |{' |' * 8} | {told} | {verdict_of_peer(peers)} |")
        for number, row in enumerate(rows(label, ours)):
            lines.append(f"| {' | '.join([*row, '' if number else verdict_of_peer(peers)])} |")
    lines += ["", f"Passed at full size, with every seed it was run with: **{passed} of {len(NAMES)}**."]
    return "\n".join(lines)


def best(kept: Sequence[Record]) -> list[Record]:
    """Those of full size when there are any, else the quick ones; in the order of their seeds."""
    full = [one for one in kept if one["size"] == "full"]
    return sorted(full or kept, key=lambda one: one["seed"])


def rows(label: str, ours: Sequence[Record]) -> Iterator[list[str]]:
    """The cells of a scenario, one row for each variant: counters are sums over the seeds, all else is the first's."""
    seeds = " ".join(str(one["seed"]) for one in ours) + ("" if not ours or ours[0]["size"] == "full" else " (quick)")
    verdict = "passed" if all(one["passed"] for one in ours) else f"**failed**: {reasons(ours)}"
    variants = list(dict.fromkeys(report["variant"] for one in ours for report in one["reports"]))
    if ours and not variants:
        yield [label, seeds, *[""] * 8, verdict]
    for number, variant in enumerate(variants):
        reports = [report for one in ours for report in one["reports"] if report["variant"] == variant]
        counts = [report["counts"] for report in reports]
        total = {key: sum(count.get(key, 0) for count in counts) for key in ("A", "L", "K", "E2", "U", "D", "X", "W")}
        exits = str(total["W"])
        if asked := sum(count.get("requested", 0) for count in counts):
            exits += f" (+{asked} asked)"
        yield [
            f"{label} {variant}".strip(),
            seeds,
            f"{total['A']:,}",
            " ".join(str(total[key]) for key in ("L", "K", "E2", "U")),
            str(total["D"]),
            str(total["X"]),
            exits,
            reports[0]["trec"],
            reports[0]["tres"],
            figures(reports[0]["figures"]),
            "" if number else verdict,
        ]


def figures(values: Mapping[str, Any]) -> str:
    """A scenario's own."""
    return ", ".join(
        f"{key.replace('_', ' ')} {value:.3g}" if isinstance(value, float) else f"{key.replace('_', ' ')} {value}"
        for key, value in values.items()
    )


def verdict_of_peer(kept: Sequence[Record]) -> str:
    """What came of the stock worker."""
    if not kept:
        return ""
    size = "" if kept[0]["size"] == "full" else " (quick)"
    if all(one["passed"] for one in kept):
        return f"passed{size}"
    return f"failed{size}: {reasons(kept)}"


def reasons(kept: Sequence[Record]) -> str:
    """Why it failed: the counters that may not be what they are, and the criteria that were not met."""
    found: list[str] = []
    for one in kept:
        for report in one["reports"]:
            for unmet in report["unmet"]:
                count = report["counts"].get(unmet)
                # The name of a criterion may end with what was found instead: that is for the log.
                found.append(f"not met: {WHAT.split(unmet)[0]}" if count is None else f"{unmet}={count}")
        if not one["reports"]:
            found += one["failures"]
    text = "; ".join(dict.fromkeys(found)).replace("|", "/").replace("\n", " ")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
