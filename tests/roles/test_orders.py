"""Orders: what an operator tells, and what is done for it. Without a worker."""

import pytest

from queue_tasks.worker.ending import Ending
from queue_tasks.worker.orders import QUIET, STOP, Orders
from tests.roles.parts import Calls


class Told:
    """Orders of worker 7, and what it was called for."""

    def __init__(self, *, drain: bool = False) -> None:
        self.ending = Ending(5, lambda _: False)
        self.quiet, self.go_on = Calls(), Calls()
        self.orders = Orders(self.ending, drain=drain, on_quiet=self.quiet, on_go_on=self.go_on)
        self.orders.worker_id = 7


def test_to_be_quiet_and_to_go_on_are_done_once_however_often_they_are_told() -> None:
    told = Told()
    for word, standing, quiet, go_on in (
        (None, None, 0, 0),
        (QUIET, QUIET, 1, 0),
        (QUIET, QUIET, 1, 0),
        (None, None, 1, 1),
        (None, None, 1, 1),
        (QUIET, QUIET, 2, 1),
    ):
        told.orders.obey(7, word)
        assert (told.orders.standing, len(told.quiet), len(told.go_on)) == (standing, quiet, go_on)
    assert not told.ending.told.is_set()


@pytest.mark.parametrize(("drain", "word"), [(False, STOP), (True, STOP), (True, QUIET)])
def test_to_stop_is_to_be_replaced_and_who_drains_cannot_be_quiet(drain: bool, word: str) -> None:
    told = Told(drain=drain)
    told.orders.obey(7, word)
    assert told.ending.told.is_set()
    assert (told.ending.recycled, told.ending.stuck) == ("an operator told it to stop", False)
    assert not told.quiet


def test_what_another_was_told_is_not_done() -> None:
    told = Told()
    told.orders.obey(6, STOP)
    told.orders.obey(6, QUIET)
    assert (told.ending.told.is_set(), told.orders.standing, len(told.quiet)) == (False, None, 0)


def test_who_stops_is_told_nothing_more() -> None:
    told = Told()
    told.ending.stop()
    told.orders.obey(7, QUIET)
    told.orders.obey(7, STOP)
    assert (len(told.quiet), told.ending.recycled) == (0, None)
