"""The ways a program ends other than well: each is one line to the user and an exit code of its own."""


class UserError(Exception):
    """Bad input or a bad place: the message says what, where and what to do. No traceback is shown."""

    exit_code = 2


class UnsupportedError(UserError):
    """This cell, device and precision cannot run together; nothing was changed to make them."""

    exit_code = 3


class DivergedError(UserError):
    """The loss or a gradient became NaN or infinite."""

    exit_code = 4


class PrunedError(UserError):
    """A search ended the run early, since other trials do better."""

    exit_code = 5


class InterruptedRunError(UserError):
    """A signal asked the run to stop; it saved a checkpoint at a batch boundary first."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class SweepFailedError(UserError):
    """Some job of a sweep did not come to an end of its own; the others did."""

    exit_code = 1


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if it has none.

    The second line is added where the first ends in a colon, as where Hydra says what it could not import and why.
    """
    first, *rest = (str(error).strip() or type(error).__name__).splitlines()
    return f"{first} {rest[0].strip()}" if first.endswith(":") and rest else first
