"""Tracebacks are what Python would print, though each place is formatted once."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

from queue_tasks.worker import tracebacks


def plain() -> None:
    raise ValueError("plain")


def deep(levels: int) -> None:
    if not levels:
        raise ValueError("deep")
    deep(levels - 1)


def in_turn(levels: int) -> None:
    (deep if levels % 2 else in_turn)(levels - 1)


def caused() -> None:
    try:
        plain()
    except ValueError as exc:
        raise KeyError("caused") from exc


def while_handling() -> None:
    try:
        caused()
    except KeyError:
        deep(2)


def suppressed() -> None:
    try:
        plain()
    except ValueError:
        raise KeyError("alone") from None


def grouped() -> None:
    errors: list[Exception] = []
    for function in (plain, caused, suppressed):
        try:
            function()
        except Exception as exc:  # noqa: BLE001 - to be a part of the group
            errors.append(exc)
    raise ExceptionGroup("group", [*errors, ExceptionGroup("inner", [OSError(2, "never raised")])])


def noted() -> None:
    error = ValueError("noted")
    error.add_note("first line\nsecond line")
    raise error


def mistyped() -> None:
    len(tracebakcs)  # type: ignore[name-defined] # noqa: F821 - Python suggests another name


def no_syntax() -> None:
    compile("def f(:\n", "<typed>", "exec")


def without_source() -> Any:
    exec(compile("def f():\n    1 / 0\nf()", "<generated>", "exec"), {})  # noqa: S102 - of no file


def circular() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


def one_statement_in_parts() -> None:
    zip(
        [1, 2],
        without_source(),
        strict=True,
    )


RAISING: list[Callable[[], Any]] = [
    plain, lambda: deep(1), lambda: deep(3), lambda: deep(4), lambda: deep(50), lambda: in_turn(6), caused,
    while_handling, suppressed, grouped, noted, mistyped, no_syntax, without_source, circular, one_statement_in_parts,
]  # fmt: skip


def raised_by(raising: Callable[[], Any]) -> Exception:
    try:
        raising()
    except Exception as exc:  # noqa: BLE001 - whatever it is
        return exc
    raise AssertionError("it raised nothing")


@pytest.mark.parametrize("raising", RAISING)
def test_it_is_what_python_prints(raising: Callable[[], Any]) -> None:
    for _ in range(2):
        error = raised_by(raising)
        expected = "".join(traceback.format_exception(error))
        assert tracebacks.traceback_of(error, error.__traceback__) == expected
        assert tracebacks.frames_of(error.__traceback__) == "".join(traceback.format_tb(error.__traceback__))


def test_what_was_never_raised_has_no_frames() -> None:
    error = ValueError("never raised")
    assert tracebacks.traceback_of(error, None) == "".join(traceback.format_exception(error))


def test_the_frames_are_those_that_were_asked_for() -> None:
    with pytest.raises(KeyError) as info:
        caused()
    inner = info.value.__traceback__.tb_next
    text = tracebacks.traceback_of(info.value, inner)
    assert text == "".join(traceback.format_exception(KeyError, info.value, inner))


def test_places_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracebacks, "MAX_PLACES", 3)
    monkeypatch.setattr(tracebacks, "_texts", {})
    for raising in RAISING:
        error = raised_by(raising)
        expected = "".join(traceback.format_exception(error))
        assert tracebacks.traceback_of(error, error.__traceback__) == expected
        assert len(tracebacks._texts) <= 3
