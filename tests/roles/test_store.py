"""Store: what its connections promise."""

from queue_tasks.store import Store


async def test_a_finish_waits_for_the_disk_and_a_lease_does_not(store: Store) -> None:
    asked = "select current_setting('synchronous_commit')"
    assert list(await store._finishing.rows(asked)) == [("on",)]
    assert list(await store._leasing.rows(asked)) == [("off",)]
