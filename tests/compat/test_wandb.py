"""Canaries for the way W&B is kept from importing W&B Launch. A failure names what changed."""

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
import wandb
{before}
from contextlib import nullcontext
from rnnexp.compat.wandb import LAUNCH, without_launch
with {context}():
    wandb.init(mode="offline", dir={directory!r}, settings=wandb.Settings(silent=True)).finish()
print(LAUNCH in sys.modules)
"""


def answer(directory: Path, context: str, before: str = "") -> str:
    code = CODE.format(directory=str(directory), context=context, before=before)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_run_starts_without_launch(tmp_path: Path) -> None:
    assert answer(tmp_path, "without_launch") == "False", "wandb.init imports W&B Launch in another place"


def test_the_module_is_still_needed(tmp_path: Path) -> None:
    assert answer(tmp_path, "nullcontext") == "True", (
        "wandb.init no longer imports W&B Launch by itself: rnnexp.compat.wandb can go"
    )


def test_registered_inputs_still_apply(tmp_path: Path) -> None:
    # W&B logs a problem with the inputs and goes on, so the class that holds them is replaced by one that reports.
    before = (
        "import wandb.sdk.launch.inputs.internal as internal\n"
        "class Inputs:\n    def apply(self, run): print('applied')\n"
        "internal.StagedLaunchInputs = Inputs"
    )
    assert answer(tmp_path, "without_launch", before).split() == ["applied", "True"]
