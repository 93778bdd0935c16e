"""Where Django's aliases lead during a test: more entries of DATABASES, or the default one elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import dj_database_url
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from pytest_django import DjangoDbBlocker

from tests.conftest import point_django_at


@contextlib.contextmanager
def alias(name: str, **settings: Any) -> Iterator[None]:
    """One more entry of DATABASES: the test's database with other settings."""
    connections.settings[name] = {**connections.settings["default"], **settings}
    of_the_test = BaseDatabaseWrapper.ensure_connection

    def ensure_connection(self: BaseDatabaseWrapper) -> None:
        # Django lets a test use the databases only that were there when it began.
        if self.alias != name:
            of_the_test(self)
        elif self.connection is None:
            with self.wrap_database_errors:
                self.connect()

    try:
        with mock.patch.object(BaseDatabaseWrapper, "ensure_connection", ensure_connection):
            yield
    finally:
        connections[name].close()
        if getattr(connections[name], "pool", None):
            connections[name].close_pool()  # type: ignore[attr-defined]
        del connections[name]
        del connections.settings[name]


@contextlib.contextmanager
def alias_of(name: str, url: str, **settings: Any) -> Iterator[None]:
    """One more entry of DATABASES: what a URL leads to."""
    place = dj_database_url.parse(url)
    with alias(name, **{key: place[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}, **settings):
        yield


@contextlib.contextmanager
def django_at(url: str, blocker: DjangoDbBlocker) -> Iterator[None]:
    """Django's default connection leads there meanwhile."""
    before = dict(connections.settings["default"])
    with blocker.unblock():
        point_django_at(url)
        try:
            yield
        finally:
            connections.close_all()
            for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS"):
                value = before.get(name)
                connections["default"].settings_dict[name] = connections.settings["default"][name] = value
