"""What an error of the database means for who sent the statement: whose it is, and whether to send it again.

Most are told apart by their SQLSTATE, which only a server gives: an error without one comes from a connection that was
lost or refused, or from values that could not even be sent. Whoever is asked knows psycopg's errors, Django's around
them where a server has spoken, and whatever else a call may raise.
"""

from __future__ import annotations

import psycopg

from queue_tasks.exceptions import SchemaOutdated

DATABASE_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError)
"""What a lost, refused or overloaded connection raises; worth trying again."""

StatementRefused = psycopg.Error
"""What the server answers to a statement it will not run, and the root of all errors of a connection."""

OF_THE_MOMENT = ("08", "0A", "25", "26", "42", "53", "57P", "58")
"""SQLSTATEs, or their beginnings, of a server that is going away, read-only, full, or in the middle of a migration, and
of a pooler that gave us another server than the one we had prepared statements on."""

OF_THE_VALUE = ("22", "54")
"""SQLSTATEs, or their beginnings, of a value that cannot be stored: of no use to send again."""

PERHAPS_OF_ONE = ("531", "532", "534")
"""Beginnings of SQLSTATEs of the moment that may as well be of one row among many: short of disk or memory, for all of
them or only for a large one."""

OF_THE_SESSION = ("0A", "25", "26", "42P05", "57P")
"""SQLSTATEs, or their beginnings, that another session may not meet: it finds the new primary, or makes new plans."""

DOUBTFUL = ("08", "57P")
"""Beginnings of SQLSTATEs of a broken connection and of a server going away."""

BEATEN = ("40001", "40P01")
"""SQLSTATEs: serialization_failure, deadlock_detected."""

LOCK_NOT_AVAILABLE = "55P03"
"""The SQLSTATE of a wait for a lock that took longer than the lock timeout."""

QUERY_CANCELED = "57014"
"""The SQLSTATE of a statement that somebody has had cancelled, or that took longer than the statement timeout."""

NOT_MIGRATED = ("42P01", "42703", "42883")
"""SQLSTATEs of a table, a column and a function that do not exist."""

NOT_ALLOWED = "42501"
"""The SQLSTATE of what the login's role may not do."""


class NoAnswer(psycopg.OperationalError):
    """The database did not answer in time, as when the network swallows what is sent; the connection was given up."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"no {what} within {seconds:g} s")


class NotifyQueueFull(psycopg.OperationalError):
    """The server's queue of notifications is full: whoever notifies is refused until its slowest listener reads."""


def sqlstate(error: BaseException) -> str:
    """What the server called an error of psycopg's, or of Django's around one; "": no server has said it."""
    told = error if isinstance(error, psycopg.Error) else error.__cause__
    return getattr(told, "sqlstate", None) or ""


# ---------------------------------------------------------------------------------------------------- whose error it is


def is_of_the_moment(error: Exception) -> bool:
    """Whether an error says nothing of the values that were sent: the same statement may succeed a little later."""
    state = sqlstate(error)
    return state.startswith(OF_THE_MOMENT) if state else _is_of_the_connection(error)


def is_perhaps_of_one(error: Exception) -> bool:
    """Whether an error of the moment may be of one row of those that were sent, while the others could be written."""
    return sqlstate(error).startswith(PERHAPS_OF_ONE)


def is_of_the_value(error: Exception) -> bool:
    """Whether an error is of values that never can be written, as they are."""
    state = sqlstate(error)
    # Without one, psycopg, or Python, could not even put them on the wire.
    return state.startswith(OF_THE_VALUE) if state else not _is_of_the_connection(error)


def is_of_the_session(error: Exception) -> bool:
    """Whether another session of the same database might not meet this error."""
    return sqlstate(error).startswith(OF_THE_SESSION)


def is_of_the_schema(error: Exception) -> bool:
    """Whether the database lacks what the statement names, as before a migration."""
    return sqlstate(error) in NOT_MIGRATED


def is_of_the_role(error: Exception) -> bool:
    """Whether the login may not do what the statement does."""
    return sqlstate(error) == NOT_ALLOWED


def migration(database: str) -> str:
    """The command that makes what a database lacks. database: its alias."""
    return "manage.py migrate" if database == "default" else f"manage.py migrate --database {database}"


def outdated(error: Exception, database: str) -> SchemaOutdated:
    """An error of the schema as one of ours, which says what to do."""
    return SchemaOutdated(database, brief(error), migration(database))


# -------------------------------------------------------------------------------------------------- what has come of it


def is_doubtful(error: Exception) -> bool:
    """Whether the statement may have been carried out all the same: no answer came, or that of a server going away."""
    state = sqlstate(error)
    return state.startswith(DOUBTFUL) if state else _is_of_the_connection(error)


def was_beaten(error: Exception) -> bool:
    """Whether a transaction lost to another one and did nothing."""
    return sqlstate(error) in BEATEN


def waited_for_a_lock(error: Exception) -> bool:
    """Whether a statement was given up because another session held a lock for longer than the lock timeout."""
    return sqlstate(error) == LOCK_NOT_AVAILABLE


def was_cancelled(error: Exception) -> bool:
    """Whether a statement was cancelled, by somebody or by the statement timeout."""
    return sqlstate(error) == QUERY_CANCELED


def _is_of_the_connection(error: Exception) -> bool:
    return isinstance(error, (*DATABASE_ERRORS, OSError))


def brief(error: BaseException) -> str:
    """What an error says, in one line, without what a server adds below: its details quote rows, and so arguments."""
    told = error if isinstance(error, psycopg.Error) else error.__cause__
    # Taken from its field: what the server calls the parts of its text depends on its language.
    said = told.diag.message_primary if isinstance(told, psycopg.Error) else None
    return " ".join((said or str(error)).split()) or "no message"
