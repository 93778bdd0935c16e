"""Where the files of photos lie; none is left behind by a transaction that did not happen."""

import logging
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

from site_app.photos.models import Photo

logger = logging.getLogger(__name__)


def folder_of(key: uuid.UUID) -> Path:
    """The folder of one photo's files."""
    return Path(settings.MEDIA_ROOT) / "photos" / str(key)


def original_of(photo: Photo) -> Path:
    """The file as it was uploaded."""
    return folder_of(photo.key) / f"original.{photo.format.lower()}"


@contextmanager
def removed_on_rollback() -> Iterator[Callable[[uuid.UUID], None]]:
    """Remove the folders noted inside when the transaction inside does not happen.

    Goes around the transaction: `with removed_on_rollback() as note: note(key); ...; with transaction.atomic(): ...`
    """
    noted: list[uuid.UUID] = []
    try:
        yield noted.append
    except BaseException:
        for key in noted:
            remove_unless_committed(key)
        raise


def remove_unless_committed(key: uuid.UUID) -> None:
    """Remove a photo's folder, if the database has no such photo.

    It is asked because a commit whose answer was lost may have happened. If it cannot be asked, the files stay: a
    file too many does less harm than a photo without its file.
    """
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()  # it may have been lost; then the question needs a new one
    try:
        committed = Photo.objects.filter(key=key).exists()
    except DatabaseError:
        logger.warning("kept %s: whether its photo was committed cannot be asked now", folder_of(key), exc_info=True)
        return
    if not committed:
        remove_folder(key)


def orphans(older_than: float) -> list[uuid.UUID]:
    """The folders, older than so many seconds, whose photo is not there; asked a thousand at a time."""
    root = Path(settings.MEDIA_ROOT) / "photos"
    before = time.time() - older_than
    keys = [key for path in sorted(root.glob("*")) if (key := key_of(path)) and path.stat().st_mtime < before]
    found: list[uuid.UUID] = []
    for chunk in (keys[first : first + 1000] for first in range(0, len(keys), 1000)):
        kept = set(Photo.objects.filter(key__in=chunk).values_list("key", flat=True))
        found += [key for key in chunk if key not in kept]
    return found


def key_of(path: Path) -> uuid.UUID | None:
    """The key that a folder is named by; None for what is not a photo's."""
    try:
        return uuid.UUID(path.name) if path.is_dir() else None
    except ValueError:
        return None


def remove_folder(key: uuid.UUID) -> None:
    """Remove all files of a photo; having none is fine."""
    try:
        shutil.rmtree(folder_of(key))
    except FileNotFoundError:
        pass
