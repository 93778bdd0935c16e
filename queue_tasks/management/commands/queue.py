"""manage.py queue: look at jobs, queues and workers, and do what an operator does. Its verbs are in ../verbs/."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.color import no_style
from django.db import Error, OperationalError

from queue_tasks.database_errors import brief, is_of_the_schema, outdated
from queue_tasks.management.console import Console
from queue_tasks.management.terminal import clean
from queue_tasks.management.usage import OneLineParser, find_backend, refuse
from queue_tasks.management.verb import Asked
from queue_tasks.management.verbs import VERBS


class Command(BaseCommand):
    """Exit codes: 0 done, 1 failed or not all done, 2 wrong usage."""

    help = (
        "Look at jobs, queues, workers and schedules; retry, cancel, abort and prune jobs; pause and limit queues; "
        "quiet and stop workers; change schedules."
    )
    missing_args_message = f"say what to do: {', '.join(verb.name for verb in VERBS)}"
    # An operator looks when something is wrong: no check may stand in the way.
    requires_system_checks = ()
    stealth_options = ("verb",)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """A parser whose errors are one line."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.error = lambda message: refuse(parser, message)  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """One subcommand for each verb."""
        everywhere = OneLineParser(add_help=False)
        everywhere.add_argument("--backend", metavar="ALIAS", help="entry of TASKS (default: the one that is ours)")
        # Django's own options are also understood after the verb, where its other commands have them.
        for option in ("--no-color", "--force-color", "--traceback", "--skip-checks"):
            everywhere.add_argument(option, action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        for options in (["--settings"], ["--pythonpath"], ["-v", "--verbosity"]):
            everywhere.add_argument(*options, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        listing = OneLineParser(add_help=False)
        listing.add_argument("--json", action="store_true", help="JSON, for programs")

        made = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=OneLineParser)
        for verb in VERBS:
            parents = [everywhere, listing] if verb.lists else [everywhere]
            verb_parser = made.add_parser(verb.name, help=verb.help, description=verb.help, parents=parents)
            if verb.add_arguments is not None:
                verb.add_arguments(verb_parser)

    def handle(self, *_args: Any, **flags: Any) -> None:
        """Do what the verb says."""
        if "NO_COLOR" in os.environ and not flags.get("force_color"):
            self.style = no_style()
        asked = Asked(find_backend(flags.get("backend")), flags, Console(self.stdout, self.stderr, self.style))
        verb = next(verb for verb in VERBS if verb.name == flags["verb"])
        try:
            verb.run(asked)
            self.stdout.flush()
        except BrokenPipeError:
            # Whoever reads, such as head, has read enough. What is still to be said goes nowhere, so that the
            # interpreter does not stumble over it at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except CommandError as exc:
            # It may name what is there, or what its cause does.
            raise CommandError(clean(str(exc), lines=True), returncode=exc.returncode) from exc.__cause__
        except Error as exc:
            raise CommandError(_in_words(exc, asked.database)) from exc


def _in_words(error: Error, database: str) -> str:
    if is_of_the_schema(error):
        return str(outdated(error, database))
    if isinstance(error, OperationalError):
        return f"the database {database!r} cannot be used: {brief(error)}"
    return brief(error)
