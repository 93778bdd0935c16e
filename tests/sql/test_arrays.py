"""What is written as an array is read by Postgres as what it was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queue_tasks.store import arrays
from tests.sql.session import Session

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
KINDS: dict[str, tuple[Callable[[Sequence[Any]], str | None], st.SearchStrategy[Any]]] = {
    "bigint[]": (arrays.integers, st.integers(-(2**63), 2**63 - 1)),
    "float8[]": (arrays.numbers, st.none() | st.floats(allow_nan=False) | st.integers(-(2**31), 2**31)),
    "text[]": (arrays.texts, st.none() | TEXT | st.sampled_from(["NULL", "", "{}", ",", '"', "\\"])),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_array_is_read_as_it_was_written(session: Session, kind: str, data: st.DataObject) -> None:
    write, element = KINDS[kind]
    values = data.draw(st.lists(element, max_size=5) | st.builds(lambda one, n: [one] * n, element, st.integers(1, 5)))
    read = session.value(f"select %s::{kind}", write(values))
    assert read == (None if values.count(None) == len(values) and write is not arrays.integers else values)


def test_seconds_are_written_to_the_microsecond(session: Session) -> None:
    read = session.value("select %s::float8[]", arrays.seconds([0.1234567, None, 3e-7, 12345678.0]))
    assert read == [0.123457, None, 0.0, 12345678.0]


@pytest.mark.parametrize("write", [arrays.numbers, arrays.seconds])
@pytest.mark.parametrize("values", [["1,2"], [1.0, "1,2"], [None, {}]])
def test_what_is_no_number_is_refused(write: Callable[[Sequence[Any]], str | None], values: list[Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        write(values)
