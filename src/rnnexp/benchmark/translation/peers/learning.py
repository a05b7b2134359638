"""The comparison of what rnnexp and other toolkits learn in the same time, in turns."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from rich.table import Table
from torch import nn

from rnnexp.benchmark.measurement import RNNEXP, take_turns
from rnnexp.benchmark.translation.peers.process import Measured, PeerProcess
from rnnexp.benchmark.translation.peers.registry import PEERS, TakeWeights
from rnnexp.benchmark.translation.peers.same_weights import (
    longest_translations,
    measure_same_weights,
    same_weights_table,
)
from rnnexp.benchmark.translation.peers.task import BEAM_SIZE, Batches, indices, write_task
from rnnexp.benchmark.workbench import Workbench
from rnnexp.core.files.atomic import read_json
from rnnexp.core.validation import expand_home
from rnnexp.data.text.translation import TranslationDataModule
from rnnexp.models import Seq2Seq
from rnnexp.tasks.translation.metrics import corpus_scores

SLICES = 10
"""The number of turns of each candidate."""
ANSWER_SECONDS, SLOWDOWN = 600, 20
"""The longest time for an answer, and how much longer than CPU time a slice may take on a machine that others use."""
NUM_RATES = 1000
"""The number of learning rates into which a schedule is divided."""
RECIPES = {"its recipe": "own", "rnnexp's recipe": "rnnexp"}
"""Form of a peer -> the recipe in its task."""
DRIVER = Path(__file__).with_name("rnnexp_driver.py")


class Candidate(NamedTuple):
    """A training in a process."""

    peer: PeerProcess
    directory: Path
    """the directory of its task and of its answers"""
    take_weights: TakeWeights | None
    """gives a network of rnnexp the weights of this candidate; None if they cannot be converted"""


def measure_learning(
    bench: Workbench, data: TranslationDataModule, networks: Mapping[str, Seq2Seq], decoding: Batches
) -> dict[str, Any]:
    """Train all candidates for `train_minutes`, score their networks, and compare searches with the same weights.

    Args:
        bench: the workbench.
        data: the data module, whose data has been read.
        networks: decoder -> the network of rnnexp with that decoder.
        decoding: the test batches, on the device.
    """
    with started(bench, data, networks, decoding) as candidates:
        slices, scores = (
            take_turns({name: partial(each.peer.ask, request) for name, each in candidates.items()}, times)
            for request, times in (("learn", SLICES), ("score", 1))
        )
        rows = {
            name: _row(data, candidates[name].directory, slices[name], score)
            for name, (score,) in scores.items()
            if score is not None
        }
        others = [name for name in rows if candidates[name].take_weights is not None]
        same_weights = None
        if others:
            name = min(others, key=lambda name: rows[name]["loss"])
            best = candidates[name]
            assert best.take_weights is not None
            same_weights = measure_same_weights(
                bench, networks["stepwise"], name, best.peer, best.directory, best.take_weights, decoding
            )
        failures = {name: each.peer.failure for name, each in candidates.items()}
    return {
        "candidates": rows,
        "not_measured": {name: reason for name, reason in failures.items() if reason is not None},
        "same_weights": same_weights,
    }


@contextmanager
def started(
    bench: Workbench, data: TranslationDataModule, networks: Mapping[str, Seq2Seq], decoding: Batches
) -> Iterator[dict[str, Candidate]]:
    """Start a process for each candidate, and stop all at the end. Arguments: see `measure_learning`."""
    seconds = 60 * bench.options.train_minutes
    candidates: dict[str, Candidate] = {}
    with TemporaryDirectory() as parent, ExitStack() as stack:
        for plan in plans(bench, data, networks, decoding):
            peer = PeerProcess(ANSWER_SECONDS + SLOWDOWN * seconds / SLICES)
            stack.callback(peer.stop)
            directory = Path(parent, str(len(candidates)))
            directory.mkdir()
            candidates[plan.name] = Candidate(peer, directory, plan.take_weights)
            if plan.reason is not None:
                peer.fail(plan.reason)
                continue
            plan.write(directory)
            peer.start(plan.python, plan.driver, directory)
        for candidate in candidates.values():
            candidate.peer.wait_until_ready()
        yield candidates


class Plan(NamedTuple):
    """A candidate that can be started."""

    name: str
    python: str
    driver: Path
    write: Callable[[Path], None]
    """writes the task into a directory"""
    reason: str | None = None
    """why it cannot be measured"""
    take_weights: TakeWeights | None = None


def plans(
    bench: Workbench, data: TranslationDataModule, networks: Mapping[str, Seq2Seq], decoding: Batches
) -> Iterator[Plan]:
    """Return all candidates. Arguments: see `measure_learning`."""
    network = next(iter(networks.values()))
    learning = {"seconds": 60 * bench.options.train_minutes, "slices": SLICES, "rates": learning_rates(bench)}
    for decoder in networks:
        values = {"task": {"network": {"decoder": decoder}, "teacher_forcing": 1.0}}
        write = partial(_write_own, bench=bench.with_values(values), network=network, learning=learning)
        yield Plan(f"{RNNEXP}, {decoder}", sys.executable, DRIVER, write)
    peers = {name: str(expand_home(python)) for name, python in bench.options.peers.items() if python is not None}
    if not peers:
        return
    loader = data.train_dataloader()
    splits = {"train": [loader.gather(loader.order.indices)], "dev": list(data.val_dataloader()), "test": decoding}
    searched = {
        name: {"batches": indices(splits[name]), "longest": longest_translations(splits[name])}
        for name in ("dev", "test")
    }
    for name, python in peers.items():
        for form, recipe in RECIPES.items():
            more = {"recipe": recipe, "learning": learning if recipe == "rnnexp" else learning | {"rates": None}}
            write = partial(write_task, bench=bench, network=network, splits=splits, more=searched | more)
            peer = PEERS[name]
            reason = peer.unsupported(bench.value, network)
            yield Plan(f"{name}, {form}", python, peer.driver, write, reason, peer.take_weights)


def learning_rates(bench: Workbench) -> list[float]:
    """Return the learning rates of the config's schedule, from its start to its end."""
    recipe = bench.recipe()
    optimizer = recipe.make_optimizer([nn.Parameter(torch.zeros(1))])
    scheduler = recipe.make_scheduler(optimizer, total_steps=NUM_RATES)
    rates: list[float] = []
    for _ in range(NUM_RATES):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def _write_own(directory: Path, *, bench: Workbench, network: Seq2Seq, learning: Mapping[str, Any]) -> None:
    """Write the task of rnnexp's driver: a training without validation that ends only with its time."""
    values = {
        "trainer": {"max_steps": -1, "max_epochs": 10**6, "limit_val_batches": 0},
        "paths": {"output_dir": str(directory / "run")},
    }
    write_task(directory, bench.with_values(values), network, {}, {"learning": learning})


