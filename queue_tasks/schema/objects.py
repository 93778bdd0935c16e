"""What a database object is, and how it stands to its file. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an object is."""

    COLUMN = "table column"
    INDEX = "index"
    FUNCTION = "function"
    TRIGGER = "trigger"
    UPSTREAM_TRIGGER = "upstream trigger"
    UPSTREAM_CONSTRAINT = "upstream constraint"
    UPSTREAM_FUNCTION = "upstream function"
    UPSTREAM_TYPE = "upstream type"


class State(StrEnum):
    """How an object stands to its file."""

    INSTALLED = "installed"
    """As its file says; of upstream's: there, as we need it."""
    OUTDATED = "outdated"
    """There, but not as its file says, or switched off."""
    MISSING = "missing"
    UNWANTED = "unwanted"
    """Upstream's own object, which ours replaces, is back."""
    UNKNOWN = "unknown"
    """Named as ours are, and in no file: left behind, or of a newer release. Never touched."""


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """One database object and how it stands to its file."""

    kind: Kind
    name: str
    """Of a column: table.column."""
    file: str
    """Path within sql/; empty when no file is about it."""
    state: State

    def __str__(self) -> str:
        """Say what it is and how it is, for logs and terminals."""
        return f"{self.kind} {self.name}: {self.state}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object as its living file makes it."""

    kind: Kind
    name: str
    file: str
    definition: str
    """Normalised; compared with that of the catalogs."""
    signature: str = ""
    """Of a function: what `create or replace` cannot change."""


@dataclass(frozen=True, slots=True)
class Found:
    """One object as the catalogs describe it."""

    definition: str
    signature: str = ""
    identity: str = ""
    """Of a function: what `drop function` needs to know it by."""


WRONG = frozenset({State.OUTDATED, State.MISSING, State.UNWANTED})
"""States that a repair mends."""
