"""A number of bytes, in words."""

import pytest

from queue_tasks.sizes import in_words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 kB"),
        (8 * 2**10, "8 kB"),
        (2**20 - 1, "1024 kB"),
        (3 * 2**20 + 2**19, "3.5 MB"),
        (123 * 2**20, "123 MB"),
        (12 * 2**30, "12 GB"),
        (1234 * 2**40, "1,234 TB"),
    ],
)
def test_in_the_unit_that_reads_well(count: int, words: str) -> None:
    assert in_words(count) == words
