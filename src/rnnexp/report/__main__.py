"""Compare finished runs: python -m rnnexp.report outputs/sweeps/cells"""

import sys
from collections.abc import Sequence
from typing import NoReturn

from rnnexp.core.errors import UserError
from rnnexp.core.output import hide_advice_of_matplotlib, keep_running_without_output
from rnnexp.core.printable import printable
from rnnexp.core.utf8 import require_utf8
from rnnexp.report.options import make_parser


def report(arguments: Sequence[str] | None = None) -> int:
    """Write the report, print the answer with a line per group, and return the exit code."""
    options = make_parser().parse_args(arguments)
    # Not above, so that --help does not import matplotlib.
    from rnnexp.report.write import default_output, write_report
    from rnnexp.tasks.registry import import_rows

    try:
        import_rows(options.trust)
        output = options.output or default_output(options.directories[0])
        lines = write_report(options.directories, output, options.margin, budget=options.budget, plan=options.plan)
        for line in lines:
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
