"""The command line of the program, and the command that it names."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.core.validation import positive_whole
from rnnexp.runs.listing.filters import STATUS, Filter, select, split_arguments
from rnnexp.runs.listing.listed_run import ListedRun, list_runs
from rnnexp.runs.listing.removal import remove_runs
from rnnexp.runs.listing.views import show_best, show_difference, show_list, show_run
from rnnexp.tracking.status import Status

EVERYWHERE = Path("outputs")
"""The directory that is searched if none is named."""
CHOICE = "a directory of runs (default: outputs), or a filter on a config key: model.cell=gru seed=1,2 status=failed"


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line, by default that of the program; filters may follow other options."""
    parser = make_parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and (not hasattr(options, "choice") or any(argument.startswith("-") for argument in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.choice += rest
    return options


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rnnexp.runs",
        description="List, compare and remove runs. Prints a table on a terminal, text separated by tabs in a pipe.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="ls|best|show|diff|rm")
    json = argparse.ArgumentParser(add_help=False)
    json.add_argument("--json", action="store_true", help="print JSON")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("choice", metavar="dir|key=value", nargs="*", help=CHOICE)

    commands.add_parser("ls", parents=[chosen, json], help="status, metric, age and command of runs, the newest last")
    best = commands.add_parser("best", parents=[chosen, json], help="the best finished runs of each data set")
    best.add_argument("--by", metavar="METRIC", help="a metric of result.json; by default the one that runs monitor")
    best.add_argument("--mode", choices=("max", "min"), help="which values are better, for metrics of your own")
    best.add_argument("--top", metavar="N", type=positive_whole, default=1, help="how many runs of each data set (1)")
    show = commands.add_parser("show", parents=[json], help="state, settings and values of a run")
    show.add_argument("run", type=Path)
    diff = commands.add_parser("diff", parents=[json], help="the settings in which two runs differ, and their values")
    diff.add_argument("first", type=Path)
    diff.add_argument("second", type=Path)
    rm = commands.add_parser("rm", help="remove runs that are not running; asks before")
    rm.add_argument("choice", metavar="run|dir|key=value", nargs="+", help="runs; with a filter, directories of runs")
    rm.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def run_command(options: argparse.Namespace) -> int:
    """Run the command that the options name, and return the exit code.

    Raises:
        UserError: for directories, filters and metrics that do not exist.
    """
    match options.command:
        case "show":
            show_run(options.run, as_json=options.json)
        case "diff":
            show_difference(options.first, options.second, as_json=options.json)
        case "rm":
            directories, filters = split_arguments(options.choice)
            if not directories:
                raise UserError("rm needs a directory: outputs for all of its runs that the filter chooses")
            return remove_runs(directories, filters, is_confirmed=options.yes)
        case "ls":
            show_list(select(*_choice(options.choice)), as_json=options.json)
        case "best":
            runs, filters = _choice(options.choice)
            if all(each.key != STATUS for each in filters):
                filters.append(Filter(STATUS, (Status.DONE,)))
            show_best(select(runs, filters), options.by, options.mode, options.top, as_json=options.json)
    return 0


def _choice(arguments: Sequence[str]) -> tuple[list[ListedRun], list[Filter]]:
    directories, filters = split_arguments(arguments)
    return list_runs(directories or [EVERYWHERE]), filters
