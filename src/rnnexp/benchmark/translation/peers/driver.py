"""The driver of a toolkit, without what differs between toolkits.

The driver of each toolkit loads this file by its path and calls `main`: its interpreter does not have rnnexp. The
argument of the process is a directory with a task, see `task.write_task`. The process prints a line of JSON when it is
ready, and one for each line that it reads: `train own` (the toolkit makes the batches), `train given` (rnnexp's
batches), `decode`, `learn` (a slice of a training), and of the network trained so far `score` (the validation set) and
`greedy` or `beam` (the test).
"""

import json
import os
import runpy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from rnnexp.benchmark.translation.peers.turns import Turns
else:
    Turns = runpy.run_path(str(Path(__file__).with_name("turns.py")))["Turns"]

UNK, NUM_SPECIAL = 1, 4
"""Token ids below 4 are special: rnnexp and all toolkits have four such tokens. Sentences have `<unk>` of them."""

Batch = Any
Network = Any
Watch = Callable[[int, int], bool]
"""Called with the numbers of sentences and target tokens of a batch before it is used; False ends the training."""
SetRate = Callable[[list[dict[str, Any]]], None]
"""Sets the learning rate of an optimizer's groups to that of this moment, or leaves that of the toolkit's schedule."""


def keep_rate(groups: list[dict[str, Any]]) -> None:
    """Leave the learning rate of the toolkit's schedule."""


class Toolkit(Protocol):
    """A toolkit with the data and the settings of a task."""

    version: str
    penalty: float
    """the length penalty of its recipe"""

    def build_model(self) -> Network:
        """Return an untrained network."""

    def fit(
        self,
        model: Network,
        watch: Watch,
        note_loss: Callable[[torch.Tensor], None],
        given: list[list[int]] | None,
        set_rate: SetRate,
    ) -> None:
        """Train in the toolkit's own loop.

        Args:
            model: the network.
            watch: see `Watch`.
            note_loss: called with the loss of each batch, summed over its target tokens.
            given: the pairs of each batch; None if the toolkit makes the batches.
            set_rate: see `SetRate`.
        """

    def gather(self, split: str, indices: list[int]) -> Batch:
        """Return a batch of sentence pairs."""

    def loss(self, model: Network, batch: Batch) -> tuple[float, int]:
        """Return the cross-entropy of the references of a batch, summed over their tokens, and how many these are."""

    def search(
        self, model: Network, batch: Batch, beam_size: int, lengths: tuple[int, int], penalty: float
    ) -> list[list[str]]:
        """Return the words of the translations of a batch, none of them unknown, in the order of its sentences.

        Args:
            model: the network, in evaluation mode.
            batch: the batch.
            beam_size: hypotheses per sentence.
            lengths: the smallest number of words, and the largest, which counts EOS.
            penalty: the length penalty; 0 for none.
        """


