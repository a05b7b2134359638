"""torch's scan over time, which the export of cells by their equations needs."""

import torch

from rnnexp.compat.torch_scan import scan_over_time


def test_scan_returns_the_last_state_and_every_output() -> None:
    last, outputs = scan_over_time(lambda state, x: (state + x, state + x), torch.zeros(2), torch.ones(3, 2))
    assert last.tolist() == [3, 3]
    assert outputs.tolist() == [[1, 1], [2, 2], [3, 3]]
