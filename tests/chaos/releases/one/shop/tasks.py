"""Release 1: two tasks whose signature release 2 changes, and one that it removes."""

from __future__ import annotations

from typing import Any

from queue_tasks import RetryPolicy, task
from tests.chaos.ledger import effect, recorded

UNTIL_DEPLOYED = RetryPolicy(max_attempts=1000, wait=0.5, backoff=1.5, max_wait=2)


@task(takes_context=True)
def charge(context: Any, key: str) -> str:
    """Fail if the arguments do not fit."""
    return _leave(context, key)


@task(retry=UNTIL_DEPLOYED, takes_context=True)
def bill(context: Any, key: str) -> str:
    """Try again if the arguments do not fit."""
    return _leave(context, key)


@task(takes_context=True)
def fax(context: Any, key: str) -> str:
    """Is removed by release 2."""
    return _leave(context, key)


def _leave(context: Any, key: str) -> str:
    with recorded(key, context):
        effect(key, context)
    return key
