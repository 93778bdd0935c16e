"""The tasks that are measured: bodies that do nothing, or one known thing, so that what is left is the queue."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from benchmarks.durations import BUSY, LONG, NAP
from benchmarks.models import Page
from benchmarks.sides import speech
from queue_tasks import task


@task
async def noop() -> None:
    """Do nothing on the loop."""
    speech.tally()


@task(keep=False)
async def ephemeral() -> None:
    """Do nothing on the loop and leave no trace."""
    speech.tally()


@task
def thread() -> None:
    """Do nothing in a thread."""
    speech.tally()


@task
def orm() -> None:
    """One query and one update by Django's ORM, in a thread."""
    page = Page.objects.get(pk=1)
    Page.objects.filter(pk=1 + page.views % Page.ROWS).update(views=page.views)
    speech.tally()


@task(executor="process")
def process() -> None:
    """Do nothing in a process."""


@task
async def nap() -> None:
    """Sleep on the loop."""
    await asyncio.sleep(NAP)
    speech.tally()


@task
async def clock() -> None:
    """Say when it started."""
    speech.clock()


@task
async def busy() -> None:
    """Use the processor, on the loop: one job at a time in a process."""
    until = time.thread_time() + BUSY
    while time.thread_time() < until:
        pass


@task
async def long() -> None:
    """Take a while without using anything."""
    await asyncio.sleep(LONG)


@task(keep=timedelta(seconds=2))
async def brief() -> None:
    """Do nothing, and leave a trace for two seconds."""
    speech.tally()
