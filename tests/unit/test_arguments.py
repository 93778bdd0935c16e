"""What may be stored as JSON, and the errors that say what may not."""

import array
import datetime as dt
import decimal
import enum
import json
import re
import sys
import uuid
from collections import ChainMap, OrderedDict, UserDict, deque
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
from django.http import QueryDict
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from queue_tasks import compat
from queue_tasks.arguments import MAX_DEPTH, NOTHING, decode, encode_arguments, encode_plainly, encode_value
from queue_tasks.exceptions import ArgumentsNotStorable, ArgumentsOutOfRange

normalize_json = import_string(
    "django.utils.json.normalize_json" if compat.FRAMEWORK == "django.tasks" else "django_tasks.utils.normalize_json"
)
TASK = "shop.tasks.send"


class Point(NamedTuple):
    x: int
    y: int


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Plain(enum.Enum):
    ONE = 1


class Text(str):
    __slots__ = ()


class Whole(int):
    def __repr__(self) -> str:
        return "not a number"


class Real(float):
    def __repr__(self) -> str:
        return "not a number"


def there_and_back(value: Any) -> Any:
    return decode(encode_value(TASK, "x", value))


def encode(*args: Any, names=("photo_id", "width"), max_bytes=1_048_576, **kwargs: Any) -> str:
    return encode_arguments(TASK, args, kwargs, names=names, max_bytes=max_bytes)


# ------------------------------------------------------------------------------------------------------------ accepted


def test_arguments_are_written_as_one_object_of_args_and_kwargs():
    assert json.loads(encode(1, "two", width=None)) == {"args": [1, "two"], "kwargs": {"width": None}}


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -1, 2**63, 0.1, -2.5, 1e16, 1e22, 1e23, 1.797e308, 5e-324,
        2**53 + 1, "", "é", "𐍈", "\u2028", "\x7f", '"\\/\b\f\n\r\t\x1f', "\\u0000", [], {}, [[]], {"": {"": []}},
        {"nested": [1, {"deep": [None, True]}]},
    ],
)  # fmt: skip
def test_a_value_that_json_has_comes_back_equal_and_of_the_same_type(value):
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_whole_number_of_4300_digits_comes_back(sign):
    number = sign * (10**4300 - 1)
    assert there_and_back(number) == number


def test_negative_zero_comes_back_equal():
    assert there_and_back(-0.0) == 0.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2, 3)), [1, [2, 3]]),
        (range(3), [0, 1, 2]),
        (deque("ab"), ["a", "b"]),
        (array.array("i", [1, 2]), [1, 2]),
        (Point(1, 2), [1, 2]),
        (b"caf\xc3\xa9", "café"),
        ({"a": b"x"}, {"a": "x"}),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (ChainMap({"a": 1}, {"b": 2}), {"a": 1, "b": 2}),
        (UserDict(a=1), {"a": 1}),
    ],
)
def test_what_django_normalizes_is_normalized_in_the_same_way(value, expected):
    assert there_and_back(value) == expected == normalize_json(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Text("x"), "x"),
        (Whole(7), 7),
        (Real(7.5), 7.5),
        (Real(1e23), 1e23),
        ({Colour.RED: 1}, {"red": 1}),
    ],
)
def test_a_subclass_of_a_json_type_is_written_as_its_value(value, expected):
    assert there_and_back(value) == expected == value


def test_a_large_float_is_never_written_as_a_whole_number():
    """Postgres writes 1e+23 out as digits, which Python would read as an int."""
    assert encode_value(TASK, "x", 1e23) == "1" + 23 * "0" + ".0"


def test_text_that_is_not_ascii_is_written_as_it_is():
    assert encode_value(TASK, "x", "é𐍈") == '"é𐍈"'


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), inner)
    ),
)


@given(json_values)
def test_whatever_json_can_say_comes_back_equal(value):
    assert there_and_back(value) == value


@given(
    st.recursive(
        json_values | st.text() | st.floats() | st.binary() | st.complex_numbers() | st.dates(),
        lambda inner: (
            st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner)
        ),
    )
)
def test_anything_else_comes_back_as_django_normalizes_it_or_is_refused_by_name(value):
    try:
        back = there_and_back(value)
    except (ArgumentsNotStorable, ArgumentsOutOfRange) as refusal:
        assert str(refusal).startswith(f"{TASK}: x")  # noqa: PT017 - either is right
    else:
        assert back == normalize_json(value)


