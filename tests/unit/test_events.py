"""Events: who listens is told, of each or of batches; what nobody listens to is not even made."""

from queue_tasks import events
from queue_tasks.events import QueueResumed


def made() -> QueueResumed:
    raise AssertionError("nobody listens")


def test_an_event_that_nobody_listens_to_is_not_made():
    events.tell(made)


def test_an_event_is_made_of_its_values_for_who_listens():
    of_each: list[QueueResumed] = []
    of_batches: list[list[QueueResumed]] = []
    ends = [
        events.subscribe(QueueResumed, of_each.append),
        events.subscribe_to_batches(QueueResumed, lambda batch: of_batches.append(list(batch))),
    ]
    try:
        events.tell(QueueResumed, "default", name="mails")
    finally:
        for end in ends:
            end()
    events.tell(QueueResumed, "default", "mails")
    assert of_each == [QueueResumed("default", "mails")]
    assert of_batches == [of_each]
