"""A pytest plugin that puts our tables under procrastinate's own tests. Loaded by tools/conformance_procrastinate.py.

Where those tests apply procrastinate's schema, ours follows: after SchemaManager.get_schema(), and in Django's test
database as one app more, whose migrations run after procrastinate's.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from procrastinate import schema

SQL = Path(__file__).resolve().parent.parent / "sql" / "migrations"
STOCK_SCHEMA = schema.SchemaManager.get_schema


def tuned_schema() -> str:
    """Procrastinate's schema, then our migrations."""
    files = sorted(file for file in SQL.glob("0*.sql") if not file.name.endswith(".reverse.sql"))
    return "\n".join([STOCK_SCHEMA(), *(file.read_text(encoding="utf-8") for file in files)])


if os.environ.get("CONFORMANCE") == "tuned":
    schema.SchemaManager.get_schema = staticmethod(tuned_schema)  # type: ignore[method-assign]
    settings = importlib.import_module("tests.acceptance.django_settings")
    settings.INSTALLED_APPS.append("queue_tasks")
    settings.TASKS = {"default": {"BACKEND": "queue_tasks.backend.PostgresBackend"}}  # type: ignore[attr-defined]
