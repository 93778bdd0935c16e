"""S23 arg-fidelity: whatever is accepted arrives equal; whatever is refused is refused before any SQL."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import uuid
from typing import Any, NamedTuple

import hypothesis
from django.contrib.auth.models import Group
from django.db import connection, transaction
from hypothesis import strategies as st

from tests.chaos.accounting import Acked
from tests.chaos.canonical import canonical
from tests.chaos.harness import Chaos


class Level(enum.IntEnum):
    LOW = 1


class Colour(enum.StrEnum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


ODD = [
    10**4299,
    10**4300,
    -(10**5000),
    2**63,
    1e23,
    1.797e308,
    5e-324,
    -0.0,
    float("nan"),
    float("-inf"),
    "\x00",
    "\ud800",
    "\u2028\U0001f600",
    b"caf\xc3\xa9",
    b"\xff",
    Level.LOW,
    Colour.RED,
    Point(1, 2),
    {1: "a", "1": "b"},
    {None: 1},
    {"a": {"b": {"": []}}},
    {1, 2},
    decimal.Decimal("1.10"),
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    uuid.UUID(int=1),
    1j,
    object(),
    collections.OrderedDict(b=1, a=2),
    collections.deque([1]),
    range(3),
    "x" * 2_000_000,
]
ODD += [[[[value]]] for value in ODD] + [{"key": value} for value in ODD]

text = st.text() | st.text(st.characters(exclude_categories=[]))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text | st.binary() | st.dates() | st.decimals(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(text, inner)
        | st.dictionaries(st.integers() | st.none() | text, inner)
    ),
    max_leaves=8,
)


def examples(count: int, seed: int) -> list[Any]:
    """So many values, the same for the same seed."""
    found: list[Any] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(anything)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def expected_of(value: Any) -> str:
    try:
        return canonical(value)
    except (TypeError, ValueError):
        return "nothing: it must be refused"


def test_an_accepted_argument_arrives_equal_and_a_refused_one_costs_the_caller_nothing(chaos: Chaos) -> None:
    from tests.chaos.tasks import compare

    values = [*ODD, *examples(chaos.size(quick=120, full=10_000), chaos.seed)]
    refused, broken = 0, []
    for value in values:
        key = chaos.key()
        sent: list[str] = []

        def count(execute: Any, sql: Any, *rest: Any, sent: list[str] = sent) -> Any:
            sent.append(sql)
            return execute(sql, *rest)

        with transaction.atomic():
            try:
                with connection.execute_wrapper(count):
                    result = compare.enqueue(key, value, expected_of(value))
            except (TypeError, ValueError) as exc:
                refused += 1
                if sent:
                    broken.append(f"{value!r:.80} was refused ({exc!r:.80}) after {len(sent)} statements")
                assert Group.objects.count() == 0, "the caller's transaction goes on"
            else:
                chaos.acked.append(Acked(key, int(result.id)))
    assert 0 < refused < len(values)
    with chaos.fleet(1, concurrency=8) as fleet:
        chaos.until_done(timeout=600)
    unequal = chaos.rows(
        "select left(args::text, 200) as args, left(qt_errors::text, 500) as errors from procrastinate_jobs "
        "where status <> 'succeeded' limit 5"
    )
    chaos.report(
        fleet,
        most_duplicates=0,
        criteria={f"accepted is equal: {unequal}": not unequal, f"refused before SQL: {broken[:5]}": not broken},
        figures={"refused": refused},
    )
