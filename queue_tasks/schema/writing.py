"""One way to write an object, for its file and for the catalogs, so that the two can be compared as text."""

from __future__ import annotations

import re


def normal(text: str) -> str:
    """Any of them: in small letters, with single spaces, and no quotes around plain names (quote_all_identifiers)."""
    text = re.sub(r'"([a-z_][a-z0-9_]*)"', r"\1", text)
    text = " ".join(text.lower().split()).rstrip("; ")
    return re.sub(r"\( ", "(", re.sub(r" \)", ")", text)).replace("table (", "table(")


def normal_statement(text: str) -> str:
    """An index or a trigger: Postgres puts parentheses around every expression, twice around some."""
    text = normal(text)
    while (shorter := re.sub(r"\((\([^()]*(?:\(\)[^()]*)*\))\)", r"\1", text)) != text:
        text = shorter
    return text


def normal_column(text: str) -> str:
    """A column: its type, and its default if it has one."""
    return _without_casts(normal(text))


def normal_function_head(text: str) -> str:
    """A function, up to its body."""
    text = re.sub(r"\bset (\w+) (?:=|to) '?(\w+)'?", r"set \1 to \2", normal(text))
    return _without_casts(text) + " "


def _without_casts(text: str) -> str:
    """A default without the type that Postgres notes beside it."""
    return re.sub(r"(default (?:'[^']*'|\w+(?:\(\))?))::[a-z ]+(?=[,)]|$)", r"\1", text)


def signature(head: str) -> str:
    """Arguments and result of a function: up to its language."""
    return head.partition(" language ")[0]
