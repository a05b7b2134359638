"""The table of docs/cells.md is that of the code."""

import re

import pytest

from rnnexp.recurrent import CELLS, RecurrentStack
from support import ROOT

ROWS = re.findall(
    r"^\| `(\w+)` \| (.+) \|(.*)\| (\w(?:, \w)*) \| (\d.*) \|$",
    (ROOT / "docs" / "cells.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_every_cell_has_a_row() -> None:
    assert [row[0] for row in ROWS] == list(CELLS)


@pytest.mark.parametrize(("cell", "paper", "options", "state", "weights"), ROWS, ids=[row[0] for row in ROWS])
def test_a_row(cell: str, paper: str, options: str, state: str, weights: str) -> None:
    assert re.search(r"\(\d{4}[,)]", paper)
    m, n = 3, 4
    stack = RecurrentStack(cell, m, n)
    assert re.findall(r"`(\w+)`", options) == list(stack.cell_options)
    assert len(state.split(", ")) == stack.num_states
    blocks, sizes, sum_of_sizes = re.fullmatch(r"(\d) \((.*)\)(?: \+ (\w))?", weights).groups()  # type: ignore[union-attr]
    numbers = {"m": m, "n": n, "2 n": 2 * n}
    block = sum(numbers.get(term) or int(term) for term in sizes.split(" + "))
    more = 0 if sum_of_sizes is None else numbers.get(sum_of_sizes) or int(sum_of_sizes)
    assert sum(parameter.numel() for parameter in stack.parameters()) == n * (int(blocks) * block + more)
