"""Objects from a config."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rnnexp.cli.conf_dir import config_root
from rnnexp.runs.build import make_optimizer_factories

OPTIMIZERS = sorted(path for path in (config_root() / "optimizer").glob("*.yaml"))
SCHEDULER = {"_target_": "torch.optim.lr_scheduler.ConstantLR", "_partial_": True}


@pytest.mark.parametrize("path", OPTIMIZERS, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("precision", "fused"), [("32-true", True), ("bf16-true", True), ("bf16-mixed", False), ("16-mixed", False)]
)
def test_optimizers_are_fused_unless_gradients_are_scaled(path: Path, precision: str, fused: bool) -> None:
    config: dict[str, Any] = {"scheduler": SCHEDULER, "trainer": {"precision": precision}}
    config["optimizer"] = yaml.safe_load(path.read_text(encoding="utf-8"))
    make_optimizer, _ = make_optimizer_factories(config)
    optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(2))])
    assert optimizer.defaults["fused"] is fused
    # What Lightning looks at before it refuses to clip.
    assert getattr(optimizer, "_step_supports_amp_scaling", False) is fused


def test_subnormal_numbers_are_zero_in_every_thread() -> None:
    """The threads of PyTorch take the setting from the thread that starts them; a new process has no threads yet."""
    program = """
import torch
from rnnexp.runs.build import apply_process_settings
apply_process_settings(num_threads=2, tf32=False, retain_memory=False)
assert torch.get_num_threads() == 2
numbers = torch.full((1 << 20,), 1e-30) * 1e-10
print(numbers.count_nonzero().item())
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True).stdout
    assert printed.strip() == "0"
