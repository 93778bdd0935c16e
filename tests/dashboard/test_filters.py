"""The grammar in which jobs are asked for."""

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_tasks.dashboard.filters import MAX_LENGTH, FilterInvalid, JobFilter, parse
from queue_tasks.jobs import JobState


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", JobFilter()),
        ("   \n ", JobFilter()),
        ("task:resize", JobFilter(task="resize")),
        ("queue:media status:failed", JobFilter(queue="media", states=(JobState.FAILED,))),
        ("status:failed,aborted,failed", JobFilter(states=(JobState.FAILED, JobState.ABORTED))),
        ("worker:12", JobFilter(worker=12)),
        ('lock:"two words"', JobFilter(lock="two words")),
        (r'lock:"a \"quoted\" \\ one"', JobFilter(lock=r'a "quoted" \ one')),
        ("lock:photo:7", JobFilter(lock="photo:7")),
        ("since:90m", JobFilter(since=timedelta(minutes=90))),
        ("since:2w", JobFilter(since=timedelta(weeks=2))),
        ("args.photo_id:7 args.name:ada", JobFilter(args=(("photo_id", "7"), ("name", "ada")))),
        ("error:Timeout", JobFilter(error="Timeout")),
        ("17", JobFilter(ids=(17,))),
        ("id:1,2", JobFilter(ids=(1, 2))),
        ('lock:""', JobFilter(lock="")),
        ("queue:';drop", JobFilter(queue="';drop")),
    ],
)
def test_what_is_written_is_what_is_wanted(text, wanted):
    assert parse(text) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tsak:resize", 'Did you mean "task:"?'),
        ("colour:red", "Known: id:, task:"),
        ("resize", "Write task:resize"),
        ("status:faild", "expected one or more of ready, scheduled"),
        ("status:", "nothing behind its colon"),
        ("worker:seven", "expected a whole number"),
        (f"worker:{2**63}", "expected a whole number"),
        ("worker:٣", "expected a whole number"),
        ("since:tomorrow", "expected a number and a unit"),
        ("since:9999999d", "expected a number and a unit"),
        ("since:999999w", "expected at most a hundred years"),
        ('lock:"open', "A quote without its end?"),
        ('lock:"a"b', "A quote without its end?"),
        ("task:a task:b", "task: stands twice"),
        ("args.:7", "needs a name"),
        ("args.a:1 args.b:1 args.c:1 args.d:1 args.e:1 args.f:1", "More than 5 arguments"),
        ("task:a\x00b", "NUL"),
        ("x" * (MAX_LENGTH + 1), "at most 1,000"),
    ],
)
def test_what_is_wrong_is_said(text, said):
    with pytest.raises(FilterInvalid) as caught:
        parse(text)
    assert said in str(caught.value)


@given(st.text(max_size=MAX_LENGTH))
def test_any_text_is_a_filter_or_an_error_in_words(text):
    with contextlib.suppress(FilterInvalid):
        assert isinstance(parse(text), JobFilter)


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
names = st.from_regex(r"[a-z_]{1,10}", fullmatch=True)


@given(
    st.builds(
        JobFilter,
        ids=st.lists(st.integers(0, 2**63 - 1), max_size=3).map(tuple),
        task=st.none() | words,
        queue=st.none() | words,
        states=st.lists(st.sampled_from(JobState), unique=True, max_size=4).map(tuple),
        worker=st.none() | st.integers(0, 2**63 - 1),
        lock=st.none() | words,
        since=st.none() | st.integers(0, 999_999).map(lambda seconds: timedelta(seconds=seconds)),
        error=st.none() | words,
        args=st.lists(st.tuples(names, words), max_size=5, unique_by=lambda pair: pair[0]).map(tuple),
    )
)
def test_a_filter_written_as_text_is_read_back(wanted):
    assert parse(str(wanted)) == wanted
