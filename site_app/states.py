"""The states a visitor sees, and how many of them become one. Pure values."""

from collections.abc import Collection

from django.db import models


class State(models.TextChoices):
    """Where a piece of work is."""

    WAITING = "waiting", "Waiting"
    WORKING = "working", "Working"
    DONE = "done", "Done"
    RETRYING = "retrying", "Retrying"
    FAILED = "failed", "Failed"


ENDED = (State.DONE, State.FAILED)


def state_of_all(states: Collection[str]) -> State:
    """The one state that describes work in several steps: the worst, and else how far it is.

    Work with no steps is done.
    """
    if State.FAILED in states:
        return State.FAILED
    if State.RETRYING in states:
        return State.RETRYING
    if all(state == State.DONE for state in states):
        return State.DONE
    if all(state == State.WAITING for state in states):
        return State.WAITING
    return State.WORKING
