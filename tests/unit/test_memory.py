"""Memory of a process, without a worker."""

import os
import subprocess
import sys

from queue_tasks.worker.memory import resident

MB = 2**20

FREED_BELOW_ONE_THAT_IS_KEPT = """
import os
from queue_tasks.worker.memory import give_back, resident

held = [bytes(100_000) for _ in range(1_000)]
kept = held.pop()
del held
before = resident(os.getpid())
give_back()
print(before - resident(os.getpid()))
"""


def test_what_was_freed_is_given_back() -> None:
    said = subprocess.run(
        [sys.executable, "-c", FREED_BELOW_ONE_THAT_IS_KEPT], check=True, capture_output=True, text=True
    ).stdout
    assert int(said) > 50 * MB


def test_a_process_that_has_ended_holds_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert resident(ended.pid) == 0
    assert resident(os.getpid()) > MB
