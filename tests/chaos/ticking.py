"""A procrastinate periodic task that ticks every second, for the workers of S26."""

from __future__ import annotations

from procrastinate import JobContext
from procrastinate.contrib.django import app

from tests.chaos.ledger import effect, recorded


# Seconds are the sixth field.
@app.periodic(cron="* * * * * *")
@app.task(name="tests.chaos.ticking.tick", pass_context=True)
def tick(context: JobContext, timestamp: int) -> None:
    """Write the tick into the ledger."""
    key = f"tick {timestamp}"
    with recorded(key, context):
        effect(key, context)
