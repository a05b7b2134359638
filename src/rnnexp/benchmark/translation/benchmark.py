"""The speed of translation: training and decoding with both decoders, and the limit of the machine."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import RenderableType
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rnnexp.benchmark.measurement import RNNEXP, TimedSteps, compare, silenced_lightning, take_turns
from rnnexp.benchmark.plain_loop import PlainLoop
from rnnexp.benchmark.report import format_ratio
from rnnexp.benchmark.translation.decoding import Decoding
from rnnexp.benchmark.translation.multiply_adds import MatrixProduct, training_gflop
from rnnexp.benchmark.translation.peers.comparison import measure_peers, peer_table
from rnnexp.benchmark.translation.peers.learning import learning_tables, measure_learning
from rnnexp.benchmark.translation.tutorial_loop import WARMUP_PAIRS, Pair, TutorialLoop
from rnnexp.benchmark.workbench import TaskBenchmark, Workbench
from rnnexp.core.errors import UserError
from rnnexp.data.batches import TranslationBatch
from rnnexp.data.text.loader import TranslationLoader
from rnnexp.data.text.translation import TranslationDataModule
from rnnexp.models import Seq2Seq
from rnnexp.recurrent import RecurrentStack
from rnnexp.runs.build import Experiment
from rnnexp.tasks.translation.multiply_adds import Work, multiply_adds
from rnnexp.text.vocabulary import PAD

DECODERS = ("fused", "stepwise")
KERNELS = "plain loop, torch's kernels"
PLAIN, TUTORIAL, SGEMM = "plain loop", "tutorial loop", "sgemm"
SEARCHES = {"beam 5": 5, "greedy": None}
SUPPORTED = {"trainer.precision": "32-true", "trainer.devices": 1, "trainer.accumulate_grad_batches": 1}
"""Key -> the only value that the plain loop supports."""

Speeds = dict[str, list[float]]
"""Candidate -> amount per second in each round."""


class TranslationBenchmark(TaskBenchmark):
    """The benchmark of translation: tokens, pairs and operations per second of training, sentences of decoding."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        bench.require_values(SUPPORTED)

    def measure(self, show: Callable[[RenderableType], None]) -> dict[str, Any]:
        """Measure training and decoding, and show a table of speeds and one of ratios."""
        with silenced_lightning(), TemporaryDirectory() as directory:
            experiment = self.bench.build(Path(directory))
            models = Models.build(self.bench, experiment)
            training = measure_training(self.bench, experiment, models)
            decoding = measure_decoding(self.bench, experiment, models)
            peers = None
            if any(python is not None for python in self.bench.options.peers.values()):
                peers = measure_peers(
                    self.bench,
                    models.by_decoder,
                    training_batches(experiment, self.bench.steps.scheduled),
                    decoding_batches(self.bench, experiment),
                )
            learning = None
            if self.bench.options.train_minutes > 0:
                data, decoded = experiment.datamodule, decoding_batches(self.bench, experiment)
                assert isinstance(data, TranslationDataModule)
                learning = measure_learning(self.bench, data, models.by_decoder, decoded)
        speed = {
            "decoder": self.bench.value("task.network.decoder"),
            "teacher_forcing": self.bench.value("task.teacher_forcing"),
            "ratios": training.pop("ratios") | decoding.pop("ratios"),
            "training": training,
            "decoding": decoding,
            "peers": peers,
            "learning": learning,
        }
        tables = speed_tables(speed)
        if peers is not None:
            tables.append(peer_table(peers))
        if learning is not None:
            tables += learning_tables(learning)
        for table in tables:
            show(table)
        return speed


@dataclass(frozen=True)
class Models:
    """The networks that are measured.

    Args:
        own: the network of the config, in training with its teacher forcing.
        by_decoder: decoder -> the same network with that decoder, in training always with teacher forcing.
        names: decoder -> the name of the candidate. The plain loop with `own` is also the candidate of its decoder if
            the config trains with teacher forcing only.
        on_kernels: the network of the config on the kernels of torch, a stepwise decoder one step after the other.
    """

    own: Seq2Seq
    by_decoder: Mapping[str, Seq2Seq]
    names: Mapping[str, str]
    on_kernels: Seq2Seq

    @classmethod
    def build(cls, bench: Workbench, experiment: Experiment) -> "Models":
        """Build the networks for the data of an experiment."""
        own = _network(experiment.task)
        own_decoder = bench.value("task.network.decoder") if bench.value("task.teacher_forcing") == 1 else None
        by_decoder, names = {}, {}
        for decoder in DECODERS:
            values = {"task": {"network": {"decoder": decoder}, "teacher_forcing": 1.0}}
            is_own = decoder == own_decoder
            by_decoder[decoder] = own if is_own else _network(bench.build_task(experiment, values))
            names[decoder] = PLAIN if is_own else f"{PLAIN}, {decoder}"
        on_kernels = copy.deepcopy(own)
        for stack in on_kernels.modules():
            if isinstance(stack, RecurrentStack):
                stack.backend = "reference" if stack.cell.fused is None else "fused"
        return cls(own, by_decoder, names, on_kernels)

    @property
    def by_candidate(self) -> dict[str, Seq2Seq]:
        """Name of a plain loop -> the network that it trains."""
        by_decoder = {self.names[decoder]: model for decoder, model in self.by_decoder.items()}
        return {PLAIN: self.own, **by_decoder, KERNELS: self.on_kernels}


