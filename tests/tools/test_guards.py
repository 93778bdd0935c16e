"""The guards of conftest.py fail the tests they should, and no other; no test takes another's sessions for its own."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from tests import postgres

LEAKING = Path(__file__).with_name("leaking_tests.py")


def test_a_test_that_leaves_a_connection_or_a_thread_is_failed():
    url = postgres.server_url()  # the same server, databases of its own
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "QUEUE_TASKS_TEST_RUN": f"guards{postgres.PROCESS}",
        "QUEUE_TASKS_TEST_LEFT_FOR": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-p", "no:randomly", "-p", "no:cacheprovider", "-q", str(LEAKING)],
        cwd=postgres.PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    failures = dict(re.findall(r"^ERROR .*::(\w+) - (.*)$", done.stdout, re.MULTILINE))
    assert failures.keys() == {"test_leaves_a_connection", "test_leaves_a_thread"}, done.stdout
    assert re.search(r"the test left connections: .*queue_tasks worker 1 on queue_tasks_test_guards", done.stdout)
    assert re.search(r"the test left threads: \[<Thread", done.stdout)
    assert "4 passed, 2 errors" in done.stdout


def test_a_look_at_the_server_s_sessions_says_which_are_meant():
    """The processes of a run share a server: who looks for sessions by name alone sees those of the others' tests."""
    said_by = ("datname", "pid =", "pg_blocking_pids", "pg_backend_pid")
    tests = postgres.PROJECT / "tests"
    found = [
        f"{file.relative_to(postgres.PROJECT)}:{node.lineno}"
        for file in sorted(set(tests.rglob("*.py")) - set((tests / "chaos").rglob("*.py")) - {Path(__file__)})
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.search("pg_stat_activity|pg_locks", node.value) and not any(word in node.value for word in said_by)
    ]
    assert found == []
