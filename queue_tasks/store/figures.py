"""Statements about figures: what a worker did, for charts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from queue_tasks.statements import PRUNE_FIGURES, RECORD_FIGURES
from queue_tasks.store.client import Client


class FigureStore:
    """For the recorder."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def record_figures(self, figures: Sequence[Mapping[str, Any]]) -> None:
        """Add what this worker did since it last said so to what is known of this minute, quarter and hour.

        SQL: sql/queries/record_figures.sql
        """
        await self._client.tending.rows(RECORD_FIGURES, {"figures": json.dumps(figures)})

    async def prune_figures(self) -> None:
        """Forget figures that are older than any chart.

        SQL: sql/queries/prune_figures.sql
        """
        await self._client.tending.rows(PRUNE_FIGURES)
