"""What a function's jobs may be given: the usual call is judged without `inspect`, and never otherwise than by it."""

import itertools

import pytest

from queue_tasks.signatures import shape_of, signature

# Functions of every kind of parameter.


def plain(a, b=1): ...


def with_context(context, a): ...


def with_anything(*args, **kwargs): ...


def by_place_only(a, b=1, /): ...


def by_name_only(a, *, b, c=1): ...


def by_place_and_any_name(a, /, **rest): ...


def nothing(): ...


SHAPES = [plain, by_place_only, by_name_only, by_place_and_any_name, with_anything, nothing]


@pytest.mark.parametrize("func", SHAPES)
def test_arguments_are_taken_without_inspect_only_if_they_fit(func):
    shape = shape_of(func, False)
    taken = 0
    for count in range(4):
        for names in itertools.chain.from_iterable(itertools.combinations("abcx", size) for size in range(4)):
            args, kwargs = (0,) * count, dict.fromkeys(names, 0)
            if shape.takes(args, kwargs):
                taken += 1
                shape.signature.bind(*args, **kwargs)
    assert taken


@pytest.mark.parametrize(
    ("func", "args", "kwargs"),
    [
        (plain, (1,), {}),
        (plain, (1, 2), {}),
        (plain, (1,), {"b": 2}),
        (plain, (), {"b": 2, "a": 1}),
        (by_place_only, (1, 2), {}),
        (by_name_only, (1,), {"b": 2}),
        (with_anything, (1, 2, 3), {}),
        (nothing, (), {}),
    ],
)
def test_the_usual_calls_need_no_inspect(func, args, kwargs):
    assert shape_of(func, False).takes(args, kwargs)


def test_the_signature_without_the_context_is_that_of_a_job():
    assert list(signature(with_context, takes_context=True).parameters) == ["a"]
    assert list(signature(with_context, takes_context=False).parameters) == ["context", "a"]
