"""What must be true. Each function returns what it found, or raises DemoError with what was found instead."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import psycopg
from PIL import Image
from psycopg.rows import class_row

from site_app.demo.stage import DemoError, Stage
from site_app.demo.visitor import Answer, Visitor
from site_app.photos.steps import RENDITIONS
from site_app.sql import read_sql

SQL = Path(__file__).parent / "sql"
CONFLICT = 409  # the status of an upload that would overfill the gallery


@dataclass(frozen=True, slots=True)
class Everything:
    """How much there is of everything an upload writes."""

    photos: int
    steps: int
    jobs: int
    events: int
    last_id: int
    """The last job id that was given out, used or not: ids are never given back, not even by a rollback."""


def everything(connection: psycopg.Connection) -> Everything:
    """What is in the database now."""
    with connection.cursor(row_factory=class_row(Everything)) as cursor:
        found = cursor.execute(read_sql(SQL / "everything_there_is.sql")).fetchone()
    assert found is not None  # one row, always
    return found


def nothing_remains(
    connection: psycopg.Connection, visitor: Visitor, stage: Stage, paths: Sequence[Path]
) -> tuple[str, int]:
    """Make a request fail after its enqueue, and look for anything it left.

    Returns the site's words, and the number of jobs that were enqueued and rolled back.
    """
    before, files_before = everything(connection), files_under(stage.media)
    answer = visitor.upload(paths)
    if answer.status != CONFLICT:
        raise DemoError(f"An upload beyond the gallery's limit was answered with {answer.status}; expected {CONFLICT}.")
    after, files_after = everything(connection), files_under(stage.media)
    rolled_back = after.last_id - before.last_id
    if rolled_back <= 0:
        raise DemoError("The upload failed before its jobs were enqueued, so it proves nothing.")
    for field in fields(Everything):
        if field.name != "last_id" and getattr(before, field.name) != getattr(after, field.name):
            raise DemoError(
                f"A rolled-back upload left {field.name} behind: "
                f"{getattr(before, field.name)} before, {getattr(after, field.name)} after."
            )
    if left := files_after - files_before:
        raise DemoError(f"A rolled-back upload left files behind: {', '.join(sorted(map(str, left)))}.")
    return answer.problem, rolled_back


def files_under(folder: Path) -> set[Path]:
    """Every file and folder in it."""
    return set(folder.rglob("*"))


def renditions_are_right(stage: Stage, expected: int) -> int:
    """Open every rendition on disk; returns how many bytes they have. expected: the number of photos."""
    folders = sorted((stage.media / "photos").iterdir())
    if len(folders) != expected:
        raise DemoError(f"There are folders of {len(folders)} photos under {stage.media}; expected {expected}.")
    return sum(check_rendition(folder, size.name, size.width) for folder in folders for size in RENDITIONS)


def check_rendition(folder: Path, name: str, width: int) -> int:
    """Decode one rendition and compare its width; returns its size in bytes."""
    path = folder / name
    if not path.exists():
        raise DemoError(f"{path} is not there.")
    with Image.open(next(folder.glob("original.*"))) as original:
        turned = original.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        widest = original.height if turned else original.width
    with Image.open(path) as image:
        image.load()
        if image.width != min(width, widest):
            raise DemoError(f"{path} is {image.width} pixels wide; expected {min(width, widest)}.")
    return path.stat().st_size


def taken(answers: Sequence[Answer]) -> list[str]:
    """The ids of all jobs of these uploads. Raises DemoError when nothing was taken."""
    jobs = [job for answer in answers for job in answer.jobs]
    if not jobs:
        raise DemoError("The site took none of the photos: " + "; ".join(refusals(answers)))
    return jobs


def refusals(answers: Sequence[Answer]) -> list[str]:
    """What the site said about the files it did not take."""
    return [f"{refused['name']} {refused['reason']}" for answer in answers for refused in answer.refused]
