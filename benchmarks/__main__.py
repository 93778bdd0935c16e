"""`python -m benchmarks [PART...]`: measure, print the tables, and write them into a page when asked.

Exit codes: 0 measured (whatever was found), 1 a part failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path

from benchmarks import machine, report
from benchmarks.bench import Bench, prepared, say
from benchmarks.harness import TurnFailed
from benchmarks.parts import SPEED, STEADY, Measure
from benchmarks.report import Found

PARTS: dict[str, Measure] = {**SPEED, **STEADY}
GROUPS = {"speed": tuple(SPEED), "steady": tuple(STEADY)}
QUICK_SCALE = 0.2


def main() -> int:
    """Measure; returns the exit code."""
    arguments = parse()
    names = chosen(arguments.parts)
    found, failed = Found(), []
    with prepared(arguments.rounds or (1 if arguments.quick else 5), QUICK_SCALE if arguments.quick else 1.0) as bench:
        for name in names:
            part = measure(bench, name)
            if part is None:
                failed.append(name)
            else:
                found.add(part)
        facts = machine.facts(
            f"python -m benchmarks {' '.join(sys.argv[1:])}".strip(), bench.server.describe(), bench.describe_peers()
        )
    facts.append(f"medians of {bench.rounds} rounds in which the sides take turns; ratios are those of one round")
    found.notes += [f"{name} could not be measured" for name in failed]
    print(report.text_report(found, facts))
    if arguments.write:
        for group in groups_of(names):
            report.write_page(arguments.write, group, report.page_section(found, facts))
    return 1 if failed else 0


def measure(bench: Bench, name: str) -> Found | None:
    """One part; None when it failed, which is said and does not keep the others from being measured."""
    say(f"{name}: {(PARTS[name].__doc__ or '').splitlines()[0]}")
    started = time.monotonic()
    try:
        return PARTS[name](bench)
    except TurnFailed as exc:
        say(f"{name} FAILED: {exc}")
    except Exception:  # noqa: BLE001 - whatever it was, the other parts are measured
        say(f"{name} FAILED: {traceback.format_exc()}")
    finally:
        say(f"{name} took {time.monotonic() - started:.0f} s")
    return None


def chosen(parts: list[str]) -> list[str]:
    """The parts in the order given, groups as their parts; without any, the speed group."""
    return list(dict.fromkeys(part for name in parts or ["speed"] for part in GROUPS.get(name, (name,))))


def groups_of(names: list[str]) -> list[str]:
    """The group that was measured as a whole. Raises SystemExit when it is not exactly one."""
    whole = [group for group, parts in GROUPS.items() if set(names) == set(parts)]
    if not whole:
        sys.exit("--write needs a whole group and nothing else: speed, or steady")
    return whole


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure queue_tasks beside other queues."
    )
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        choices=[[], *PARTS, *GROUPS],
        help=f"speed ({', '.join(SPEED)}), which is the default; steady ({', '.join(STEADY)}); or parts of them",
    )
    parser.add_argument("--quick", action="store_true", help="one round of fewer jobs: to see that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds in which the sides take turns (default: 5)")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the tables into a page that has a place for them"
    )
    arguments = parser.parse_args()
    if arguments.write:
        groups_of(chosen(arguments.parts))
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
