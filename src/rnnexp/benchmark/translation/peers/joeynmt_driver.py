"""The driver of JoeyNMT, a script for an interpreter that has JoeyNMT: it imports nothing of rnnexp.

Its argument is a directory with a task, see `comparison.write_task`. It prints a line of JSON when it is ready, and one
for each line that it reads: `train own` (JoeyNMT makes the batches), `train given` (rnnexp's batches) and `decode`.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from joeynmt.config import parse_global_args
from joeynmt.data import load_data
from joeynmt.model import build_model
from joeynmt.search import search
from joeynmt.training import TrainManager
from torch.utils.data import DataLoader

UNK, NUM_SPECIAL = 1, 4
"""Token ids below 4 are special: rnnexp and JoeyNMT have four such tokens."""


class GivenBatches(list[list[int]]):
    """A batch sampler that returns fixed batches."""

    def set_seed(self, seed: int) -> None:
        """Ignore the seed of an epoch."""

    def get_state(self) -> None:
        """Return the state for JoeyNMT's checkpoint, of which there is none."""


class WatchedBatches:
    """A data set for JoeyNMT's training loop that notes when each batch is yielded, and its target tokens.

    Args:
        dataset: JoeyNMT's data set.
        given: the pairs of each batch; None if JoeyNMT makes the batches.
    """

    def __init__(self, dataset: Any, given: list[list[int]] | None) -> None:  # noqa: ANN401 (JoeyNMT has no types)
        self.dataset, self.given, self.seed = dataset, given, 0
        self.times: list[float] = []
        self.tokens: list[int] = []

    def make_iter(self, **settings: Any) -> "WatchedBatches":  # noqa: ANN401
        """Return an iterable over the batches of an epoch."""
        self.loader = self.dataset.make_iter(**settings)
        if self.given is not None:
            sampler = GivenBatches(self.given)
            self.loader = DataLoader(self.dataset, batch_sampler=sampler, collate_fn=self.loader.collate_fn)
        self.batch_sampler = self.loader.batch_sampler
        return self

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            self.tokens.append(batch.ntokens)
            self.times.append(time.perf_counter())
            yield batch


class JoeyNMT:
    """JoeyNMT with the data and the settings of a task."""

    def __init__(self, directory: Path) -> None:
        self.task = task = json.loads((directory / "task.json").read_text(encoding="utf-8"))
        torch.set_num_threads(task["threads"])
        for name, sentences in task["sentences"].items():  # train.source, train.target, test.source
            lines = [" ".join("<unk>" if token == UNK else str(token) for token in each) for each in sentences]
            (directory / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        for side, size in task["vocab_sizes"].items():
            words = "".join(f"{token}\n" for token in range(NUM_SPECIAL, size))
            (directory / f"vocabulary.{side}").write_text(words, encoding="utf-8")
        self.settings = parse_global_args(config(task, directory), rank=0, mode="train")
        source, target, self.train_data, _, self.test_data = load_data(self.settings.data, datasets=["train", "test"])
        self.vocabularies = source, target

    def build_model(self) -> Any:  # noqa: ANN401
        """Return an untrained network."""
        torch.manual_seed(self.settings.seed)
        model = build_model(self.settings.model, *self.vocabularies)
        model.loss_function = (self.settings.train.loss, self.settings.train.label_smoothing)
        return model

    def train(self, batches: WatchedBatches) -> dict[str, float]:
        """Train a new network in JoeyNMT's loop, and return the time, the target tokens and the last loss."""
        settings, model = self.settings, self.build_model()
        losses: list[torch.Tensor] = []
        model.register_forward_hook(lambda _model, _inputs, outputs: losses.append(outputs[0].detach()))
        manager = TrainManager(
            rank=0,
            model=model,
            model_dir=settings.model_dir,
            device=settings.device,
            autocast=settings.autocast,
            seed=settings.seed,
            train_args=settings.train,
            dev_args=settings.test,
        )
        manager.train_and_validate(batches, batches)
        first, end = self.task["steps"]
        seconds, tokens = batches.times[end] - batches.times[first], batches.tokens[first:end]
        return {"seconds": seconds, "amount": sum(tokens), "loss": losses[end - 1].item() / tokens[-1]}

    def decode(self) -> dict[str, float]:
        """Translate with an untrained network, all sentences of a batch to the same length, and return the time."""
        model, test = self.build_model().eval(), self.task["test"]
        batches = [
            self.test_data.collate_fn([self.test_data[index] for index in indices], model.pad_index, model.eos_index)
            for indices in test["batches"]
        ]

        def translate(batch: Any, length: int) -> None:  # noqa: ANN401
            batch.sort_by_src_length()
            search(model, batch, length + 1, test["beam_size"], beam_alpha=1.0, min_output_length=length)  # + 1: EOS

        translate(batches[-1], 1)  # not timed
        start = time.perf_counter()
        for batch, length in zip(batches, test["lengths"], strict=True):
            translate(batch, length)
        return {"seconds": time.perf_counter() - start, "amount": sum(map(len, test["batches"]))}


def config(task: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return JoeyNMT's config of a task."""
    values = task["config"]
    network, stack, optimizer = values["task"]["network"], values["model"], values["optimizer"]
    embeddings = {"embedding_dim": network["embedding_size"]}
    layers = {"type": "recurrent", "rnn_type": stack["cell"], "hidden_size": stack["hidden_size"]}
    return {
        "name": "rnnexp",
        "model_dir": str(directory / "joeynmt"),
        "use_cuda": False,
        "random_seed": values["seed"],
        "data": {
            "train": str(directory / "train"),
            "test": str(directory / "test"),
            "src": {"lang": "source", "level": "word", "voc_file": str(directory / "vocabulary.source")},
            "trg": {"lang": "target", "level": "word", "voc_file": str(directory / "vocabulary.target")},
        },
        "training": {
            "scheduling": "exponential",  # after each epoch, not after each step as in rnnexp
            "decrease_factor": 1.0,
            "optimizer": "adam",
            "learning_rate": optimizer["lr"],
            "adam_betas": optimizer["betas"],
            "clip_grad_norm": values["trainer"]["gradient_clip_val"],
            "label_smoothing": values["task"]["label_smoothing"],
            "normalization": "tokens",
            "batch_size": values["data"]["batch_size"],
            "updates": task["steps"][1] + 1,
            "epochs": task["steps"][1] + 1,
            "validation_freq": 10**9,
            "logging_freq": 100,
        },
        "testing": {"beam_size": task["test"]["beam_size"]},
        "model": {
            "encoder": {
                **layers,
                "embeddings": embeddings,
                "num_layers": stack["num_layers"],
                "bidirectional": True,
            },
            "decoder": {
                **layers,
                "embeddings": embeddings,
                "num_layers": network["decoder_layers"] or stack["num_layers"],
                "attention": {"additive": "bahdanau", "general": "luong"}[network["attention"]],
                "init_hidden": {"final": "bridge", "zero": "zeros"}[network["bridge"]],
            },
        },
    }


def main() -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what JoeyNMT prints goes elsewhere
    joeynmt = JoeyNMT(Path(sys.argv[1]))
    requests = {
        "train own": lambda: joeynmt.train(WatchedBatches(joeynmt.train_data, None)),
        "train given": lambda: joeynmt.train(WatchedBatches(joeynmt.train_data, joeynmt.task["batches"])),
        "decode": joeynmt.decode,
    }
    print(json.dumps({"version": f"{version('joeynmt')}, torch {torch.__version__}"}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(requests[line.strip()]()), file=answers, flush=True)


if __name__ == "__main__":
    main()
