"""What a function's jobs may be given: its parameters without the context, and whether a call fits them.

No database, no Django.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=4096)
def signature(func: Callable[..., Any], *, takes_context: bool) -> inspect.Signature:
    """The parameters a job of this function takes: those of the function, without the context."""
    if sys.version_info >= (3, 14):
        import annotationlib  # noqa: PLC0415 - new in 3.14

        # A name that only type checkers import must not fail here.
        shape = inspect.signature(func, annotation_format=annotationlib.Format.FORWARDREF)
    else:
        shape = inspect.signature(func)
    if not takes_context:
        return shape
    return shape.replace(parameters=list(shape.parameters.values())[1:])


class Shape:
    """What a function's jobs may be given, so that the usual call is judged without `inspect`."""

    def __init__(self, shape: inspect.Signature) -> None:
        self.signature = shape
        parameters = shape.parameters.values()
        positional = [one for one in parameters if one.kind <= one.POSITIONAL_OR_KEYWORD]
        self.names = [one.name for one in positional]
        """Of the positional parameters, in order."""
        self._any_number = any(one.kind is one.VAR_POSITIONAL for one in parameters)
        # Where each name stands among the positional ones; those that only a name can give stand behind all.
        places = {one.name: place for place, one in enumerate(positional)}
        self._named = {
            one.name: places.get(one.name, sys.maxsize)
            for one in parameters
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        }
        self._required = [
            (one.name, places.get(one.name, sys.maxsize))
            for one in parameters
            if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        ]
        # Of calls that name nothing.
        self._fewest = max((place + 1 for _, place in self._required), default=0)
        self._most = sys.maxsize if self._any_number else len(positional)

    def takes(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether the arguments fit for certain; False: `inspect` has to judge."""
        given = len(args)
        if not kwargs:
            return self._fewest <= given <= self._most
        if given > len(self.names) and not self._any_number:
            return False
        # A name that is not known stands nowhere, one that is given by place too stands among those.
        for name in kwargs:
            if self._named.get(name, -1) < given:
                return False
        for name, place in self._required:  # noqa: SIM110 - `all` would make a generator for each job
            if place >= given and name not in kwargs:
                return False
        return True


@lru_cache(maxsize=4096)
def shape_of(func: Callable[..., Any], takes_context: bool) -> Shape:  # noqa: FBT001 - by position, a cache answers faster
    """The shape of a function's jobs, found out once."""
    return Shape(signature(func, takes_context=takes_context))
