"""What the histories of test_state_machine are made of."""

from hypothesis import strategies as st

from tests.sql.model import End

QUEUES = ("a", "b")
LOCKS = ("l1", "l2")
TICK = 100
"""Seconds the clock is moved by, or many of them. A wait ends between two ticks: nothing depends on real time."""

waits = st.sampled_from([50, 250, 1050])
keeps = st.sampled_from([None, 50, 250])
recent = st.sampled_from([0, 0, 0, 1, 1, 2, 2, 3, 4, 6, 9, 14])
"""The number of a job or a handle, counted from the newest."""
picks = st.lists(recent, min_size=1, max_size=4)
some_queues = st.sampled_from([None, ("a",), ("b",), ("a", "b"), ("none",)])
new_jobs = st.fixed_dictionaries(
    {
        "queue": st.sampled_from(QUEUES),
        "priority": st.integers(-1, 2),
        "lock": st.sampled_from([None, None, *LOCKS]),
        "delay": st.one_of(st.none(), waits),
    }
)
fetches = st.fixed_dictionaries(
    {"pick": st.integers(0, 8), "queues": some_queues, "max_jobs": st.sampled_from([1, 2, 5, 20])}
)
then_fetches = st.lists(fetches, max_size=1)
"""Who fetches after a step: a part of the steps that make jobs ready, so that much runs in most histories."""
gates = st.sampled_from(
    [("pause", None), ("pause", 50.0), ("pause", 250.0), ("resume", None), ("limit", 1), ("limit", 2), ("limit", None)]
)
"""What an operator does to a queue; a pause's seconds, a limit's number."""
verbs = st.sampled_from(["cancel", "abort", "abort", "retry", "retry", "park"])
ends = st.one_of(
    st.builds(End, st.just("succeeded"), keep=st.sampled_from([None, 0, 250])),
    st.builds(End, st.sampled_from(["failed", "aborted"]), keep=keeps),
    st.builds(
        End,
        st.just("retried"),
        wait=st.sampled_from([0, 50, 250]),
        priority=st.sampled_from([None, None, 3]),
        queue=st.sampled_from([None, None, "b"]),
        lock=st.sampled_from([None, None, "l1"]),
    ),
    st.builds(End, st.just("snoozed"), wait=st.sampled_from([0, 50, 250])),
    st.builds(End, st.just("released")),
)
