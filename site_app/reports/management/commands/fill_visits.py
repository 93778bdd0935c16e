"""Make up the page visits that reports read."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from site_app.reports import visits


class Command(BaseCommand):
    help = "Make up page visits for the reports to read, unless there are some."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rows", type=int, default=visits.ROWS, help="how many (default %(default)s)")

    def handle(self, *_args: Any, **options: Any) -> None:
        written = visits.fill(options["rows"])
        self.stdout.write(f"{written:,} visits written." if written else "There are visits already; none were written.")
