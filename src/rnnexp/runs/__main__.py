"""List, compare and remove runs: python -m rnnexp.runs ls outputs model.cell=gru"""

import sys
from collections.abc import Sequence
from typing import NoReturn

from rnnexp.core.errors import UserError
from rnnexp.core.output import keep_running_without_output, require_complete_output
from rnnexp.core.printable import printable
from rnnexp.core.utf8 import require_utf8
from rnnexp.runs.listing.options import parse_options, run_command


def manage(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, and return the exit code."""
    try:
        code = run_command(parse_options(arguments))
    except UserError as error:
        print(f"rnnexp: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    try:
        # The output is all that most commands give.
        require_complete_output()
    except OSError as error:
        print(f"rnnexp: standard output: {error.strerror}", file=sys.stderr)
        return UserError.exit_code
    return code


def main() -> NoReturn:
    """Run the program and exit with its code."""
    require_utf8()
    keep_running_without_output()
    sys.exit(manage())


if __name__ == "__main__":
    main()
