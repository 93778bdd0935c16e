"""The documentation as the tests read it: pages, headings, fenced blocks, links. Plain Markdown, no Sphinx."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
DOCS = PROJECT / "docs"


@dataclass(frozen=True)
class Heading:
    """One heading."""

    level: int
    text: str
    """Without backticks."""
    anchor: str
    """As GitHub and MyST make it."""
    under: str
    """The text of the heading one level up; "" for the title."""


@dataclass(frozen=True)
class Block:
    """One fenced block, or one check: Python within `<!-- check ... -->`, which readers do not see."""

    language: str
    text: str
    line: int
    """Of its first line of text in the page, from 1."""


def all_pages() -> list[Path]:
    """README, CHANGELOG and everything under docs/."""
    written = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
    return [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *written]


def name_of(page: Path) -> str:
    """How a page is called in a test's id."""
    return str(page.relative_to(PROJECT))


def blocks(page: Path) -> list[Block]:
    """The fenced blocks and checks of a page, in order."""
    found = []
    lines = page.read_text(encoding="utf-8").splitlines()
    start: int | None = None
    language = closing = ""
    for number, line in enumerate(lines, start=1):
        if start is None:
            fence = re.fullmatch(r"(```+)(\w*)", line)
            if fence:
                start, language, closing = number + 1, fence[2], fence[1]
            elif line.startswith("```"):
                raise ValueError(f"{name_of(page)}:{number}: {line!r} opens no block that the tests understand")
            elif line == "<!-- check":
                start, language, closing = number + 1, "check", "-->"
        elif line == closing:
            found.append(Block(language, "\n".join(lines[start - 1 : number - 1]) + "\n", start))
            start = None
    if start is not None:
        raise ValueError(f"{name_of(page)}:{start}: the block is not closed")
    return found


def prose(page: Path) -> str:
    """The page without its blocks, line by line as it was."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for block in blocks(page):
        for index in range(block.line - 2, block.line + block.text.count("\n")):
            lines[index] = ""
    return "\n".join(lines) + "\n"


def headings(page: Path) -> list[Heading]:
    """The headings of a page, in order."""
    found: list[Heading] = []
    path: list[str] = []
    seen: dict[str, int] = {}
    for line in prose(page).splitlines():
        match = re.fullmatch(r"(#+) (.+)", line)
        if not match:
            continue
        level, text = len(match[1]), match[2].replace("`", "")
        path = [*path[: level - 1], *[""] * (level - 1 - len(path)), text]
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        again = seen.get(anchor, 0)
        seen[anchor] = again + 1
        found.append(Heading(level, text, f"{anchor}-{again}" if again else anchor, path[-2] if level > 1 else ""))
    return found


def links(page: Path) -> list[str]:
    """The targets of a page's Markdown links."""
    without_code = re.sub(r"`[^`\n]+`", "", prose(page))
    return re.findall(r"\]\(([^)\s]+)\)", without_code)
