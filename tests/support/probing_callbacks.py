"""Callbacks that tests add to a run by their path: `+callbacks.probe._target_=support.probing_callbacks.X`."""

import errno
import os
import resource
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class SendSignal(Callback):
    """A callback that sends this process a signal when the batch of a step or its validation begins."""

    def __init__(self, step: int, number: int, in_validation: bool = False, times: int = 1) -> None:
        self.step, self.number, self.in_validation, self.times = step, number, in_validation, times

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        if not self.in_validation and trainer.global_step == self.step:
            self._send()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        if self.in_validation and trainer.global_step == self.step:
            self._send()

    def _send(self) -> None:
        for _ in range(self.times):
            os.kill(os.getpid(), self.number)


class SpoilInputs(Callback):
    """A callback that makes the inputs of one step NaN in one process."""

    def __init__(self, step: int, rank: int) -> None:
        self.step, self.rank = step, rank

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        if (trainer.global_step, trainer.global_rank) == (self.step, self.rank):
            batch.inputs.fill_(torch.nan)


class RecordDtypes(Callback):
    """A callback that records the types of a forward pass as files in a directory."""

    seen: dict[str, str]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        stack, seen = pl_module.stack, {}
        RecordDtypes.seen = seen

        def note(module: Any, inputs: Any, result: Any) -> None:  # noqa: ARG001
            seen["outputs"] = str(result[0].dtype).removeprefix("torch.")

        stack.register_forward_hook(note)
        seen["parameters"] = str(next(stack.parameters()).dtype).removeprefix("torch.")


class RecordTraining(Callback):
    """A callback that records the weights before and after training, the losses, and where the data are."""

    seen: dict[str, Any]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        RecordTraining.seen = {"before": self._weights(pl_module), "losses": [], "batches": []}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        sequences = getattr(trainer.train_dataloader, "sequences", None)
        self.seen["kept on"] = sequences if sequences is None else sequences.device.type

    def on_train_batch_end(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,
        batch: Any,
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        self.seen["losses"].append(outputs["loss"].item())
        self.seen["batches"].append(
            {name: tensor.device.type for name, tensor in batch._asdict().items() if tensor is not None}
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self.seen["after"] = self._weights(pl_module)
        self.seen["weights on"] = {parameter.device.type for parameter in pl_module.parameters()}

    @staticmethod
    def _weights(module: LightningModule) -> dict[str, torch.Tensor]:
        return {name: parameter.detach().cpu().clone() for name, parameter in module.named_parameters()}


class Bug(Callback):
    """A callback that fails like a bug."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        raise ZeroDivisionError


class Fault(Callback):
    """A callback that makes the jobs of given seeds fail in a step, each in a given way.

    Args:
        seed: the seed of the run.
        faults: the fault of each seed.
        step: the step, counted from 0.
        once: a directory in which the first fault of each seed leaves a file, after which there are no others.
    """

    def __init__(self, seed: int, faults: dict[int, str], step: int = 2, once: str | None = None) -> None:
        self.fault, self.step = faults.get(seed), step
        self.marker = None if once is None else Path(once) / f"seed-{seed}"

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        if self.fault is None or trainer.global_step != self.step:
            return
        if self.marker is not None:
            if self.marker.exists():
                return
            self.marker.parent.mkdir(exist_ok=True)
            self.marker.touch()
        self._fail(pl_module)

    def _fail(self, pl_module: LightningModule) -> None:
        match self.fault:
            case "raise" | "flood":
                print(("x" * 99 + "\n") * 10**6 * (self.fault == "flood"), end="")
                raise ZeroDivisionError("division by a seed")
            case "disk":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            case "terminate":
                os.kill(os.getpid(), signal.SIGTERM)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "memory":
                limit = 8 * 2**30
                resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
                pl_module.hoard = torch.empty(limit)
            case "hang":
                while True:
                    time.sleep(1)
            case "diverge":
                for parameter in pl_module.parameters():
                    parameter.data.fill_(float("nan"))
            case other:
                raise ValueError(other)


class StartChild(Callback):
    """A callback that starts a process which runs for a given number of seconds."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        subprocess.Popen(["sleep", str(self.seconds)])


class StopAfterEpoch(Callback):
    """A callback that ends a run normally after one epoch, also after a resume."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        trainer.should_stop = True


class SlowUntil(Callback):
    """A callback with which each step takes half a second until a file exists, so that a run does not end before.

    Args:
        file: the path of the file.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        if not self.file.exists():
            time.sleep(0.5)
