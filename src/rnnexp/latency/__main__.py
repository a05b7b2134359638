"""Measure what inference with finished runs costs: python -m rnnexp.latency outputs/sweeps/cells"""

import sys
from collections.abc import Sequence
from typing import NoReturn

from rnnexp.core.errors import UserError
from rnnexp.core.output import keep_running_without_output
from rnnexp.core.signals import end_in_one_line_after_ctrl_c
from rnnexp.core.utf8 import require_utf8
from rnnexp.latency.options import make_parser, options_of


def latency(arguments: Sequence[str] | None = None) -> int:
    """Measure the runs in turns, write inference.json into the directory of each, show a table, and return the code."""
    parsed = make_parser().parse_args(arguments)
    # Imported here, so that --help does not import torch.
    from rnnexp.latency.session import measure_runs

    try:
        refused = measure_runs(options_of(parsed))
    except Exception as error:
        # Imported here, since it imports Hydra. An error may come from the code of a cell that is not of the package.
        from rnnexp.cli.main import report_error

        return report_error(error, str(parsed.directories[0]))
    return UserError.exit_code if refused else 0


def main() -> NoReturn:
    """Run the program and exit with its code."""
    require_utf8()
    keep_running_without_output()
    end_in_one_line_after_ctrl_c()
    sys.exit(latency())


if __name__ == "__main__":
    main()
