"""The key that signs cookies on a developer's machine, made once and kept in a file git ignores."""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key


def development_key(path: Path) -> str:
    """The key kept at `path`; made when there is none, readable by its owner only.

    Two processes that start at once agree: the key is written whole beside the file and linked into place, and
    whoever comes second reads the first one's.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(get_random_secret_key())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass  # the other process was first
        finally:
            draft.unlink()
    return path.read_text().strip()
