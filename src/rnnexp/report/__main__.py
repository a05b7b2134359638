"""Compare finished runs: python -m rnnexp.report outputs/sweeps/cells"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rnnexp.core.errors import UserError
from rnnexp.core.output import hide_advice_of_matplotlib, keep_running_without_output
from rnnexp.core.printable import printable
from rnnexp.core.utf8 import require_utf8


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rnnexp.report",
        description="Compare the runs below some directories in report.html, report.md, results.csv and figures.",
    )
    parser.add_argument(
        "directories", metavar="dir", nargs="+", type=Path, help="a sweep, a run, or a directory of them"
    )
    parser.add_argument("--output", type=Path, help="output directory; by default report/ in the first directory")
    trusted = "a module of your own that registers a task, whose functions the report may call"
    parser.add_argument("--trust", metavar="module", action="append", default=[], help=trusted)
    best_within = 'name the best setting within limits: "latency_p99_ms<1, weight_mb<1"'
    parser.add_argument("--budget", metavar="limits", help=best_within)
    return parser


def report(arguments: Sequence[str] | None = None) -> int:
    """Write the report, print the answer with a line per group, and return the exit code."""
    options = make_parser().parse_args(arguments)
    # Not above, so that --help does not import matplotlib.
    from rnnexp.report.write import default_output, write_report
    from rnnexp.tasks.registry import import_rows

    try:
        import_rows(options.trust)
        output = options.output or default_output(options.directories[0])
        for line in write_report(options.directories, output, options.budget):
            print(printable(line))
    except UserError as error:
        print(f"rnnexp: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    print(printable(f"written to {output / 'report.html'}"))
    return 0


def main() -> NoReturn:
    """Run the program and exit with its code."""
    require_utf8()
    keep_running_without_output()
    hide_advice_of_matplotlib()
    sys.exit(report())


if __name__ == "__main__":
    main()