def _network(task: Any) -> Seq2Seq:  # noqa: ANN401 (TranslationTask, whose model is any module to mypy)
    assert isinstance(task.model, Seq2Seq)
    return task.model


def translation_loss(
    model: nn.Module, batch: TranslationBatch, *, teacher_forcing: float, label_smoothing: float
) -> Tensor:
    """Return the mean cross-entropy per target token, a scalar."""
    logits = model(batch.source, batch.source_lengths, batch.target[:, :-1], teacher_forcing)
    target = batch.target[:, 1:].flatten()
    return cross_entropy(logits.flatten(0, 1), target, ignore_index=PAD, label_smoothing=label_smoothing)


def measure_training(bench: Workbench, experiment: Experiment, models: Models) -> dict[str, Any]:
    """Return the speeds of each candidate in each round, and ratios within rounds.

    Raises:
        UserError: if an epoch has fewer steps than are timed, or the timed steps have fewer pairs than `pairs`.
    """
    device, steps = experiment.trainer.strategy.root_device, bench.steps
    loader: TranslationLoader = experiment.datamodule.train_dataloader()
    bench.require_batches(len(loader))
    batches = training_batches(experiment, steps.total)
    timed = batches[steps.warmup :]
    work = Work.of(*timed)
    output = models.own.decoder.output
    product = MatrixProduct(max(1, work.target // steps.timed), output.in_features, output.out_features, device)
    pairs = _spread_pairs(loader, torch.cat([batch.indices for batch in timed]), bench.options.pairs, device)

    candidates: dict[str, Callable[[], TimedSteps]] = {RNNEXP: bench.time_rnnexp}
    for name, model in models.by_candidate.items():
        loss = partial(
            translation_loss,
            teacher_forcing=bench.value("task.teacher_forcing") if name in {PLAIN, KERNELS} else 1.0,
            label_smoothing=bench.value("task.label_smoothing"),
        )
        candidates[name] = PlainLoop(model, batches, loss, bench.recipe(), device)
    source_vocab_size = models.own.encoder.embedding.num_embeddings
    candidates[TUTORIAL] = TutorialLoop(pairs, source_vocab_size, output.out_features, device, bench.value("seed"))
    candidates[SGEMM] = product
    rounds = take_turns(candidates, bench.options.repetitions)

    def per_second(amounts: Mapping[str, float]) -> Speeds:
        return {name: [amount / timed.seconds for timed in rounds[name]] for name, amount in amounts.items()}

    trained = {RNNEXP: models.own, **models.by_candidate}
    tokens = per_second(dict.fromkeys(trained, work.target))
    pair_speeds = per_second({RNNEXP: work.sentences, TUTORIAL: bench.options.pairs})
    gflops = per_second(
        {name: training_gflop(model, timed) for name, model in trained.items()} | {SGEMM: product.gflop}
    )
    fused, stepwise = (tokens[models.names[decoder]] for decoder in DECODERS)
    return {
        "num_target_tokens": work.target,
        "num_pairs": work.sentences,
        "tokens_per_second": tokens,
        "pairs_per_second": pair_speeds,
        "gflop_per_second": gflops,
        "sgemm_size": list(product.size),
        "multiply_adds_forward": multiply_adds(models.own, work),
        "final_loss": {name: times[-1].final_loss for name, times in rounds.items() if name != SGEMM},
        "ratios": {
            f"tokens/s, {RNNEXP} / {PLAIN}": compare(tokens[RNNEXP], tokens[PLAIN]),
            f"tokens/s, {RNNEXP} / {KERNELS}": compare(tokens[RNNEXP], tokens[KERNELS]),
            "tokens/s, fused / stepwise": compare(fused, stepwise),
            f"pairs/s, {RNNEXP} / {TUTORIAL}": compare(pair_speeds[RNNEXP], pair_speeds[TUTORIAL]),
            **{f"GFLOP/s, {name} / {SGEMM}": compare(gflops[name], gflops[SGEMM]) for name in trained},
        },
    }


def training_batches(experiment: Experiment, number: int) -> list[TranslationBatch]:
    """Return the first batches of training, on the device of the trainer."""
    loader: TranslationLoader = experiment.datamodule.train_dataloader()
    return _on_device(experiment, loader, loader.batches()[:number])


def decoding_batches(bench: Workbench, experiment: Experiment) -> list[TranslationBatch]:
    """Return the first test sentences, sorted by length, on the device of the trainer."""
    loader: TranslationLoader = experiment.datamodule.test_dataloader()
    lengths = loader.pairs.source.lengths[: bench.options.decode_sentences]
    by_length = lengths.argsort(descending=True, stable=True)
    return _on_device(experiment, loader, torch.split(by_length, bench.value("data.eval_batch_size")))


def _on_device(experiment: Experiment, loader: TranslationLoader, indices: Iterable[Tensor]) -> list[TranslationBatch]:
    """Return the batches of these pairs on the device of the trainer."""
    device = experiment.trainer.strategy.root_device
    return [experiment.datamodule.transfer_batch_to_device(loader.gather(pairs), device, 0) for pairs in indices]


def _spread_pairs(loader: TranslationLoader, indices: Tensor, num_pairs: int, device: torch.device) -> list[Pair]:
    """Return pairs for the warm-up, and `num_pairs` pairs spread over the batches, each of which has one length.

    Args:
        loader: the loader of the pairs.
        indices: int64 [pairs], in the order of the batches.
        num_pairs: the number of pairs to train on.
        device: the device of the tokens.
    """
    if num_pairs > len(indices):
        raise UserError(f"pairs={num_pairs}, but the timed steps have {len(indices)} pairs: choose fewer")
    chosen = indices[torch.linspace(0, len(indices) - 1, num_pairs).long()]
    batch = loader.gather(torch.cat([indices[:WARMUP_PAIRS], chosen]))
    columns = (batch.source, batch.source_lengths.tolist(), batch.target, batch.target_lengths.tolist())
    return [
        (source[:source_length].to(device), target[1:target_length].to(device))
        for source, source_length, target, target_length in zip(*columns, strict=True)
    ]


def measure_decoding(bench: Workbench, experiment: Experiment, models: Models) -> dict[str, Any]:
    """Return the speeds of searches with untrained networks. Each translation is as long as its reference."""
    device = experiment.trainer.strategy.root_device
    batches = decoding_batches(bench, experiment)
    num_sentences = sum(len(batch.source) for batch in batches)
    candidates = {
        f"{decoder}, {search}": Decoding(model, batches, device, beam_size)
        for decoder, model in models.by_decoder.items()
        for search, beam_size in SEARCHES.items()
    }
    rounds = take_turns(candidates, bench.options.repetitions)
    speeds = {name: [num_sentences / timed.seconds for timed in times] for name, times in rounds.items()}
    fused, stepwise = DECODERS
    return {
        "num_sentences": num_sentences,
        "num_target_tokens": Work.of(*batches).target,
        "sentences_per_second": speeds,
        "ratios": {
            f"sentences/s, fused / stepwise, {search}": compare(
                speeds[f"{fused}, {search}"], speeds[f"{stepwise}, {search}"]
            )
            for search in SEARCHES
        },
    }


def speed_tables(speed: Mapping[str, Any]) -> list[Table]:
    """Return a table of speeds and a table of ratios."""
    training, decoding = speed["training"], speed["decoding"]
    measured: dict[str, Speeds] = {
        "target tokens/s": training["tokens_per_second"],
        "pairs/s": training["pairs_per_second"],
        "GFLOP/s": training["gflop_per_second"],
        "sentences/s": decoding["sentences_per_second"],
    }
    caption = "sentences/s: decoding with untrained networks, each translation exactly as long as its reference"
    speeds = Table("measured", "candidate", caption=caption)
    for column in ("median", "lowest-highest"):
        speeds.add_column(column, justify="right")
    for unit, candidates in measured.items():
        for row, (name, rounds) in enumerate(candidates.items()):
            spread = f"{min(rounds):,.1f}-{max(rounds):,.1f}"
            speeds.add_row(unit if row == 0 else "", name, f"{median(rounds):,.1f}", spread)
    ratios = Table("ratio")
    ratios.add_column("median (lowest-highest)", justify="right")
    for name, ratio in speed["ratios"].items():
        ratios.add_row(name, format_ratio(ratio))
    return [speeds, ratios]
