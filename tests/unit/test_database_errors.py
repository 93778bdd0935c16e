"""What each of the database's errors is taken for: of the moment, a value, the session, the schema, the role."""

import psycopg
import pytest
from django.db import DatabaseError, ProgrammingError

from queue_tasks.database_errors import (
    NoAnswer,
    brief,
    is_doubtful,
    is_of_the_moment,
    is_of_the_role,
    is_of_the_schema,
    is_of_the_session,
    is_of_the_value,
    is_perhaps_of_one,
    sqlstate,
    waited_for_a_lock,
    was_beaten,
)


@pytest.mark.parametrize(
    ("state", "of_the_moment", "of_the_value"),
    [
        ("08006", True, False),  # connection_failure
        ("0A000", True, False),  # cached plan must not change result type
        ("22P05", False, True),  # untranslatable_character
        ("25006", True, False),  # read_only_sql_transaction
        ("26000", True, False),  # invalid_sql_statement_name: a pooler's other server
        ("40001", False, False),  # serialization_failure: this batch, perhaps one of its rows
        ("40P01", False, False),  # deadlock_detected
        ("42P05", True, False),  # duplicate_prepared_statement
        ("53100", True, False),  # disk_full
        ("53300", True, False),  # too_many_connections
        ("54000", False, True),  # program_limit_exceeded, once it is not the queue of notifications
        ("55P03", False, False),  # lock_not_available
        ("57014", False, False),  # query_canceled, by a timeout or by hand
        ("57P01", True, False),  # admin_shutdown
        ("58030", True, False),  # io_error
    ],
)
def test_each_error_is_known_for_what_it_is(state: str, of_the_moment: bool, of_the_value: bool) -> None:
    error = psycopg.errors.lookup(state)()
    assert error.sqlstate == state
    assert (is_of_the_moment(error), is_of_the_value(error)) == (of_the_moment, of_the_value)


@pytest.mark.parametrize(("state", "of_one"), [("53100", True), ("53200", True), ("53300", False), ("40001", False)])
def test_a_shortage_may_be_of_one_row(state: str, of_one: bool) -> None:
    assert is_perhaps_of_one(psycopg.errors.lookup(state)()) is of_one


@pytest.mark.parametrize(
    ("error", "of_the_moment", "of_the_value", "doubtful"),
    [
        (psycopg.OperationalError("connection refused"), True, False, True),
        (psycopg.InterfaceError("the connection is closed"), True, False, True),
        (NoAnswer("answer from the database", 5), True, False, True),
        (ConnectionResetError(), True, False, True),
        (psycopg.ProgrammingError("cannot adapt type"), False, True, False),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), False, True, False),
    ],
)
def test_an_error_that_no_server_has_named_is_the_connections_or_the_values(
    error: Exception, of_the_moment: bool, of_the_value: bool, doubtful: bool
) -> None:
    assert (is_of_the_moment(error), is_of_the_value(error), is_doubtful(error)) == (
        of_the_moment,
        of_the_value,
        doubtful,
    )


@pytest.mark.parametrize(
    ("state", "meant"),
    [
        ("08006", {is_doubtful}),  # connection_failure
        ("57P01", {is_doubtful, is_of_the_session}),  # admin_shutdown
        ("25006", {is_of_the_session}),  # read_only_sql_transaction
        ("42P05", {is_of_the_session}),  # duplicate_prepared_statement
        ("57014", set()),  # query_canceled
        ("23505", set()),  # unique_violation
        ("42P01", {is_of_the_schema}),  # undefined_table
        ("42501", {is_of_the_role}),  # insufficient_privilege
        ("40001", {was_beaten}),  # serialization_failure
        ("40P01", {was_beaten}),  # deadlock_detected
        ("55P03", {waited_for_a_lock}),  # lock_not_available
    ],
)
def test_what_has_come_of_a_statement_is_told_by_the_same_name_within_djangos_errors(state: str, meant: set) -> None:
    error = psycopg.errors.lookup(state)()
    around = DatabaseError("as psycopg says")
    around.__cause__ = error
    questions = {is_doubtful, is_of_the_role, is_of_the_session, is_of_the_schema, was_beaten, waited_for_a_lock}
    assert {question for question in questions if question(error)} == meant
    assert {question for question in questions if question(around)} == meant


def test_an_error_of_ours_is_not_called_by_the_one_it_came_of() -> None:
    error = NoAnswer("answer from the database", 5)
    error.__cause__ = psycopg.errors.AdminShutdown()
    assert sqlstate(error) == ""
    assert sqlstate(ProgrammingError("made by Django itself")) == ""


def test_what_is_said_of_an_error_is_one_line() -> None:
    assert brief(OSError("no answer\n\tIs the server running?\n")) == "no answer Is the server running?"
    assert brief(NoAnswer("answer from the database", 5)) == "no answer from the database within 5 s"
    assert brief(KeyError()) == "no message"
