"""The benchmark of translation, and the loops and searches that it compares."""
