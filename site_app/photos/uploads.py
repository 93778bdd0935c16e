"""An upload: which files are taken, and the one transaction that writes their photos and jobs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.db import connection, transaction
from django.http import HttpRequest

from queue_tasks import enqueue_many
from site_app.photos import files, images, steps, tasks
from site_app.photos.models import Photo, Step
from site_app.sql import read_sql
from site_app.whole_files import put_in_place, written_beside

SQL = Path(__file__).parent / "sql"
SKIPPED = "site_app.photos.skipped"  # key of request.META: the files LimitedUploads did not let in


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that is not taken."""

    name: str
    """As the visitor knows it."""
    reason: str
    """In words that follow the name: `is not a picture`."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that is taken."""

    file: UploadedFile[bytes]
    header: images.Header


class GalleryFullError(Exception):
    """The gallery would hold more photos than it may; nothing of the upload was kept."""


class LimitedUploads(FileUploadHandler):
    """Lets no file in that is too large, or one too many: the rest of it is read from the line and stored nowhere.

    The first of settings.FILE_UPLOAD_HANDLERS. What it refused is found by `skipped_files`.
    """

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self._files = 0
        self._bytes = 0
        self._refused = ""  # why the file that is coming is not let in

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """A file begins."""
        super().new_file(*args, **kwargs)
        self._files += 1
        self._bytes = 0
        most = settings.PHOTOS_PER_UPLOAD
        # Skipped with its first bytes and not now: Django would close the file that came before it.
        self._refused = (
            f"is one too many: {most} photos are taken at once, send it with the next" if self._files > most else ""
        )

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:  # noqa: ARG002  Django's signature
        """Some of the file has come; passed on to the handlers that store it."""
        self._bytes += len(raw_data)
        if self._refused:
            self._skip(self._refused)
        if self._bytes > settings.PHOTO_MAX_BYTES:
            self._skip(f"is larger than the {settings.PHOTO_MAX_BYTES // 2**20} MB taken here")
        return raw_data

    def file_complete(self, file_size: int) -> None:  # noqa: ARG002  Django's signature
        """The file has come whole; the next handler makes the object."""
        return

    def _skip(self, reason: str) -> None:
        assert self.request is not None  # Django gives every handler its request
        self.request.META.setdefault(SKIPPED, []).append(Refusal(self.file_name or "a file", reason))
        raise SkipFile


def skipped_files(request: HttpRequest) -> list[Refusal]:
    """The files LimitedUploads did not let in."""
    skipped: list[Refusal] = request.META.get(SKIPPED, [])
    return skipped


def examine(uploaded: Sequence[UploadedFile[bytes]]) -> tuple[list[Candidate], list[Refusal]]:
    """Which files are taken, and why the others are not. Reads their headers; stores nothing."""
    candidates: list[Candidate] = []
    refusals: list[Refusal] = []
    for file in uploaded:
        name = file.name or "a file"
        if not file.size:
            refusals.append(Refusal(name, "is empty"))
            continue
        try:
            header = images.read_header(file, max_pixels=settings.PHOTO_MAX_PIXELS)
        except ValueError as error:
            refusals.append(Refusal(name, str(error)))
        else:
            candidates.append(Candidate(file, header))
    return candidates, refusals


def keep(candidates: Sequence[Candidate]) -> list[Photo]:
    """Keep the files, and write their photos, steps and jobs: all of it in one transaction, or none of it.

    Raises GalleryFullError when the gallery would hold too many.
    """
    if not candidates:
        return []
    photos = [photo_of(candidate) for candidate in candidates]
    with files.removed_on_rollback() as note:
        for photo, candidate in zip(photos, candidates, strict=True):
            note(photo.key)
            store(candidate.file, files.original_of(photo))
        with transaction.atomic():
            Photo.objects.bulk_create(photos)
            start(photos)
            refuse_beyond_limit()
    return photos


def photo_of(candidate: Candidate) -> Photo:
    """The photo's row, not yet written."""
    words = " ".join(PurePath(candidate.file.name or "").stem.replace("_", " ").replace("-", " ").split())
    return Photo(
        title=(words[:1].upper() + words[1:])[:120] or "Untitled",
        format=candidate.header.format,
        width=candidate.header.width,
        height=candidate.header.height,
        size_bytes=candidate.file.size or 0,
    )


def store(uploaded: UploadedFile[bytes], path: Path) -> None:
    """Copy the uploaded file to its place in a new folder, whole or not at all."""
    path.parent.mkdir(parents=True)
    with written_beside(path) as file:
        shutil.copyfileobj(uploaded, file, 2**20)
        put_in_place(file, path)


def start(photos: Sequence[Photo]) -> None:
    """Enqueue every step of these photos in one statement, and write the rows that show them."""
    named_jobs = [(photo, name, job) for photo in photos for name, job in jobs_of(photo)]
    results = enqueue_many(job for _, _, job in named_jobs)
    Step.objects.bulk_create(
        Step(photo=photo, name=name, job_id=result.id)
        for (photo, name, _), result in zip(named_jobs, results, strict=True)
    )


def jobs_of(photo: Photo) -> Iterator[tuple[str, Any]]:
    """Each step's name and its job, not yet enqueued."""
    for size in steps.RENDITIONS:
        yield size.name, job_of(photo, size.name)
    yield steps.PALETTE, job_of(photo, steps.PALETTE)
    yield steps.DETAILS, job_of(photo, steps.DETAILS)


def job_of(photo: Photo, name: str) -> Any:
    """The job of one step. The thumbnail goes first: it is what a visitor waits for."""
    if name == steps.PALETTE:
        return tasks.find_palette.bind(photo.pk)
    if name == steps.DETAILS:
        return tasks.read_details.bind(photo.pk)
    size = next(size for size in steps.RENDITIONS if size.name == name)
    task = tasks.make_rendition.using(priority=10) if size is steps.THUMBNAIL else tasks.make_rendition
    return task.bind(photo.pk, size.width, size.format)


def refuse_beyond_limit() -> None:
    """Raise GalleryFullError when the gallery now holds too many, this upload included.

    Counted last, under a lock that ends with the transaction: two uploads at once cannot both be the last that fits.
    By then the jobs are enqueued, which costs nothing: what is rolled back never was.
    """
    with connection.cursor() as cursor:
        cursor.execute(read_sql(SQL / "lock_gallery.sql"))
    if Photo.objects.count() > settings.GALLERY_LIMIT:
        raise GalleryFullError(
            f"The gallery holds {settings.GALLERY_LIMIT} photos and is full. Nothing of this upload was kept."
        )
