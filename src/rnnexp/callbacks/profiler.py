"""A profile of the training step by part: data, forward, backward, optimizer, callbacks."""

import re
import time
from collections import defaultdict
from pathlib import Path

from lightning.pytorch.profilers import Profiler

PARTS = {
    "validation": r"val|sanity",
    "data": r"train_dataloader_next|batch_to_device|batch_transfer",
    "forward and loss": r"\.training_step$",
    "backward": r"^\[Strategy\]\w+\.backward$",
    "optimizer, clipping and schedule": r"\.(optimizer_\w+|configure_gradient_clipping|lr_scheduler_step)$",
    "checkpoints": r"save_checkpoint",
    "callbacks": r"^\[Callback\]",
    "hooks of the task": r"^\[LightningModule\]",
}
"""Part -> the actions of Lightning that belong to it; the first part that matches counts."""
REST = "loops and logging of Lightning"
STEP, EPOCH = "run_training_batch", "run_training_epoch"


class PartProfiler(Profiler):
    """A profiler whose table has our own names. An action that runs within another counts only for its own part.

    Args:
        dirpath: the directory of the table.
        filename: its name without `.txt`; Lightning writes the stage in front of it.
    """

    def __init__(self, dirpath: str | Path | None = None, filename: str | None = None) -> None:
        super().__init__(dirpath, filename)
        self.seconds: dict[str, float] = defaultdict(float)
        self.num_steps = 0
        self._running: list[str] = []
        self._since = 0.0

    def start(self, action_name: str) -> None:
        """Start an action, which pauses the one that it runs within."""
        self._count()
        self._running.append(action_name)
        self.num_steps += action_name == STEP

    def stop(self, action_name: str) -> None:
        """End an action."""
        self._count()
        # A generator that is closed late may end an action out of order.
        self._running.reverse()
        self._running.remove(action_name)
        self._running.reverse()

    def _count(self) -> None:
        now = time.perf_counter()
        # What precedes and follows the epochs is not part of a training step.
        if EPOCH in self._running:
            self.seconds[part_of(self._running)] += now - self._since
        self._since = now

    def describe(self) -> None:
        """Write the table, unless the stage had no training step."""
        if self.num_steps:
            super().describe()

    def summary(self) -> str:
        """Return the table: the milliseconds per training step of each part, and its share."""
        total = sum(self.seconds.values())
        lines = [f"{self.num_steps} training steps", "", f"{'part':<34}{'ms per step':>12}{'share':>9}"]
        for part, seconds in sorted(self.seconds.items(), key=lambda item: -item[1]):
            lines.append(f"{part:<34}{1e3 * seconds / self.num_steps:>12.3f}{seconds / total:>9.1%}")
        lines.append(f"{'sum':<34}{1e3 * total / self.num_steps:>12.3f}{1:>9.1%}")
        return "\n".join(lines) + "\n"


def part_of(running: list[str]) -> str:
    """Return the part of the innermost action that belongs to one."""
    for action in reversed(running):
        # Lightning adds the arguments of a checkpoint callback to its name, such as {'monitor': 'val/acc'}.
        action = re.sub(r"\{.*\}", "", action)
        for part, pattern in PARTS.items():
            if re.search(pattern, action):
                return part
    return REST
