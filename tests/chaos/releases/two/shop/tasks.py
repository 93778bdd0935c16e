"""Release 2: `charge` and `bill` take a currency, `fax` is gone, and there are tasks of each kind that are new."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async

from queue_tasks import RetryPolicy, task
from tests.chaos.ledger import arecorded, effect, recorded

UNTIL_DEPLOYED = RetryPolicy(max_attempts=1000, wait=0.5, backoff=1.5, max_wait=2)


@task(takes_context=True)
def charge(context: Any, key: str, currency: str) -> str:
    """Fail if the arguments do not fit."""
    return _leave(context, key, currency)


@task(retry=UNTIL_DEPLOYED, takes_context=True)
def bill(context: Any, key: str, currency: str) -> str:
    """Try again if the arguments do not fit."""
    return _leave(context, key, currency)


@task(takes_context=True)
def notify(context: Any, key: str) -> str:
    """Is new, in a thread."""
    return _leave(context, key)


@task(takes_context=True)
async def stream(context: Any, key: str) -> str:
    """Is new, on the loop."""
    async with arecorded(key, context):
        await sync_to_async(effect)(key, context)
    return key


@task(takes_context=True, atomic=True)
def settle(context: Any, key: str) -> str:
    """Is new, in the transaction that finishes the job."""
    return _leave(context, key)


@task(takes_context=True, executor="process")
def render(context: Any, key: str) -> str:
    """Is new, in a child process."""
    return _leave(context, key)


def _leave(context: Any, key: str, currency: str = "") -> str:
    with recorded(key, context):
        effect(key, context)
    return f"{key} {currency}".strip()
