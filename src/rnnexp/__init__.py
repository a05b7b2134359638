"""Which recurrent network, how deep, in which direction, at which precision? Answered with evidence."""

import sys

__version__ = "0.1.0"

if sys.argv[:1] == ["-m"]:
    # Python still looks for the module of `python -m rnnexp.train`: this process is a program, and its imports follow.
    from rnnexp.core.signals import end_in_one_line_after_ctrl_c

    end_in_one_line_after_ctrl_c()
