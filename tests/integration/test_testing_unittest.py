"""queue_tasks.testing in Django's own test cases, which pytest-django runs as Django does."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection
from django.test import TestCase, TransactionTestCase

from queue_tasks.testing import adrain, aenqueued, arun_job, clear, drain, enqueued, run_job
from tests.testapp import drained, tasks


class TestOne(TestCase):
    """In the transaction of the test, within that of the class."""

    @classmethod
    def setUpTestData(cls) -> None:
        Group.objects.create(name="the class's")
        tasks.create_group.enqueue("enqueued by the class")

    def test_a_job_runs_in_the_test_s_transaction(self) -> None:
        run_job(tasks.create_group_async.enqueue("mine"))
        assert Group.objects.count() == 2
        drain()
        assert Group.objects.count() == 3
        assert connection.in_atomic_block

    def test_the_next_test_starts_where_the_class_left_off(self) -> None:
        (waiting,) = enqueued(tasks.create_group)
        assert waiting.args == ["enqueued by the class"]
        assert Group.objects.count() == 1

    def test_a_broken_statement_in_a_task_does_not_break_the_test(self) -> None:
        drained.collide.using(priority=10).enqueue("the class's")
        with pytest.raises(IntegrityError):
            drain()
        assert len(drain()) == 1

    async def test_an_async_test_is_in_the_transaction_too(self) -> None:
        await tasks.create_group.aenqueue("async")
        assert len(await aenqueued(tasks.create_group)) == 2
        assert len(await adrain()) == 2
        await arun_job(await tasks.create_group_async.aenqueue("more"))
        assert await Group.objects.acount() == 4


class TestTwo(TransactionTestCase):
    """Committing."""

    def tearDown(self) -> None:
        clear()

    def test_a_job_runs(self) -> None:
        tasks.create_group.enqueue("committed")
        assert [result.status for result in drain()] == ["SUCCESSFUL"]
        assert not connection.in_atomic_block

    def test_nothing_is_left_by_the_test_before(self) -> None:
        assert enqueued() == []
        assert not Group.objects.exists()
        tasks.create_group.enqueue("left")
