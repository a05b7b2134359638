"""Private names of other libraries that cannot be avoided, one module per library.

Each stands beside the public way that was tried. `tests/compat/` has a canary test for each, which fails in words when
the library moves.
"""
