"""Tests that leave something behind: run by test_guards.py, which expects each to be failed by its guard."""

import threading

import psycopg
import pytest

kept: list[object] = []
over = threading.Event()


def test_leaves_a_connection(dsn):
    kept.append(psycopg.connect(dsn, application_name="queue_tasks worker 1"))


def test_leaves_a_thread():
    # Nobody may leave before it has ended.
    thread = threading.Thread(target=over.wait, args=[30])
    thread.start()


def test_leaves_a_daemon_thread_and_a_connection_of_its_own(dsn):
    thread = threading.Thread(target=threading.Event().wait, args=[30], daemon=True)
    thread.start()
    kept.append(psycopg.connect(dsn, application_name="somebody else"))
    over.set()  # the last test: those of Django's database come first


@pytest.mark.django_db
def test_leaves_nothing():
    pass
