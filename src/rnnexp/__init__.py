"""Which recurrent network, how deep, in which direction, at which precision? Answered with evidence."""

__version__ = "0.1.0"
