"""The driver of JoeyNMT, a script for an interpreter that has JoeyNMT: it imports nothing of rnnexp."""

import runpy
from collections.abc import Callable, Iterator
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

OWN_RECIPE: dict[str, dict[str, Any]] = {
    "training": {"learning_rate": 2e-4, "batch_size": 80, "label_smoothing": 0.0, "clip_grad_norm": None},
    "decoder": {"hidden_dropout": 0.2},
}
"""The values of JoeyNMT's configs/iwslt14_deen_bpe.yaml, its recurrent network for IWSLT14, that replace rnnexp's.

Its learning rate falls after 8 validations without an improvement, of which there is one after each 2,000 updates, so
that it is constant in the first 16,000. (JoeyNMT 2.3.0 cannot make that schedule with the PyTorch that it installs.)
"""


class GivenBatches(list[list[int]]):
    """A batch sampler that returns fixed batches."""

    def set_seed(self, seed: int) -> None:
        """Ignore the seed of an epoch."""

    def get_state(self) -> torch.Tensor:
        """Return a state for JoeyNMT's checkpoint, which is not read."""
        return torch.empty(0)


class WatchedBatches:
    """A data set for JoeyNMT's training loop, each of whose batches is watched before it is yielded.

    Args:
        dataset: JoeyNMT's data set.
        watch: a function of the batch; False ends the training.
        given: the pairs of each batch; None if JoeyNMT makes the batches.
    """

    def __init__(
        self,
        dataset: Any,  # noqa: ANN401 (JoeyNMT has no types)
        watch: Callable[[Any], bool],
        given: list[list[int]] | None = None,
    ) -> None:
        self.dataset, self.watch, self.given, self.seed = dataset, watch, given, 0

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
            if not self.watch(batch):
                raise KeyboardInterrupt  # ends JoeyNMT's loop
            yield batch


class JoeyNMT:
    """JoeyNMT as a `Toolkit` of driver.py."""

    version = version("joeynmt")
    penalty = 1.0

    def __init__(self, task: dict[str, Any], directory: Path) -> None:
        self.settings = parse_global_args(config(task, directory), rank=0, mode="train")
        splits = list(dict.fromkeys(name.partition(".")[0] for name in task["sentences"]))
        source, target, *datasets = load_data(self.settings.data, splits)
        self.vocabularies = source, target
        self.datasets = dict(zip(("train", "dev", "test"), datasets, strict=True))

    def build_model(self) -> Any:  # noqa: ANN401
        """Return an untrained network."""
        torch.manual_seed(self.settings.seed)
        return build_model(self.settings.model, *self.vocabularies)

    def fit(
        self,
        model: Any,  # noqa: ANN401
        watch: Callable[[int, int], bool],
        note_loss: Callable[[torch.Tensor], None],
        given: list[list[int]] | None,
        set_rate: Callable[[list[dict[str, Any]]], None],
    ) -> None:
        """Train in JoeyNMT's own loop."""
        settings = self.settings
        model.loss_function = (settings.train.loss, settings.train.label_smoothing)
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

        def watch_batch(batch: Any) -> bool:  # noqa: ANN401
            goes_on = watch(batch.nseqs, batch.ntokens)
            set_rate(manager.optimizer.param_groups)
            return goes_on

        hook = model.register_forward_hook(lambda _model, _inputs, outputs: note_loss(outputs[0]))
        batches = WatchedBatches(self.datasets["train"], watch_batch, given)
        manager.train_and_validate(batches, batches)
        hook.remove()

    def gather(self, split: str, indices: list[int]) -> Any:  # noqa: ANN401
        """Return a batch of sentence pairs."""
        dataset, vocabulary = self.datasets[split], self.vocabularies[1]
        return dataset.collate_fn([dataset[index] for index in indices], vocabulary.pad_index, vocabulary.eos_index)

    def loss(self, model: Any, batch: Any) -> tuple[float, int]:  # noqa: ANN401
        """Return the cross-entropy of the references of a batch, and the number of their tokens."""
        batch.sort_by_src_length()
        model.loss_function = ("crossentropy", 0.0)
        with torch.no_grad():
            return model(return_type="loss", **vars(batch))[0].item(), batch.ntokens

    def search(
        self,
        model: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        beam_size: int,
        lengths: tuple[int, int],
        penalty: float,
    ) -> list[list[str]]:
        """Return the words of the translations of a batch."""
        shortest, longest = lengths
        order = batch.sort_by_src_length()
        limits = {"min_output_length": shortest, "generate_unk": False}
        outputs, _, _ = search(model, batch, longest, beam_size, penalty, **limits)
        found: list[list[str]] = self.vocabularies[1].arrays_to_sentences(outputs[order])
        return found


def config(task: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return JoeyNMT's config of a task."""
    values = task["config"]
    network, stack, optimizer = values["task"]["network"], values["model"], values["optimizer"]
    embeddings = {"embedding_dim": network["embedding_size"]}
    layers = {"type": "recurrent", "rnn_type": stack["cell"], "hidden_size": stack["hidden_size"]}
    recipe = OWN_RECIPE if task.get("recipe") == "own" else {"training": {}, "decoder": {}}
    endless = 10**9  # `watch` ends the training
    return {
        "name": "rnnexp",
        "model_dir": str(directory / "joeynmt"),
        "use_cuda": False,
        "random_seed": values["seed"],
        "data": {
            "train": str(directory / "train"),
            "dev": str(directory / "dev"),
            "test": str(directory / "test"),
            "src": {"lang": "source", "level": "word", "voc_file": str(directory / "vocabulary.source")},
            "trg": {"lang": "target", "level": "word", "voc_file": str(directory / "vocabulary.target")},
        },
        "training": {
            "scheduling": "exponential",  # after each epoch, not after each step as in rnnexp
            "decrease_factor": 1.0,
            "optimizer": "adam",
            "learning_rate": optimizer["lr"],
            "learning_rate_min": 0.0,  # below it, JoeyNMT ends the training
            "adam_betas": optimizer["betas"],
            "clip_grad_norm": values["trainer"]["gradient_clip_val"],
            "label_smoothing": values["task"]["label_smoothing"],
            "normalization": "tokens",
            "batch_size": values["data"]["batch_size"],
            "updates": endless,
            "epochs": endless,
            "validation_freq": endless,
            "logging_freq": 100,
            **recipe["training"],
        },
        "testing": {"beam_size": task["beam_size"]},
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
                **recipe["decoder"],
            },
        },
    }


if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).with_name("driver.py")))["main"](JoeyNMT)
