"""What is said of an error of the server: one line, and nothing of the rows that it concerns."""

from __future__ import annotations

import psycopg
import pytest
from django.db import DatabaseError, connection

from queue_tasks.database_errors import brief

REFUSE = """
do $$ begin
    raise exception 'not in the\n    stock' using detail = 'Key (card)=(4111) is taken.', hint = 'Order 4111.';
end $$
"""


def test_what_a_server_adds_to_its_message_quotes_rows_and_is_left_out(dsn: str) -> None:
    with psycopg.connect(dsn) as session, pytest.raises(psycopg.Error, match="4111") as refused:
        session.execute(REFUSE)
    assert brief(refused.value) == "not in the stock"


@pytest.mark.django_db
def test_it_is_left_out_of_the_error_that_django_makes_of_it() -> None:
    with connection.cursor() as cursor, pytest.raises(DatabaseError, match="4111") as refused:
        cursor.execute(REFUSE)
    assert brief(refused.value) == "not in the stock"


def test_what_a_server_calls_the_parts_of_its_text_depends_on_its_language(dsn: str) -> None:
    with psycopg.connect(dsn) as session, pytest.raises(psycopg.Error) as refused:
        session.execute(REFUSE)
    error = type(refused.value)(str(refused.value).replace("DETAIL:", "DÉTAIL :"), info=refused.value.diag._info)
    assert "DÉTAIL : Key" in " ".join(str(error).split())
    assert brief(error) == "not in the stock"
