"""Django's test runner, which also writes down what became of each test."""

from __future__ import annotations

import json
import os
import unittest
from pathlib import Path
from typing import Any

from django.db import connections
from django.test.runner import DiscoverRunner


class Recorder(DiscoverRunner):
    """Writes {test id: "passed" | "failed" | "skipped"} to the file named by CONFORMANCE_REPORT."""

    def run_suite(self, suite: unittest.TestSuite, **kwargs: Any) -> Any:
        """Run and record."""
        outcomes = {test.id(): "passed" for test in _tests(suite)}
        result: Any = super().run_suite(suite, **kwargs)
        for test, _ in [*result.failures, *result.errors]:
            # A subtest counts for the test it is part of; what fails before any test counts by its own name.
            outcomes[getattr(test, "test_case", test).id()] = "failed"
        for test, _ in result.skipped:
            outcomes[test.id()] = "skipped"
        Path(os.environ["CONFORMANCE_REPORT"]).write_text(json.dumps(outcomes), encoding="utf-8")
        return result

    def teardown_databases(self, old_config: Any, **kwargs: Any) -> None:
        """Drop the database with whatever async tests have left connected to it."""
        for connection in connections.all():
            name = connection.settings_dict["NAME"]
            with connection.cursor() as cursor:
                cursor.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = %s and pid <> pg_backend_pid()",
                    [name],
                )
        super().teardown_databases(old_config, **kwargs)


def _tests(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    found: list[unittest.TestCase] = []
    for test in suite:
        found.extend(_tests(test) if isinstance(test, unittest.TestSuite) else [test])
    return found
