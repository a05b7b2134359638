"""The command line of the report."""

import argparse
from pathlib import Path

from rnnexp.core.validation import positive_number


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rnnexp.report",
        description="Compare the runs below some directories: as a page, Markdown, LaTeX, results.csv and figures.",
    )
    parser.add_argument(
        "directories", metavar="dir", nargs="+", type=Path, help="a sweep, a run, or a directory of them"
    )
    parser.add_argument("--output", type=Path, help="output directory; by default report/ in the first directory")
    trusted = "a module of your own that registers a task, whose functions the report may call"
    parser.add_argument("--trust", metavar="module", action="append", default=[], help=trusted)
    margin = (
        "a difference of no interest, in units of the measure as shown: settings that differ by less are equivalent"
    )
    parser.add_argument("--margin", type=positive_number, help=margin)
    best_within = 'name the best setting within limits: "latency_p99_ms<1, weight_mb<1"'
    parser.add_argument("--budget", metavar="limits", help=best_within)
    plan = "print the commands that add the seeds which would settle the comparisons with the best"
    parser.add_argument("--plan", action="store_true", help=plan)
    return parser
