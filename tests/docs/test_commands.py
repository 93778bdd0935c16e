"""Shell examples: every `manage.py` command exists and takes the flags that are given; every `make` target exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import CommandError, get_commands, load_command_class

from tests.docs.pages import PROJECT, all_pages, blocks, name_of

ELSEWHERE = {"procrastinate": {"worker", "defer", "healthchecks"}, "db_worker": {""}}
"""Commands of other projects: the words that may follow them."""


def commands(page: Path) -> list[list[str]]:
    """The words of each `manage.py ...` of a page: in console blocks, unit files, YAML lists and inline code."""
    lines = []
    for block in blocks(page):
        if block.language == "console":
            lines += [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
        elif block.language in ("ini", "yaml"):
            lines += [line.replace('", "', " ").rstrip('"]') for line in block.text.splitlines()]
    lines += re.findall(r"`([^`\n]*manage\.py[^`\n]*)`", page.read_text())
    found = []
    for line in lines:
        text = re.sub(r"\s*(2>&1)?\s*\|.*", "", line)
        if "manage.py " in text:
            found.append(shlex.split(text.partition("manage.py ")[2]))
    return found


def takes(words: list[str]) -> bool:
    """Whether the command exists and takes these arguments."""
    name, arguments = words[0], words[1:]
    known = get_commands()
    if name in ELSEWHERE:
        return "".join(arguments[:1]) in ELSEWHERE[name]
    if name not in known:
        return False
    app = known[name]
    assert isinstance(app, str)
    command = load_command_class(app, name)
    # What stands for the reader's own value.
    values = [
        {"ID": "1", "ID...": "1", "N": "1", "VERB": "stats"}.get(word, word) for word in arguments if word != "..."
    ]
    try:
        command.create_parser("manage.py", name).parse_args(values)
    except (SystemExit, CommandError):
        return False
    return True


WITH_COMMANDS = [page for page in all_pages() if commands(page)]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_the_commands_of_the_page_exist(page: Path):
    assert [words for words in commands(page) if not takes(words)] == []


def test_every_make_target_that_a_page_names_exists():
    targets = set(re.findall(r"^(\w+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = {target for page in all_pages() for target in re.findall(r"`make (\w+)`", page.read_text())}
    assert named <= targets
