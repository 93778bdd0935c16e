"""What the filter's field offers: words of the grammar and of what there is, nothing that may not be seen."""

import re
from html import unescape

from tests.dashboard.visitors import OPERATES, address, text_of, visitor


def words(client, query=""):
    return [
        unescape(word) for word in re.findall(r'<option value="([^"]*)">', text_of(client.get(address("jobs") + query)))
    ]


def test_the_words_are_those_of_the_grammar_and_of_what_there_is(operator, make_job, ask):
    make_job(queue_name="two words")
    worker = ask("insert into procrastinate_workers (qt_name, qt_queues) values ('camel', '{media}') returning id")
    found = words(operator)
    assert len(found) == len(set(found)) <= 500
    for word in ("task:", "fingerprint:", "status:failed", "since:1h", 'queue:"two words"', "queue:media"):
        assert word in found, word
    for word in (f"worker:{worker}", "task:secretive", "args.b:"):
        assert word in found, word


def test_every_word_is_one_that_the_filter_understands(operator, make_job):
    make_job(queue_name='of "quotes" and \\ slashes')
    whole = [word for word in words(operator) if not word.endswith(":")]
    assert whole
    for word in whole:
        assert operator.get(address("jobs"), {"q": word}).status_code == 200, word


def test_what_may_not_be_seen_is_not_offered(viewer, make_job, settings, ask):
    assert not [word for word in words(viewer) if word.startswith("args.")]
    assert "args.card:" not in words(visitor("one", *OPERATES))
    make_job(queue_name="southern")
    ask("insert into procrastinate_workers (qt_name, qt_queues) values ('camel', '{southern}') returning id")
    settings.QUEUE_TASKS_DASHBOARD = {"visible_queues": lambda _request: ["northern"]}
    found = words(visitor("tenant", *OPERATES))
    assert "queue:northern" in found
    assert not [word for word in found if "southern" in word or (word.startswith("worker:") and word != "worker:")]


def test_a_filter_that_is_wrong_is_helped_too(viewer):
    assert "status:failed" in words(viewer, "?q=nonsense")
    assert 'list="words"' in text_of(viewer.get(address("jobs")))
