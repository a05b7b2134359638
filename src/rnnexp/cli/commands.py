"""The command `rnnexp`: `rnnexp train model=gru` runs the same program as `python -m rnnexp.train model=gru`."""

import importlib.util
import sys

from rnnexp.core.signals import end_in_one_line_after_ctrl_c
from rnnexp.core.validation import did_you_mean
from rnnexp.tracking.environment import describe_version

COMMANDS = {
    "train": "train a network and record the run",
    "evaluate": "score a finished run on its test set or on other data",
    "predict": "predict the classes or numbers of new sequences with a run",
    "translate": "translate text with one run or an ensemble",
    "latency": "measure what inference with finished runs costs",
    "export": "write a run as a file for other runtimes",
    "report": "compare the runs in a directory",
    "runs": "list, compare and remove runs",
    "benchmark": "measure the speed of training and decoding",
    "dashboard": "make a page of charts in W&B",
}
"""Names of the programs, each a module of rnnexp with a `main`, and what they do."""


def main() -> None:
    """Run the program that the first argument names with the other arguments, and exit with its exit code."""
    end_in_one_line_after_ctrl_c()
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        sys.exit(0)
    if arguments[0] in ("-V", "--version"):
        print(describe_version())
        sys.exit(0)
    command, *rest = arguments
    if command not in COMMANDS:
        choices = f"choose one of {', '.join(COMMANDS)}{did_you_mean(command, COMMANDS)}"
        print(f"rnnexp: unknown command {command!r}: {choices}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [f"rnnexp {command}", *rest]
    importlib.import_module(module_of(command)).main()


def module_of(command: str) -> str:
    """Return the module whose `main` is the program: a file of the package, or the `__main__` of a folder."""
    module = f"rnnexp.{command}"
    spec = importlib.util.find_spec(module)
    assert spec is not None
    return module if spec.submodule_search_locations is None else f"{module}.__main__"


def usage() -> str:
    """Return the help text."""
    width = max(map(len, COMMANDS))
    lines = (f"  {name:{width}}  {what}" for name, what in COMMANDS.items())
    return "\n".join(
        [
            "usage: rnnexp COMMAND [ARGUMENT ...]",
            "",
            *lines,
            "",
            "rnnexp COMMAND --help explains a command. Each is also a program: python -m rnnexp.train model=gru",
        ]
    )
