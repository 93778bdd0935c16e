"""Every SQL example runs on a migrated database."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from tests.docs.pages import all_pages, blocks, name_of

WITH_SQL = [page for page in all_pages() if any(block.language == "sql" for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_SQL, ids=name_of)
def test_the_queries_of_the_page_run(page: Path, db: None):
    for block in blocks(page):
        if block.language == "sql":
            with connection.cursor() as cursor:
                cursor.execute(block.text)
