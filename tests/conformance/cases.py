"""The test case that takes the place of Django's, whose tests need no database."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test import TransactionTestCase

from tests.conformance.backends import TABLES


class JobsTestCase(TransactionTestCase):
    """Leaves no job behind."""

    def _fixture_teardown(self) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(f"truncate {TABLES}")
        return super()._fixture_teardown()  # type: ignore[misc]  # not in the stubs
