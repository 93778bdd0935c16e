"""The demo.

Usage         python -m site_app.demo          (make demo)
Environment   PHOTOS=folder        upload these instead of drawing some
              DATABASE_URL         a Postgres to use; the demo makes a database of its own there,
              SITE_DEMO_DATABASE   of this name (default queue_tasks_demo; dropped and made anew), and keeps files in
              SITE_DEMO_FOLDER     this folder (default .cache/demo; emptied)
Exit codes    0 everything was true, 1 something was not, 2 usage, 130 Ctrl-C
"""

import os
import sys
from pathlib import Path

import django
import httpx
import psycopg

from site_app.demo.screen import Screen
from site_app.demo.stage import DemoError, stage
from site_app.embedded_postgres import EmbeddedPostgresError
from site_app.processes import ProgramError, Programs, stopped_by_signals

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}

USAGE, INTERRUPTED = 2, 130  # exit codes


def main() -> int:
    """Tell the story; returns the exit code."""
    screen = Screen()
    try:
        own = chosen_photos()
    except DemoError as error:
        screen.failure(str(error))
        return USAGE
    try:
        with stopped_by_signals(), stage(photos=len(own)) as place, Programs() as programs:
            os.environ.update(place.env)
            django.setup()
            from site_app.demo.story import tell  # noqa: PLC0415  it imports models, which need Django to be set up

            tell(screen, place, programs, own)
    except KeyboardInterrupt:
        screen.failure("Stopped; nothing is left running.")
        return INTERRUPTED
    except (DemoError, ProgramError, EmbeddedPostgresError, psycopg.Error, httpx.HTTPError) as error:
        screen.failure(str(error))
        return 1
    return 0


def chosen_photos() -> list[Path]:
    """The photos in the folder PHOTOS names; none when it names none. Raises DemoError when it has no photos."""
    named = os.environ.get("PHOTOS", "").strip()
    if not named:
        return []
    folder = Path(named).expanduser()
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not found:
        raise DemoError(
            f"PHOTOS={named}: expected a folder with .jpg, .png or .webp files. Leave it out to have some drawn."
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
