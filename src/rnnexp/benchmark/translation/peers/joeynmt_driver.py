"""The driver of JoeyNMT, a script for an interpreter that has JoeyNMT: it imports nothing of rnnexp.

Its argument is a directory with a task, see `task.write_task`. It prints a line of JSON when it is ready, and one for
each line that it reads: `train own` (JoeyNMT makes the batches), `train given` (rnnexp's batches), `decode`, `learn` (a
slice of a training), and of the network trained so far `score` (the validation set) and `greedy` or `beam` (the test).
"""

import json
import os
import runpy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
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

Turns = runpy.run_path(str(Path(__file__).with_name("turns.py")))["Turns"]
UNK, NUM_SPECIAL = 1, 4
"""Token ids below 4 are special: rnnexp and JoeyNMT have four such tokens."""
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
        watch: a function of the batch.
        given: the pairs of each batch; None if JoeyNMT makes the batches.
    """

    def __init__(
        self,
        dataset: Any,  # noqa: ANN401 (JoeyNMT has no types)
        watch: Callable[[Any], None],
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
            self.watch(batch)
            yield batch


class JoeyNMT:
    """JoeyNMT with the data and the settings of a task."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.task = task = json.loads((directory / "task.json").read_text(encoding="utf-8"))
        self.read = time.process_time if task["cpu_time"] else time.perf_counter
        torch.set_num_threads(task["threads"])
        for name, sentences in task["sentences"].items():  # train.source, train.target, test.source, ...
            lines = [" ".join("<unk>" if token == UNK else str(token) for token in each) for each in sentences]
            (directory / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        for side, size in task["vocab_sizes"].items():
            words = "".join(f"{token}\n" for token in range(NUM_SPECIAL, size))
            (directory / f"vocabulary.{side}").write_text(words, encoding="utf-8")
        self.settings = parse_global_args(config(task, directory), rank=0, mode="train")
        datasets = list(dict.fromkeys(name.partition(".")[0] for name in task["sentences"]))
        source, target, self.train_data, self.dev_data, self.test_data = load_data(self.settings.data, datasets)
        self.vocabularies = source, target
        self.model = self.build_model()

    def build_model(self) -> Any:  # noqa: ANN401
        """Return an untrained network."""
        torch.manual_seed(self.settings.seed)
        model = build_model(self.settings.model, *self.vocabularies)
        model.loss_function = (self.settings.train.loss, self.settings.train.label_smoothing)
        return model

    def make_manager(self, model: Any) -> Any:  # noqa: ANN401
        """Return JoeyNMT's training of a network."""
        settings = self.settings
        return TrainManager(
            rank=0,
            model=model,
            model_dir=settings.model_dir,
            device=settings.device,
            autocast=settings.autocast,
            seed=settings.seed,
            train_args=settings.train,
            dev_args=settings.test,
        )

    def train(self, given: list[list[int]] | None) -> dict[str, float]:
        """Train a new network in JoeyNMT's loop, and return the time, the target tokens and the last loss."""
        model = self.build_model()
        losses: list[torch.Tensor] = []
        times: list[float] = []
        tokens: list[int] = []

        def watch(batch: Any) -> None:  # noqa: ANN401
            tokens.append(batch.ntokens)
            times.append(self.read())

        model.register_forward_hook(lambda _model, _inputs, outputs: losses.append(outputs[0].detach()))
        batches = WatchedBatches(self.train_data, watch, given)
        self.make_manager(model).train_and_validate(batches, batches)
        first, end = self.task["steps"]
        loss = losses[end - 1].item() / tokens[end - 1]
        return {"seconds": times[end] - times[first], "amount": sum(tokens[first:end]), "loss": loss}

    def learn(self, answer: Callable[[dict[str, Any]], None], requests: Iterator[str]) -> str | None:
        """Train in slices, and return the request that ends the training."""
        self.turns = turns = Turns(self.task, answer, requests, self.read)
        manager = self.make_manager(self.model)
        tokens = 1

        def watch(batch: Any) -> None:  # noqa: ANN401
            nonlocal tokens
            if not turns.goes_on():
                raise KeyboardInterrupt  # ends JoeyNMT's loop
            turns.set_rate(manager.optimizer.param_groups)
            turns.count(batch.nseqs, batch.ntokens)
            tokens = batch.ntokens

        def note_loss(_model: Any, _inputs: Any, outputs: Any) -> None:  # noqa: ANN401
            turns.loss = outputs[0].item() / tokens

        hook = self.model.register_forward_hook(note_loss)
        batches = WatchedBatches(self.train_data, watch)
        manager.train_and_validate(batches, batches)
        hook.remove()
        if turns.request == "learn":
            raise RuntimeError("JoeyNMT ended the training before its time")
        return turns.request  # type: ignore[no-any-return]

    def score(self) -> dict[str, float]:
        """Score the references of the validation set, translate it as JoeyNMT does, and write both and the weights."""
        task, model = self.task, self.model.eval()
        torch.save(model.state_dict(), self.directory / "weights.pt")
        start, loss, num_tokens = self.read(), 0.0, 0
        model.loss_function = ("crossentropy", 0.0)
        for indices in task["dev"]["batches"]:
            batch = self.gather(self.dev_data, indices)
            batch.sort_by_src_length()
            with torch.no_grad():
                loss += model(return_type="loss", **vars(batch))[0].item()
            num_tokens += batch.ntokens
        found = self.translate(self.dev_data, task["dev"], beam_size=task["beam_size"], alpha=1.0)
        seconds = self.read() - start
        self.write("validation.json", found)
        return {"seconds": seconds, "amount": len(found), "loss": loss / num_tokens}

    def search(self, beam_size: int) -> dict[str, float]:
        """Translate the test without a penalty of the length, and write the translations."""
        self.model.eval()
        start = self.read()
        found = self.translate(self.test_data, self.task["test"], beam_size, alpha=0.0)
        seconds = self.read() - start
        self.write("translations.json", found)
        return {"seconds": seconds, "amount": len(found)}

    def gather(self, dataset: Any, indices: list[int]) -> Any:  # noqa: ANN401
        """Return a batch of these sentences."""
        return dataset.collate_fn([dataset[index] for index in indices], self.model.pad_index, self.model.eos_index)

    def translate(self, dataset: Any, split: dict[str, Any], beam_size: int, alpha: float) -> list[list[int]]:  # noqa: ANN401
        """Return the translations in the order of the sentences, as tokens of rnnexp."""
        found: dict[int, list[str]] = {}
        for indices, longest in zip(split["batches"], split["longest"], strict=True):
            batch = self.gather(dataset, indices)
            order = batch.sort_by_src_length()
            outputs, _, _ = search(self.model, batch, longest, beam_size, alpha, generate_unk=False)
            found |= zip(indices, self.vocabularies[1].arrays_to_sentences(outputs[order]), strict=True)
        return [[int(word) for word in found[index] if word.isdigit()] for index in sorted(found)]

    def write(self, name: str, translations: Sequence[Sequence[int]]) -> None:
        """Write translations, and the number of steps and sentences that trained the network."""
        values = {"steps": self.turns.steps, "sentences": self.turns.sentences, "translations": translations}
        (self.directory / name).write_text(json.dumps(values), encoding="utf-8")

    def decode(self) -> dict[str, float]:
        """Translate with an untrained network, all sentences of a batch to the same length, and return the time."""
        model, test = self.build_model().eval(), self.task["test"]
        batches = [self.gather(self.test_data, indices) for indices in test["batches"]]

        def translate(batch: Any, length: int) -> None:  # noqa: ANN401
            batch.sort_by_src_length()
            beam_size = self.task["beam_size"]
            search(model, batch, length + 1, beam_size, beam_alpha=1.0, min_output_length=length)  # + 1: EOS

        translate(batches[-1], 1)  # not timed
        start = self.read()
        for batch, length in zip(batches, test["lengths"], strict=True):
            translate(batch, length)
        return {"seconds": self.read() - start, "amount": sum(map(len, test["batches"]))}


def config(task: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return JoeyNMT's config of a task."""
    values = task["config"]
    network, stack, optimizer = values["task"]["network"], values["model"], values["optimizer"]
    embeddings = {"embedding_dim": network["embedding_size"]}
    layers = {"type": "recurrent", "rnn_type": stack["cell"], "hidden_size": stack["hidden_size"]}
    recipe = OWN_RECIPE if task.get("recipe") == "own" else {"training": {}, "decoder": {}}
    end = task["steps"][1] + 1 if "steps" in task else 10**9
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
            "updates": end,
            "epochs": end,
            "validation_freq": 10**9,
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


def main() -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what JoeyNMT prints goes elsewhere
    joeynmt = JoeyNMT(Path(sys.argv[1]))
    handlers: dict[str, Callable[[], dict[str, Any]]] = {
        "train own": lambda: joeynmt.train(None),
        "train given": lambda: joeynmt.train(joeynmt.task["batches"]),
        "decode": joeynmt.decode,
        "score": joeynmt.score,
        "greedy": lambda: joeynmt.search(beam_size=1),
        "beam": lambda: joeynmt.search(joeynmt.task["beam_size"]),
    }

    def answer(values: dict[str, Any]) -> None:
        print(json.dumps(values), file=answers, flush=True)

    answer({"version": f"{version('joeynmt')}, torch {torch.__version__}"})
    requests: Iterator[str] = (line.strip() for line in sys.stdin)
    request = next(requests, None)
    while request is not None:
        if request == "learn":
            request = joeynmt.learn(answer, requests)
        else:
            answer(handlers[request]())
            request = next(requests, None)


if __name__ == "__main__":
    main()