class Driver:
    """A toolkit that answers requests.

    Args:
        directory: the directory with the task.
        make_toolkit: returns the toolkit, from the task and the directory, where the sentences and the vocabularies of
            `source` and `target` are in text files: `train.source`, `vocabulary.source`.
    """

    def __init__(self, directory: Path, make_toolkit: Callable[[dict[str, Any], Path], Toolkit]) -> None:
        self.directory = directory
        self.task = task = json.loads((directory / "task.json").read_text(encoding="utf-8"))
        self.read = time.process_time if task["cpu_time"] else time.perf_counter
        torch.set_num_threads(task["threads"])
        for name, sentences in task["sentences"].items():
            lines = [" ".join("<unk>" if token == UNK else str(token) for token in each) for each in sentences]
            (directory / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        for side, size in task["vocab_sizes"].items():
            words = "".join(f"{token}\n" for token in range(NUM_SPECIAL, size))
            (directory / f"vocabulary.{side}").write_text(words, encoding="utf-8")
        self.toolkit = make_toolkit(task, directory)
        self.model = self.toolkit.build_model()

    def train(self, given: list[list[int]] | None = None) -> dict[str, float]:
        """Train a new network, and return the time, the target tokens and the last loss."""
        first, end = map(int, self.task["steps"])
        losses: list[torch.Tensor] = []
        tokens: list[int] = []
        times: list[float] = []

        def watch(_sentences: int, num_tokens: int) -> bool:
            tokens.append(num_tokens)
            times.append(self.read())
            return len(times) <= end

        def note_loss(loss: torch.Tensor) -> None:
            losses.append(loss.detach())

        self.toolkit.fit(self.toolkit.build_model(), watch, note_loss, given, keep_rate)
        loss = losses[end - 1].item() / tokens[end - 1]
        return {"seconds": times[end] - times[first], "amount": sum(tokens[first:end]), "loss": loss}

    def learn(self, turns: Turns) -> None:
        """Train in slices."""
        self.turns, tokens = turns, 1

        def watch(sentences: int, num_tokens: int) -> bool:
            nonlocal tokens
            if not turns.goes_on():
                return False
            turns.count(sentences, num_tokens)
            tokens = num_tokens
            return True

        def note_loss(loss: torch.Tensor) -> None:
            turns.loss = loss.item() / tokens

        self.toolkit.fit(self.model, watch, note_loss, None, turns.set_rate)
        if turns.request == "learn":
            raise RuntimeError("the toolkit ended the training before its time")

    def score(self) -> dict[str, float]:
        """Score the references of the validation set, translate it with the recipe's penalty, write the weights."""
        torch.save(self.model.state_dict(), self.directory / "weights.pt")
        self.model.eval()
        start, loss, num_tokens = self.read(), 0.0, 0
        for indices in self.task["dev"]["batches"]:
            of_batch, tokens = self.toolkit.loss(self.model, self.toolkit.gather("dev", indices))
            loss += of_batch
            num_tokens += tokens
        found = self.translate("dev", self.task["beam_size"], self.toolkit.penalty)
        seconds = self.read() - start
        self.write("validation.json", found)
        return {"seconds": seconds, "amount": len(found), "loss": loss / num_tokens}

    def search(self, beam_size: int) -> dict[str, float]:
        """Translate the test without a penalty of the length, and write the translations."""
        self.model.eval()
        start = self.read()
        found = self.translate("test", beam_size, penalty=0.0)
        seconds = self.read() - start
        self.write("translations.json", found)
        return {"seconds": seconds, "amount": len(found)}

    def translate(self, split: str, beam_size: int, penalty: float) -> list[list[int]]:
        """Return the translations in the order of the sentences, as tokens of rnnexp."""
        found: dict[int, list[str]] = {}
        batches, longest = self.task[split]["batches"], self.task[split]["longest"]
        for indices, length in zip(batches, longest, strict=True):
            batch = self.toolkit.gather(split, indices)
            translations = self.toolkit.search(self.model, batch, beam_size, (1, length), penalty)
            found |= zip(indices, translations, strict=True)
        return [[int(word) for word in found[index] if word.isdigit()] for index in sorted(found)]

    def write(self, name: str, translations: Sequence[Sequence[int]]) -> None:
        """Write translations, and the number of steps and sentences that trained the network."""
        values = {"steps": self.turns.steps, "sentences": self.turns.sentences, "translations": translations}
        (self.directory / name).write_text(json.dumps(values), encoding="utf-8")

    def decode(self) -> dict[str, float]:
        """Translate with an untrained network, all sentences of a batch to the same length, and return the time."""
        model, test = self.toolkit.build_model().eval(), self.task["test"]
        batches = [self.toolkit.gather("test", indices) for indices in test["batches"]]

        def translate(batch: Batch, length: int) -> None:
            self.toolkit.search(model, batch, self.task["beam_size"], (length, length + 1), self.toolkit.penalty)

        translate(batches[-1], 1)  # not timed
        start = self.read()
        for batch, length in zip(batches, test["lengths"], strict=True):
            translate(batch, length)
        return {"seconds": self.read() - start, "amount": sum(map(len, test["batches"]))}


class Requests(Iterator[str]):
    """The requests that a process reads, and its answers. What anything else prints goes to stderr."""

    def __init__(self) -> None:
        self.answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def __next__(self) -> str:
        line = sys.stdin.readline()
        if not line:
            raise StopIteration
        return line.strip()

    def answer(self, values: dict[str, Any]) -> None:
        """Answer a request."""
        print(json.dumps(values), file=self.answers, flush=True)


def main(make_toolkit: Callable[[dict[str, Any], Path], Toolkit]) -> None:
    """Answer requests until the input ends. Argument: see `Driver`."""
    requests = Requests()
    driver = Driver(Path(sys.argv[1]), make_toolkit)
    handlers: dict[str, Callable[[], dict[str, Any]]] = {
        "train own": driver.train,
        "train given": lambda: driver.train(driver.task["batches"]),
        "decode": driver.decode,
        "score": driver.score,
        "greedy": lambda: driver.search(beam_size=1),
        "beam": lambda: driver.search(driver.task["beam_size"]),
    }
    requests.answer({"version": f"{driver.toolkit.version}, torch {torch.__version__}"})
    request = next(requests, None)
    while request is not None:
        if request == "learn":
            turns = Turns(driver.task, requests.answer, requests, driver.read)
            driver.learn(turns)
            request = turns.request
        else:
            requests.answer(handlers[request]())
            request = next(requests, None)