def _row(
    data: TranslationDataModule, directory: Path, slices: Sequence[Measured | None], score: Measured
) -> dict[str, Any]:
    """Return what a candidate has learned."""
    written = read_json(directory / "validation.json")
    pairs = [int(pair) for batch in data.val_dataloader() for pair in batch.indices]
    references = data.references("val")
    target = data.tokenizers.target
    scores = corpus_scores([target.decode(each) for each in written["translations"]], [references[i] for i in pairs])
    num_pairs = len(data.train_dataloader().order.indices)
    return {
        "seconds": sum(each.seconds for each in slices if each is not None),
        "steps": written["steps"],
        "epochs": written["sentences"] / num_pairs,
        "loss": score.loss,
        "bleu": scores["bleu"],
        "chrf": scores["chrf"],
    }


def learning_tables(learning: Mapping[str, Any]) -> list[Table]:
    """Return a table of what the candidates have learned, and one of searches with the same weights, if there are."""
    same = learning["same_weights"]
    captions = [f"loss (nats per token) and BLEU (beam {BEAM_SIZE}) of the validation set"]
    captions += [f"{name}: not measured: {reason}" for name, reason in learning["not_measured"].items()]
    table = Table("candidate", caption="\n".join(captions))
    for column in ("seconds", "steps", "epochs", "loss", "BLEU"):
        table.add_column(column, justify="right")
    for name, row in learning["candidates"].items():
        shown = (f"{row['seconds']:.0f}", str(row["steps"]), f"{row['epochs']:.1f}", f"{row['loss']:.2f}")
        table.add_row(name, *shown, f"{row['bleu']:.1f}")
    for name in learning["not_measured"]:
        table.add_row(name, "not measured")
    return [table] if same is None else [table, same_weights_table(same)]
