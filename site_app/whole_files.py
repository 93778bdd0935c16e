"""Files that are written whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def written_beside(path: Path) -> Iterator[IO[bytes]]:
    """A new file beside `path`, to be written inside and moved there by `put_in_place`; removed when it was not.

    Makes no folder: when it is gone, so is what the file was for.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with draft.open("xb") as file:
            yield file
    finally:
        draft.unlink(missing_ok=True)


def put_in_place(file: IO[bytes], path: Path) -> None:
    """Make the written file be `path`, in one step: nobody ever opens half a file, not even after a power cut."""
    file.flush()
    os.fsync(file.fileno())
    os.replace(file.name, path)  # noqa: PTH105  the file object knows its name as text
