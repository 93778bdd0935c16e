"""What the demo tells, from an empty database to the figures. Imported once Django is set up."""

import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
from django.core.management import call_command

from site_app.demo import measure, proofs
from site_app.demo.pictures import SCENES, draw
from site_app.demo.screen import Screen
from site_app.demo.stage import DemoError, Stage, since
from site_app.demo.visitor import Answer, LivePage, Visitor
from site_app.photos.steps import RENDITIONS
from site_app.processes import Programs, listen_on, start_web, start_worker

PER_REQUEST = 4  # photos
NO_OPS_ONE_BY_ONE = 200  # jobs
NO_OPS_AT_ONCE = 10_000  # jobs
PATIENCE = 90.0  # seconds until all photos must be done


def tell(screen: Screen, place: Stage, programs: Programs, own: list[Path]) -> None:
    """The story, from an empty database to the figures."""
    screen.title("queue_tasks", "A photo site, a worker, and Postgres. Nothing else. Every line below is checked.")
    whose = "embedded, started for this" if place.embedded else "the one DATABASE_URL names"
    screen.fact("Postgres", f"version {place.version}, {whose}")
    migrate(screen)
    with listen_on("127.0.0.1", 0) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        web = start_web(programs, listener, place.env, place.logs / "web.log")
        worker = start_worker(programs, place.env, place.logs / "worker.log")
        photos = own or drawn(screen, place)
        screen.fact("Worker", worker.wait_for_line("ready", timeout=30).removeprefix("ready: "))
        with (
            Visitor(address) as visitor,
            LivePage(address) as page,
            psycopg.connect(place.database_url, autocommit=True, application_name="site_app demo") as connection,
        ):
            visitor.open_gallery()
            screen.fact("Web server", f"process {web.process.pid} at {address}")
            play(screen, place, programs, photos, visitor, page, connection)
    programs.stop()
    screen.end("All of it is true. Look around yourself: make run")


def migrate(screen: Screen) -> None:
    """Make the tables."""
    began = time.monotonic()
    call_command("migrate", verbosity=0)
    screen.fact("Migrated", "procrastinate's tables, tuned by queue_tasks; the site's", seconds=since(began))


def drawn(screen: Screen, place: Stage) -> list[Path]:
    """Photographs of our own making."""
    began = time.monotonic()
    with screen.bar("Drawing photos", len(SCENES)) as bar:
        photos = []
        for photo in draw(place.pictures):
            photos.append(photo)
            bar.reach(len(photos))
    megabytes = sum(photo.stat().st_size for photo in photos) / 2**20
    screen.fact("Drew", f"{len(photos)} photos of 12 megapixels, with EXIF, {megabytes:.0f} MB", seconds=since(began))
    return photos


def play(
    screen: Screen,
    place: Stage,
    programs: Programs,
    photos: list[Path],
    visitor: Visitor,
    page: LivePage,
    connection: psycopg.Connection,
) -> None:
    """What a visitor does, and what becomes of it."""
    began = time.monotonic()
    answers = [visitor.upload(photos[first : first + PER_REQUEST]) for first in range(0, len(photos), PER_REQUEST)]
    jobs = proofs.taken(answers)
    count = sum(len(answer.photos) for answer in answers)
    transactions = f"{len(answers)} transaction{'s' if len(answers) > 1 else ''}"
    said = f"{count} photos and their {len(jobs)} jobs, in {transactions}"
    screen.fact("Uploaded", said, seconds=since(began))
    for refusal in proofs.refusals(answers):
        screen.note(f"not taken: {refusal}")

    began = time.monotonic()
    watch(screen, programs, page, answers, total=len(jobs))
    screen.fact("Made", f"{len(jobs)} of {len(jobs)} jobs done, each seen live on the page", seconds=since(began))
    size = proofs.renditions_are_right(place, count)
    screen.fact(
        "On disk", f"{len(RENDITIONS) * count} renditions opened, each as wide as it should be, {size / 2**20:.1f} MB"
    )

    too_many = [photos[0]] * (max(1, len(photos) - count) + 1)
    said, rolled_back = proofs.nothing_remains(connection, visitor, place, too_many)
    screen.fact("One upload fails", f'after it has enqueued {rolled_back} jobs: "{said}"')
    screen.note("Nothing of it exists: no photo, no job, no event, no file.")

    figures(screen, connection, jobs)


def watch(screen: Screen, programs: Programs, page: LivePage, answers: Sequence[Answer], *, total: int) -> None:
    """Follow the live page until every photo is done. Raises DemoError when one fails or it takes too long."""
    states = {photo["id"]: photo for answer in answers for photo in answer.photos}
    deadline = time.monotonic() + PATIENCE
    with screen.bar("Working", total) as bar:
        while not all(photo["state"] == "done" for photo in states.values()):
            programs.check()
            if time.monotonic() > deadline:
                waiting = [photo["title"] for photo in states.values() if photo["state"] != "done"]
                raise DemoError(f"Not done after {PATIENCE:.0f} s: {', '.join(waiting)}.")
            news = page.next(timeout=1.0)
            if news is None or news["id"] not in states:
                continue
            if news["state"] == "failed":
                raise DemoError(f"{news['title']} failed: {news['reason']}")
            states[news["id"]] = news
            bar.reach(sum(photo["done"] for photo in states.values()))


def figures(screen: Screen, connection: psycopg.Connection, jobs: list[str]) -> None:
    """Measure with jobs that do nothing, then show everything in tables."""
    measure.hear_finished(connection)
    with screen.bar("Measuring", NO_OPS_ONE_BY_ONE) as bar:
        idle = measure.commit_to_start(connection, NO_OPS_ONE_BY_ONE, bar)
    rate = measure.burst(connection, NO_OPS_AT_ONCE)
    _, seconds = measure.span(connection, [int(job) for job in jobs])
    counts = measure.by_state(connection)
    screen.table(
        "Jobs",
        ("task", "succeeded", "failed", "other"),
        [(count.task, f"{count.succeeded:,}", f"{count.failed:,}", f"{count.other:,}") for count in counts],
    )
    screen.table(
        "Speed",
        ("", "p50", "p95", "p99", "jobs/s"),
        [
            ("commit to start, worker idle", f"{idle.p50:.1f} ms", f"{idle.p95:.1f} ms", f"{idle.p99:.1f} ms", ""),
            (f"{len(jobs)} photo jobs", "", "", "", f"{len(jobs) / seconds:.1f}"),
            (f"{NO_OPS_AT_ONCE:,} jobs that do nothing", "", "", "", f"{rate:,.0f}"),
        ],
    )
    if any(count.failed or count.other for count in counts):
        raise DemoError("Some jobs did not succeed.")
