"""The driver of rnnexp, which takes turns as those of other toolkits do: a training as `train` does it, in slices.

Its argument is a directory with a task, see `learning.measure_learning`. It answers `learn` with the measurement of a
slice, and `score` with that of the validation set, whose translations it writes to `validation.json`.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from rnnexp.benchmark.translation.peers.driver import Requests
from rnnexp.benchmark.translation.peers.turns import Turns
from rnnexp.core.clock import now, use_cpu_time
from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.data.batches import TranslationBatch
from rnnexp.decoding import beam_search
from rnnexp.runs.build import Experiment, apply_process_settings, build_experiment
from rnnexp.runs.settings import RunSettings
from rnnexp.runs.stages import fit
from rnnexp.tasks.translation.task import TranslationTask
from rnnexp.tracking.run_directory import RunDirectory


class TakeTurns(Callback):
    """A callback that waits after each slice, sets the learning rate, and ends the training."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        batch: TranslationBatch,
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        self.turns.count(len(batch.source), TranslationTask.num_tokens(batch))
        self.turns.set_rate(trainer.optimizers[0].param_groups)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ANN401
        batch: TranslationBatch,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        self.turns.loss = outputs["loss"].item()
        if not self.turns.goes_on():
            trainer.should_stop = True


def build(task: dict[str, Any], directory: Path) -> Experiment:
    """Build the experiment of the task, whose training ends only when the time is over."""
    constant = {"_target_": "rnnexp.tasks.schedules.constant", "_partial_": True}  # `TakeTurns` sets the learning rate
    config = task["config"] | {"scheduler": constant}
    if task["cpu_time"]:
        use_cpu_time()
    apply_process_settings(task["threads"], config["tf32"], config["retain_memory"])
    return build_experiment(RunSettings.from_config(config, RunDirectory(directory / "run")))


@torch.inference_mode()
def validate(experiment: Experiment, turns: Turns, directory: Path, beam_size: int) -> dict[str, float]:
    """Score the references of the validation set, translate it and write that, in the order of its batches."""
    device = experiment.trainer.strategy.root_device
    task = experiment.task.to(device).eval()
    assert isinstance(task, TranslationTask)
    translations: list[list[int]] = []
    loss, num_tokens, start = 0.0, 0, turns.read()
    for on_cpu in experiment.datamodule.val_dataloader():
        batch = experiment.datamodule.transfer_batch_to_device(on_cpu, device, 0)
        loss += task.sentence_losses(batch).double().sum().item()
        num_tokens += task.num_tokens(batch)
        found = beam_search(
            [task.model], batch.source, batch.source_lengths, beam_size, 1, task.length_penalty, task.limits
        )
        translations += found.tokens[:, 0].tolist()
    seconds = turns.read() - start
    values = {"steps": turns.steps, "sentences": turns.sentences, "translations": translations}
    write_json(directory / "validation.json", values)
    return {"seconds": seconds, "amount": len(translations), "loss": loss / num_tokens}


def main() -> None:
    """Train in slices, and score the network at the end."""
    requests = Requests()
    directory = Path(sys.argv[1])
    task = read_json(directory / "task.json")
    experiment = build(task, directory)
    requests.answer({"version": f"torch {torch.__version__}"})
    if next(requests, None) == "learn":
        turns = Turns(task, requests.answer, requests, partial(now, experiment.trainer.strategy.root_device))
        experiment.callbacks.append(TakeTurns(turns))
        fit(experiment)
        if turns.request == "score":
            requests.answer(validate(experiment, turns, directory, task["beam_size"]))
        next(requests, None)  # the end


if __name__ == "__main__":
    main()