# ------------------------------------------------------------------------------------------------------------- plainly


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((1, "two", None, True, False, 0.5, -1e-7), {}),
        (('é𐍈\n"',), {"width": 3, "ü": "x"}),
        (([1, 2, [3, (4,)]],), {"options": {"a": {"b": [None]}}}),
        ((list(range(1000)),), {}),
    ],
)
def test_plain_arguments_are_written_at_once_and_as_if_each_was_judged(args, kwargs):
    text = encode_plainly(args, kwargs, max_bytes=10_000)
    assert text == encode_arguments(TASK, args, kwargs, max_bytes=10_000)


@given(st.lists(json_values, max_size=3), st.dictionaries(st.text(), json_values, max_size=3))
def test_what_is_written_at_once_is_what_judging_each_value_gives(args, kwargs):
    plain = encode_plainly(args, kwargs, max_bytes=10_000)
    if plain is not None:
        assert plain == encode_arguments(TASK, args, kwargs, max_bytes=10_000)


@pytest.mark.parametrize(
    "value",
    [
        "\x00", "\ud800", "\\u0000", b"x", 10**4300, 1e23, float("nan"), float("inf"), {1: 2}, {None: 1},
        {"a": {True: 1}}, {1}, object(), Colour.RED, Level.HIGH, Text("x"), Whole(7), Real(7.5), Point(1, 2),
        OrderedDict(a=1), QueryDict("a=1"), range(3), [Whole(1)], [["\ud800"]], {"\x00": 1}, {Colour.RED: 1},
        deque([1]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_whatever_json_or_postgres_might_change_is_left_to_be_judged(value):
    assert encode_plainly((1, value), {}, max_bytes=10_000) is None
    assert encode_plainly((), {"x": [value]}, max_bytes=10_000) is None


@pytest.mark.parametrize("name", ["\x00", "\ud800"])
def test_a_name_that_postgres_cannot_store_is_left_to_be_judged(name):
    assert encode_plainly((), {name: 1}, max_bytes=10_000) is None


def test_what_is_too_long_too_deep_or_holds_itself_is_left_to_be_judged():
    loop: list[Any] = []
    loop.append(loop)
    bomb: list[Any] = [1]
    for _ in range(60):
        bomb = [bomb, bomb]
    for value in ("x" * 1000, "é" * 500, [1] * 600, nested(MAX_DEPTH + 1), loop, bomb):
        assert encode_plainly((value,), {}, max_bytes=1000) is None
    assert encode_plainly((nested(MAX_DEPTH),), {}, max_bytes=1000) is not None


def test_no_arguments_too_have_a_length():
    assert encode_plainly((), {}, max_bytes=len(NOTHING)) == NOTHING
    assert encode_plainly((), {}, max_bytes=len(NOTHING) - 1) is None


def test_a_longer_limit_of_digits_of_this_process_lets_no_longer_number_through():
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        assert encode_plainly((10**4300,), {}, max_bytes=10_000) is None
        with pytest.raises(ValueError, match="more than 4,300 digits"):
            encode_value(TASK, "x", [10**4300])
    finally:
        sys.set_int_max_str_digits(limit)


# ------------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("value", "found", "remedy"),
    [
        (float("nan"), "is nan, which JSON does not have", "Pass None"),
        (float("inf"), "is inf, which JSON does not have", "Pass None"),
        (Real("-inf"), "is -inf, which JSON does not have", "Pass None"),
        ("a\x00b", r"has a NUL character (\x00), which Postgres cannot store", "Remove it"),
        (b"a\x00b", r"has a NUL character (\x00), which Postgres cannot store", "Remove it"),
        ("\ud800", r"has a lone surrogate ('\ud800'), which is not valid Unicode", "Decode the text"),
        (b"\xff", "is bytes that are not UTF-8 text", "base64"),
        (10**4300, "is an integer of more than 4,300 digits, which cannot be read back", "as text"),
        (-(10**5000), "is an integer of more than 4,300 digits, which cannot be read back", "as text"),
    ],
    ids=["nan", "inf", "-inf", "NUL", "NUL in bytes", "surrogate", "bytes", "4,301 digits", "-5,001 digits"],
)
def test_a_value_that_would_be_changed_or_refused_on_its_way_is_a_value_error(value, found, remedy):
    with pytest.raises(ValueError, match=re.escape(f'{TASK}: argument "photo_id" {found}')) as refusal:
        encode(value)
    assert isinstance(refusal.value, ArgumentsOutOfRange)
    assert remedy in str(refusal.value)


@pytest.mark.parametrize(
    ("value", "type_name", "remedy"),
    [
        (object(), "object", "Pass text"),
        ({1}, "set", "sorted list"),
        (frozenset(), "frozenset", "sorted list"),
        (dt.date(2026, 11, 23), "datetime.date", "isoformat()"),
        (dt.timedelta(1), "datetime.timedelta", "str(value)"),
        (decimal.Decimal(1), "decimal.Decimal", "str(value)"),
        (uuid.UUID(int=1), "uuid.UUID", "str(value)"),
        (Plain.ONE, "Plain", "Pass its value."),
        (1j, "complex", "Pass text"),
        (bytearray(b"x"), "bytearray", "bytes(value)"),
        (memoryview(b"x"), "memoryview", "bytes(value)"),
        ((i for i in "ab"), "generator", "Pass text"),
        (gettext_lazy("x"), "__proxy__", "str(value)"),
        (SimpleNamespace(pk=7, _meta=None), "SimpleNamespace", "Pass its id (7)"),
        (QueryDict("a=1&a=2"), "QueryDict", "lists()"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_of_another_type_is_a_type_error_that_says_what_to_pass_instead(value, type_name, remedy):
    with pytest.raises(TypeError, match=r"argument \"photo_id\": Unsupported type: <") as refusal:
        encode(value)
    assert isinstance(refusal.value, ArgumentsNotStorable)
    assert type_name in str(refusal.value)
    assert remedy in str(refusal.value)


@pytest.mark.parametrize("key", [1, None, 1.5, True, b"x", (1,)])
def test_a_key_that_is_not_text_is_a_type_error(key):
    with pytest.raises(TypeError, match=r"pass text keys") as refusal:
        encode({"fine": {key: 1}})
    assert f"{type(key)} as a key ({key!r})" in str(refusal.value)
    assert "argument \"photo_id\"['fine']" in str(refusal.value)


@pytest.mark.parametrize("text", ["\x00", "\ud800"])
def test_a_key_that_postgres_cannot_store_is_a_value_error(text):
    with pytest.raises(ArgumentsOutOfRange):
        encode({text: 1})


@pytest.mark.parametrize("text", ["\x00", "\ud800"])
def test_the_name_of_an_argument_is_checked_as_its_value_is(text):
    with pytest.raises(ArgumentsOutOfRange):
        encode(**{text: 1})


def test_the_error_names_the_argument_and_the_place_within_it():
    with pytest.raises(TypeError, match=re.escape("""argument "width"[1]['size']: Unsupported""")):
        encode(1, ["fine", {"size": object()}])
    with pytest.raises(TypeError, match=re.escape('argument "options": Unsupported')):
        encode(1, options=object())
    with pytest.raises(TypeError, match=re.escape("argument 2: Unsupported")):
        encode(1, 2, object())


def test_an_error_stays_short_however_long_the_key():
    with pytest.raises(ValueError, match="is nan") as refusal:
        encode({"k" * 100_000: float("nan")})
    assert len(str(refusal.value)) < 400


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_a_value_may_be_nested_64_deep_and_no_deeper():
    assert there_and_back(nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    with pytest.raises(ValueError, match="is nested more than 64 deep"):
        there_and_back(nested(MAX_DEPTH + 1))


def test_a_list_that_holds_itself_is_refused():
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="is nested more than 64 deep"):
        encode(loop)


def test_a_small_value_that_unfolds_to_a_huge_one_is_refused_before_it_is_unfolded():
    bomb: list[Any] = [1]
    for _ in range(60):
        bomb = [bomb, bomb]
    with pytest.raises(ValueError, match="max_argument_bytes"):
        encode(bomb)


def test_arguments_may_be_as_long_as_max_bytes_and_no_longer():
    size = len(encode("x" * 100))
    assert len(encode("x" * 100, max_bytes=size)) == size
    with pytest.raises(
        ValueError, match=f"makes {size + 1:,} bytes of JSON or more, but max_argument_bytes is {size:,}"
    ):
        encode("x" * 101, max_bytes=size)


def test_size_is_counted_in_bytes_of_utf_8():
    size = len(encode("x" * 100))
    encode("é" * 50, max_bytes=size)
    with pytest.raises(ValueError, match="max_argument_bytes"):
        encode("é" * 51, max_bytes=size)


def test_the_error_about_size_names_the_largest_argument():
    with pytest.raises(ValueError, match='argument "width" makes'):
        encode(1, "x" * 100, max_bytes=100)
    with pytest.raises(ValueError, match='argument "body" makes'):
        encode("x" * 10, body="x" * 100, max_bytes=100)
