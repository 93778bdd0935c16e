"""SQL of the site lives in .sql files, one statement or object each, beside the code that sends it."""

from functools import cache
from pathlib import Path
from typing import LiteralString

from django.db.migrations import RunSQL


@cache
def read_sql(path: Path) -> LiteralString:
    """The file's text. A file of this program is as trustworthy as a string in it, and the type says so."""
    return path.read_text(encoding="utf-8")  # type: ignore[return-value,unused-ignore]


def create(path: Path) -> RunSQL:
    """A migration's operation that runs the file, and `<name>.reverse.sql` beside it on the way back."""
    return RunSQL(read_sql(path), reverse_sql=read_sql(path.with_suffix(".reverse.sql")))
