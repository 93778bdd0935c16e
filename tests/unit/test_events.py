"""Events: who listens is told, of each or of batches; what nobody listens to is not even made."""

from collections.abc import Sequence

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


def test_events_that_belong_together_are_told_each_before_the_next_is_made():
    course: list[str] = []

    def make(name: str) -> QueueResumed:
        course.append(f"made {name}")
        return QueueResumed("default", name)

    end = events.subscribe(QueueResumed, lambda event: course.append(f"told {event.name}"))
    try:
        events.tell_all(QueueResumed, (make(name) for name in "ab"))
    finally:
        end()
    events.tell_all(QueueResumed, (made() for _ in "ab"))
    assert course == ["made a", "told a", "made b", "told b"]


def test_events_that_belong_together_are_one_batch_for_who_hears_batches():
    of_each: list[QueueResumed] = []
    of_batches: list[Sequence[QueueResumed]] = []
    ends = [
        events.subscribe(QueueResumed, of_each.append),
        events.subscribe_to_batches(QueueResumed, of_batches.append),
    ]
    try:
        events.tell_all(QueueResumed, (QueueResumed("default", name) for name in "ab"))
        events.tell_all(QueueResumed, ())
    finally:
        for end in ends:
            end()
    assert [list(batch) for batch in of_batches] == [of_each]
    assert [event.name for event in of_each] == ["a", "b"]
