"""The jobs of a photo. Every one may run twice: it writes the same file and the same row again."""

import asyncio
import uuid
from typing import Any

from django.core.management import call_command
from django.db import transaction

from queue_tasks import RetryPolicy, task
from site_app.photos import files, images, steps
from site_app.photos.attempts import READ_AGAIN, aattempt, attempt, success
from site_app.photos.models import Photo, Step
from site_app.upkeep import scheduled
from site_app.whole_files import put_in_place, written_beside

A_DAY = 86_400.0  # seconds; what is younger may belong to an upload that has not committed yet

# A job may find its photo deleted: nothing is left to do, and nothing is wrong.
GONE = {"skipped": "the photo was deleted"}


@task(queue_name="media", takes_context=True, retry=READ_AGAIN, lock="photo:{photo_id}:{width}:{format_name}")
def make_rendition(context: Any, photo_id: int, width: int, format_name: str) -> dict[str, Any]:
    """Make one rendition; the lock keeps two jobs of the same file (a visitor who tries again) from overlapping."""
    size = steps.RenditionSize(width, format_name)
    with attempt(context, photo_id, size.name) as photo:
        if photo is None:
            return GONE
        original = files.original_of(photo).read_bytes()
        picture = images.make_rendition(original, width=width, format_name=format_name)
        made = {"width": picture.width, "height": picture.height, "size_bytes": len(picture.data)}
        return made if publish(photo, size.name, picture.data, made) else GONE


@task(queue_name="media", takes_context=True, retry=READ_AGAIN)
def find_palette(context: Any, photo_id: int) -> dict[str, Any]:
    """Find the photo's colours."""
    with attempt(context, photo_id, steps.PALETTE) as photo:
        if photo is None:
            return GONE
        colours = images.find_palette(files.original_of(photo).read_bytes())
        found = {"colours": [{"hex": colour.hex, "share": colour.share} for colour in colours]}
        Step.objects.filter(photo=photo, name=steps.PALETTE).update(**success(found))
        return found


@task(queue_name="media", takes_context=True, retry=READ_AGAIN, timeout=60)
async def read_details(context: Any, photo_id: int) -> dict[str, Any]:
    """Read what the camera wrote. Mostly waits, for the disk and the database: many of these share one thread."""
    async with aattempt(context, photo_id, steps.DETAILS) as photo:
        if photo is None:
            return GONE
        original = await asyncio.to_thread(files.original_of(photo).read_bytes)
        found = {"details": list(images.read_details(original).items())}  # as a list: jsonb keeps no order of names
        await Step.objects.filter(photo=photo, name=steps.DETAILS).aupdate(**success(found))
        return found


@task(retry=RetryPolicy(max_attempts=10, wait=2.0, backoff=3.0, max_wait=3600.0, retry_on=(OSError,)))
def remove_files(key: str) -> None:
    """Remove a deleted photo's files. Enqueued in the transaction that deletes it: no photo ever misses its files."""
    files.remove_folder(uuid.UUID(key))


@scheduled(cron="30 3 * * *", timezone="Europe/Paris", overlap="skip")
@task(retry=3)
def purge_orphans() -> int:
    """Remove what no photo has: folders that a crash between files and rows left behind; how many there were."""
    orphans = files.orphans(older_than=A_DAY)
    for key in orphans:
        files.remove_folder(key)
    return len(orphans)


@scheduled(cron="45 3 * * *", timezone="Europe/Paris", overlap="skip")
@task(retry=3)
def clear_sessions() -> None:
    """Delete the sessions that have expired."""
    call_command("clearsessions")


def publish(photo: Photo, name: str, data: bytes, made: dict[str, Any]) -> bool:
    """Put the file in its place and say so in the row, together; False when the photo was deleted meanwhile.

    The step's row is locked between the two, so a photo that is deleted now waits, and its files go after this one.
    """
    path = files.folder_of(photo.key) / name
    with written_beside(path) as file:
        file.write(data)
        with transaction.atomic():
            steps_of_file = Step.objects.filter(photo=photo, name=name)
            if steps_of_file.select_for_update().first() is None:
                return False
            put_in_place(file, path)
            steps_of_file.update(**success(made))
    return True
