"""Write the map of sql/ from the headers of its files.

Usage   python tools/sql_readme.py           write the tables of sql/README.md anew (between its two marks)
        python tools/sql_readme.py --check   exit code 1 when they are not what the headers say
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- the map: written by tools/sql_readme.py -->"
END = "<!-- end of the map -->"

# folder -> its heading
FOLDERS = {
    "upstream": "What we take away from procrastinate's schema",
    "tables": "Columns on procrastinate's tables, and tables of our own",
    "indexes": "Indexes",
    "functions": "Functions",
    "triggers": "Triggers, each with its function",
    "roles": "Roles, made or brought up to date by `manage.py queue roles`",
    "queries": "Statements that Python sends, each a constant of queue_tasks/statements.py",
    "migrations": "Frozen migrations",
}
FIELDS = ("Called by", "Locks", "Index", "Raises")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the map of sql/ from the headers of its files.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when the map is old")
    parser.add_argument("--project", type=Path, default=PROJECT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    readme = options.project / "sql" / "README.md"
    old = readme.read_text(encoding="utf-8")
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    new = f"{before}{BEGIN}\n\n{tables(options.project / 'sql')}\n{END}{after}"
    if new == old:
        return 0
    if options.check:
        print("sql/README.md is not what the files' headers say. Run: python tools/sql_readme.py", file=sys.stderr)
        return 1
    readme.write_text(new, encoding="utf-8")
    return 0


def tables(folder: Path) -> str:
    """Return one table for each folder, one line for each file."""
    parts = []
    for name, heading in FOLDERS.items():
        parts.append(
            f"### {heading}\n\n| file | what it does | called by | locks | index | raises |\n|---|---|---|---|---|---|"
        )
        for file in sorted((folder / name).glob("*.sql")):
            parts[-1] += "\n" + line(name, file)
    return "\n\n".join(parts) + "\n"


def line(folder: str, file: Path) -> str:
    """Return a file's line of the map, from its header."""
    header = []
    for text in file.read_text(encoding="utf-8").splitlines():
        if not text.startswith("--") or text == "--":
            break
        header.append(text.removeprefix("--").strip())
    fields: dict[str, str] = {}
    told: list[str] = []
    current = ""
    for text in header[1:]:
        found = re.match(r"(Called by|Writes|Locks|Index|Raises) {2,}(.*)", text)
        if found:
            current = found[1]
            fields[current] = found[2]
        elif current:
            fields[current] += f" {text}"
        else:
            told.append(text)
    # An index is told by its first line, the rest by the sentence below it, or what stands behind their result.
    first = header[0].partition(": ")[2] if folder == "indexes" else ""
    sentence = first or re.split(r"(?<=[.:]) ", " ".join(told))[0].rstrip(":") or header[0].rpartition("; ")[2]
    cells = [f"[{file.stem}]({folder}/{file.name})", sentence, *(fields.get(name, "") for name in FIELDS)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    raise SystemExit(main())
