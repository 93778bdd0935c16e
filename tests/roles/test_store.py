"""Store: what its connections promise, and that values come to the database as they are."""

import json

import pytest

from queue_tasks.outcomes import OutcomeKind
from queue_tasks.store import Store
from tests.roles.parts import Rows, outcome

AWKWARD = [
    "",
    "null",
    "NULL",
    "{a,b}",
    "a,b",
    '"',
    "\\",
    '\\"',
    "'",
    " x ",
    "\n\t",
    "{",
    "}",
    "ü",
    "\U0001f600",
    "$1 %s",
]


async def test_a_finish_waits_for_the_disk_and_a_lease_does_not(store: Store) -> None:
    asked = "select current_setting('synchronous_commit')"
    assert list(await store._client.finishing.rows(asked)) == [("on",)]
    assert list(await store._client.leasing.rows(asked)) == [("off",)]


async def test_any_text_in_an_outcome_stays_with_its_job_and_as_it_is(store: Store, rows: Rows) -> None:
    ids = rows.add(2 * len(AWKWARD) + 1)
    jobs = await store.jobs.fetch_jobs(None, len(ids))
    ended = [outcome(result=json.dumps(text)) for text in AWKWARD]
    ended += [outcome(OutcomeKind.RETRIED, wait=3600.0, queue_name=text, lock=text, priority=-5) for text in AWKWARD]
    ended.append(outcome())
    errors = [None] * len(AWKWARD) + [json.dumps({"message": text}) for text in AWKWARD] + [None]
    written = await store.jobs.finish_jobs(list(zip(jobs, ended, errors, strict=True)))
    assert set(written) == set(ids)
    for job, text in zip(jobs[: len(AWKWARD)], AWKWARD, strict=True):
        assert rows.get(job.id)["qt_result"] == text
    for job, text in zip(jobs[len(AWKWARD) : -1], AWKWARD, strict=True):
        row = rows.get(job.id)
        assert (row["queue_name"], row["lock"], row["priority"]) == (text, text, -5)
        assert row["qt_errors"][0]["message"] == text
    last = rows.get(jobs[-1].id)
    assert (last["status"], last["qt_result"], last["qt_errors"], last["lock"]) == ("succeeded", None, None, None)


@pytest.mark.parametrize("wrong", [{"priority": "1,2"}, {"wait": "1,2"}, {"keep": "1,2"}, {"lock": 5}])
async def test_what_is_no_value_of_its_kind_is_not_sent(store: Store, rows: Rows, wrong: dict[str, object]) -> None:
    rows.add()
    (job,) = await store.jobs.fetch_jobs(None, 1)
    with pytest.raises((ValueError, AttributeError)):
        await store.jobs.finish_jobs([(job, outcome(OutcomeKind.RETRIED, **wrong), None)])
    assert rows.statuses() == {"doing": 1}
