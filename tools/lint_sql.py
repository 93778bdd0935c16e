"""Check the rules of sql/ that no SQL parser knows.

Called by   tools/check.py (`make check`)
Usage       python tools/lint_sql.py            check; one line per finding, exit code 1 when there are any
            python tools/lint_sql.py --freeze   at a release: write down the hashes of the migrations, for ever

The rules:
* a header: the first line names the object or statement and its parameters, then come what it does and "Called by"
* no placeholder within quotes: Postgres binds on the server, so '%(ttl)s seconds' silently means something else
* no `select *`, except from a function of ours or a CTE of the same file, whose columns are written down
* a file is named as the object it makes
* no orphan: each query is a constant of queue_tasks/statements.py, each folder is read by queue_tasks/schema/files.py
* sql/README.md lists every file
* migrations come in pairs (NNNN_name.sql, NNNN_name.reverse.sql), and a released one is never edited
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROJECT = Path(__file__).resolve().parent.parent
FROZEN = "frozen.sha256"  # in sql/migrations, in the format of sha256sum

# How a living file makes its object, by folder; the name is the group.
NAME = r'"?(?P<name>\w+)"?'
MAKERS = {
    "functions": rf"\bcreate (?:or replace )?function {NAME}",
    "indexes": rf"\bcreate (?:unique )?index (?:if not exists )?{NAME}",
    "tables": rf"\b(?:create|alter) table (?:if not exists |if exists )?{NAME}",
    "triggers": rf"\bcreate (?:or replace )?(?:constraint )?trigger {NAME}",
    "views": rf"\bcreate (?:or replace )?view {NAME}",
}
NOT_LIVING = {"queries", "migrations", "roles"}

# A lexer for as much of SQL as the rules need; the order matters.
TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)
      | (?P<string>[eE]?'(?:[^']|'')*')
      | (?P<identifier>"(?:[^"]|"")*")
      | (?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
      | (?P<code>.)""",
    re.VERBOSE | re.DOTALL,
)
PLACEHOLDER = re.compile(r"%\(\w+\)[sbt]|%[sbt](?!\w)")
STAR = re.compile(
    r"\bselect\s+(?:distinct\s+)?(?:\w+\.)?\*(?!\s*from\s+queue_tasks_\w+\s*\()(?:\s*from\s+(?P<source>\w+))?",
    re.IGNORECASE,
)
LOADED = re.compile(r"^(?P<constant>\w+)\s*(?::[^=]+)?=\s*load\(\"(?P<file>\w+)\"\)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One broken rule and where."""

    path: str
    line: int
    problem: str

    def __str__(self) -> str:
        """Write it as editors and terminals like it."""
        return f"{self.path}:{self.line}: {self.problem}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or freeze; returns the exit code."""
    parser = argparse.ArgumentParser(description="Check the rules of sql/.")
    parser.add_argument("--freeze", action="store_true", help="write down the hashes of the migrations (at a release)")
    parser.add_argument("--project", type=Path, default=PROJECT, help="another project folder (for the linter's tests)")
    options = parser.parse_args(arguments)
    if options.freeze:
        freeze(options.project)
        return 0
    findings = sorted(lint(options.project), key=lambda finding: (finding.path, finding.line))
    for finding in findings:
        print(finding)
    if findings:
        print(f"{len(findings)} findings in sql/ (the rules: tools/lint_sql.py)", file=sys.stderr)
    return 1 if findings else 0


def lint(project: Path) -> Iterator[Finding]:
    """Give all findings of a project."""
    files = sorted((project / "sql").rglob("*.sql"))
    for file in files:
        text = file.read_text(encoding="utf-8")
        path = str(file.relative_to(project))
        yield from lint_header(path, file.name.removesuffix(".sql"), text)
        yield from lint_stars(path, text)
        if file.parent.name == "queries":
            yield from lint_placeholders(path, text)
        yield from lint_name(path, file, text)
    yield from lint_queries(project)
    yield from lint_folders(project, files)
    yield from lint_readme(project, files)
    yield from lint_migrations(project)


# ------------------------------------------------------------------------------------------------------------ one file


def lint_header(path: str, name: str, text: str) -> Iterator[Finding]:
    """The comment at the top: name and parameters, what it does, who calls it."""
    header = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        header.append(line)
    if not header or not re.match(rf"-- {re.escape(name)}(?!\w)", header[0]):
        yield Finding(path, 1, f'the first line must be a comment that begins with the name: "-- {name}..."')
        return
    if not any(line.startswith("-- Called by  ") for line in header):
        yield Finding(path, len(header), 'the header lacks "-- Called by  <who>"')
    says_something = [
        line for line in header[1:] if re.match(r"-- \S", line) and not re.match(r"-- \w+( by)? {2,}", line)
    ]
    if not says_something and not set(":;") & set(header[0]):
        yield Finding(path, 1, "the header does not say what it does, in a sentence below the first line")


def lint_placeholders(path: str, text: str) -> Iterator[Finding]:
    """No placeholder within quotes of any kind."""
    for token in TOKEN.finditer(text):
        if token.lastgroup in {"code", "comment"}:
            continue
        placeholder = PLACEHOLDER.search(token.group())
        if placeholder is not None:
            yield Finding(
                path,
                line_of(text, token.start() + placeholder.start()),
                f"{placeholder.group()} is within quotes, where Postgres reads the text $1 and not the value; "
                "for intervals write make_interval(secs => ...)",
            )


def lint_stars(path: str, text: str) -> Iterator[Finding]:
    """Columns are named, except those of our own functions and of the file's own CTEs."""
    code = code_only(text)
    for found in STAR.finditer(code):
        if found["source"] and re.search(
            rf"\b{found['source']}\s+as\s+(?:not\s+)?(?:materialized\s+)?\(", code, re.IGNORECASE
        ):
            continue
        yield Finding(path, line_of(text, found.start()), "name the columns instead of `*`")


def lint_name(path: str, file: Path, text: str) -> Iterator[Finding]:
    """A living file makes the object it is named after."""
    maker = MAKERS.get(file.parent.name)
    if maker is None:
        return
    # Line breaks and runs of spaces become one space, so that the patterns stay readable.
    code = " ".join(code_only(text).split())
    names = [found["name"] for found in re.finditer(maker, code, re.IGNORECASE)]
    if file.stem not in names:
        made = ", ".join(sorted(set(names))) or "nothing"
        yield Finding(path, 1, f"the file is named {file.stem} but makes {made}")


def code_only(text: str) -> str:
    """Blank out comments and strings, keeping every character's place; the body of a function is code."""

    def blank(token: re.Match[str]) -> str:
        if token["dollar"]:
            fence = len(token["tag"]) + 2  # $tag$
            return token[0][:fence] + code_only(token[0][fence:-fence]) + token[0][-fence:]
        return re.sub(r"[^\n]", " ", token[0]) if token["comment"] or token["string"] else token[0]

    return TOKEN.sub(blank, text)


def line_of(text: str, position: int) -> int:
    """Return the line, from 1, of a position in a text."""
    return text.count("\n", 0, position) + 1


# ---------------------------------------------------------------------------------------------------------- the folder


def lint_queries(project: Path) -> Iterator[Finding]:
    """Each query is loaded into the constant of its name, and each constant has its query."""
    module = project / "queue_tasks" / "statements.py"
    text = module.read_text(encoding="utf-8") if module.exists() else ""
    loaded = {found["file"]: (found["constant"], line_of(text, found.start())) for found in LOADED.finditer(text)}
    queries = {file.stem for file in (project / "sql" / "queries").glob("*.sql")}
    for query in sorted(queries - loaded.keys()):
        yield Finding(
            f"sql/queries/{query}.sql",
            1,
            f'nobody loads it: add {query.upper()} = load("{query}") to queue_tasks/statements.py, or remove the file',
        )
    for query, (constant, line) in sorted(loaded.items()):
        if query not in queries:
            yield Finding("queue_tasks/statements.py", line, f"sql/queries/{query}.sql does not exist")
        if constant != query.upper():
            yield Finding("queue_tasks/statements.py", line, f"{constant} must be named {query.upper()}, as its file")


def lint_folders(project: Path, files: Sequence[Path]) -> Iterator[Finding]:
    """Each living file is installed by queue_tasks/schema/files.py, which names its folder or the file itself."""
    module = project / "queue_tasks" / "schema" / "files.py"
    text = module.read_text(encoding="utf-8") if module.exists() else ""
    if not any(f'"{folder}"' in text for folder in MAKERS):
        return  # it installs no living files at all, only migrations
    for file in files:
        folder = file.parent.name
        known = any(f'"{name}"' in text or f"{name}/" in text for name in (folder, file.stem))
        if folder not in NOT_LIVING and not known:
            yield Finding(
                str(file.relative_to(project)), 1, f'queue_tasks/schema/files.py names neither "{folder}" nor the file'
            )


def lint_readme(project: Path, files: Sequence[Path]) -> Iterator[Finding]:
    """The map is complete."""
    readme = project / "sql" / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    words = set(re.findall(r"[\w.]+", text))
    for file in files:
        if not {file.name, file.name.removesuffix(".sql")} & words:
            yield Finding(str(file.relative_to(project)), 1, "sql/README.md does not list it")


def lint_migrations(project: Path) -> Iterator[Finding]:
    """Pairs, numbered without gaps; what was released is as it was."""
    folder = project / "sql" / "migrations"
    names = {file.name for file in folder.glob("*.sql")}
    forward = sorted(name for name in names if not name.endswith(".reverse.sql"))
    for name in sorted(names):
        partner = (
            name.removesuffix(".reverse.sql") + ".sql"
            if name.endswith(".reverse.sql")
            else name.removesuffix(".sql") + ".reverse.sql"
        )
        if partner not in names:
            yield Finding(f"sql/migrations/{name}", 1, f"{partner} is missing: a migration can be taken back")
    for number, name in enumerate(forward, start=1):
        if not re.match(rf"{number:04}_[a-z]\w*\.sql$", name):
            yield Finding(
                f"sql/migrations/{name}", 1, f"it is migration number {number}: name it {number:04}_<what>.sql"
            )
    for line, (name, expected) in enumerate(frozen(folder).items(), start=1):
        if name not in names:
            yield Finding(f"sql/migrations/{FROZEN}", line, f"{name} was released and is gone")
        elif digest(folder / name) != expected:
            yield Finding(f"sql/migrations/{name}", 1, "it was released and must not change: add a new migration")


def freeze(project: Path) -> None:
    """Write the hash of every migration that has none yet; those that have one keep it."""
    folder = project / "sql" / "migrations"
    known = frozen(folder)
    for file in sorted(folder.glob("*.sql")):
        known.setdefault(file.name, digest(file))
    (folder / FROZEN).write_text("".join(f"{value}  {name}\n" for name, value in sorted(known.items())))


def frozen(folder: Path) -> dict[str, str]:
    """Return the released migrations: name -> hash."""
    file = folder / FROZEN
    lines = file.read_text().splitlines() if file.exists() else []
    return {name: value for value, name in (line.split() for line in lines)}


def digest(file: Path) -> str:
    """Return the hash of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
