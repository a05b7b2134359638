"""The speed of translation: training against bare loops and the notebook, both decoders, and the machine's limit."""

import copy
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from rnnexp.benchmark.decoding import Decoding
from rnnexp.benchmark.measurement import Block, compare, now, quiet, take_turns
from rnnexp.benchmark.multiply_adds import Work, multiply_adds, training_gflop
from rnnexp.benchmark.notebook_loop import WARMUP_PAIRS, NotebookLoop, Pair
from rnnexp.benchmark.training import BARE, COMPARABLE, OURS, experiment_of, run_ours, with_values
from rnnexp.core.errors import UserError
from rnnexp.core.validation import require_positive
from rnnexp.data.batches import TranslationBatch
from rnnexp.data.text.loader import TranslationLoader
from rnnexp.models import Seq2Seq
from rnnexp.runs.build import Experiment, config_errors, make_task
from rnnexp.runs.create import resolved
from rnnexp.text.vocabulary import PAD

DECODERS = ("fused", "stepwise")
NOTEBOOK, SGEMM = "notebook", "sgemm"
NOTEBOOK_TARGET = 25.0
"""Our pairs per second over the notebook's, at least."""
BEAM, GREEDY = "beam 5", "greedy"
BEAM_SIZE = 5
FUSED_BEAM = f"fused, {BEAM}"
PRODUCTS = 20
"""How often the matrices are multiplied that find the limit."""


class Orientation(NamedTuple):
    """A published speed, and how many times as fast to be."""

    per_second: float
    target: float


JOEYNMT = {"tokens": Orientation(1210, 3.0), "sentences": Orientation(56, 3.0)}
"""Target tokens of training, and sentences translated with a beam of 5, of JoeyNMT in this setting, on a CPU:"""
JOEYNMT_SETTING = {
    "data.corpus._target_": "rnnexp.data.corpora.multi30k.Multi30k",
    "data.source_lang": "de",
    "data.target_lang": "en",
    "data.unit": "word",
    "data.batch_size": 64,
    "data.batch_unit": "sentences",
    "model.cell": "gru",
    "model.num_layers": 1,
    "model.bidirectional": True,
    "model.hidden_size": 256,
    "task.network.decoder": "fused",
    "num_threads": 2,
}


class BareLoop:
    """A training loop as short as one can be, on batches that lie ready on the device: see the one of classification.

    Args:
        model: of which a copy is trained in each round.
        batches: those of our path, in its order.
        teacher_forcing: of the training.
    """

    def __init__(
        self,
        config: DictConfig,
        model: Seq2Seq,
        batches: Sequence[TranslationBatch],
        device: torch.device,
        teacher_forcing: float,
    ) -> None:
        self.config, self.model, self.batches, self.device = config, model, batches, device
        self.teacher_forcing = teacher_forcing

    def __call__(self) -> Block:
        config = self.config
        model = copy.deepcopy(self.model).to(self.device).train()
        optimizer = instantiate(config.optimizer)(model.parameters())
        scheduler = instantiate(config.scheduler)(optimizer, total_steps=config.trainer.max_steps)
        torch.manual_seed(config.seed)  # as assemble does: to drop the same units, and draw the same tokens
        start = 0.0
        for step, batch in enumerate(self.batches):
            if step == config.warmup_steps:
                start = now(self.device)
            logits = model(batch.source, batch.source_lengths, batch.target[:, :-1], self.teacher_forcing)
            loss = cross_entropy(
                logits.flatten(0, 1),
                batch.target[:, 1:].flatten(),
                ignore_index=PAD,
                label_smoothing=config.task.label_smoothing,
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if config.trainer.gradient_clip_val is not None:
                clip_grad_norm_(model.parameters(), config.trainer.gradient_clip_val)
            optimizer.step()
            scheduler.step()
        return Block(now(self.device) - start, loss.item())


class Sgemm:
    """The product of two float32 matrices, as the output layer takes it; what the machine can do at best."""

    def __init__(self, rows: int, inner: int, columns: int, device: torch.device) -> None:
        self.size, self.device = (rows, inner, columns), device
        self.left, self.right = torch.randn(rows, inner, device=device), torch.randn(inner, columns, device=device)
        self.gflop = 2 * rows * inner * columns * PRODUCTS / 1e9

    def __call__(self) -> Block:
        product = torch.mm(self.left, self.right)
        start = now(self.device)
        for _ in range(PRODUCTS):
            torch.mm(self.left, self.right, out=product)
        return Block(now(self.device) - start, float("nan"))


def is_translation(config: DictConfig) -> bool:
    """Whether the config describes sentences to translate."""
    with config_errors("task"):
        return get_class(config.task._target_).batch_type is TranslationBatch  # type: ignore[attr-defined]


def require_translation(config: DictConfig) -> None:
    """Raises UserError for values that not every contender can take, and sizes that are not positive."""
    sizes = ("steps", "warmup_steps", "repetitions", "pairs", "decode_sentences")
    with config_errors("benchmark"):
        require_positive(**{key: config[key] for key in sizes})
    for key, value in COMPARABLE.items():
        if key.startswith("trainer.") and OmegaConf.select(config, key) != value:
            raise UserError(
                f"{key}={OmegaConf.select(config, key)}: the bare loop knows {key}={value} only; "
                "measure with that, or train to see the tokens per second"
            )


def measure_translation(config: DictConfig) -> dict[str, Any]:
    """Speeds of each contender in each round, and ratios within rounds; see `rnnexp.benchmark.tables` for the tables.

    Raises:
        UserError: if an epoch has fewer steps than are to be timed, or the training fewer pairs than the notebook asks.
    """
    # One more step than is timed: the clock stops as it begins.
    values = {"ckpt_path": None, "trainer": {"max_steps": config.warmup_steps + config.steps + 1}}
    with quiet(), TemporaryDirectory() as directory:
        config = with_values(config, values | {"paths": {"output_dir": directory}})
        experiment = experiment_of(config)
        device = experiment.trainer.strategy.root_device
        own = config.task.network.decoder if config.task.teacher_forcing == 1 else None
        models = {
            decoder: _model(experiment.task) if decoder == own else _model_with(config, experiment, decoder)
            for decoder in DECODERS
        }
        training = _measure_steps(config, experiment, models, own, device)
        decoding = _measure_decoding(config, experiment, models, device)
    ratios = training.pop("ratios") | decoding.pop("ratios")
    follows = device.type == "cpu" and all(OmegaConf.select(config, key) == at for key, at in JOEYNMT_SETTING.items())
    if follows:
        ours = {
            "tokens": training["tokens_per_second"][OURS],
            "sentences": decoding["sentences_per_second"][FUSED_BEAM],
        }
        for what, (per_second, target) in JOEYNMT.items():
            of_each_round = [per_second] * len(ours[what])
            ratios[f"{what}/s, ours / JoeyNMT"] = compare(ours[what], of_each_round) | {"target": target}
    return {
        "decoder": config.task.network.decoder,
        "teacher_forcing": config.task.teacher_forcing,
        "training": training,
        "decoding": decoding,
        "ratios": ratios,
        "orientation": {what: number.per_second for what, number in JOEYNMT.items()} if follows else None,
    }


def _model(task: Any) -> Seq2Seq:  # noqa: ANN401 (TranslationTask, whose model is any module to mypy)
    assert isinstance(task.model, Seq2Seq)
    return task.model


def _model_with(config: DictConfig, experiment: Experiment, decoder: str) -> Seq2Seq:
    """That of the config, with this decoder."""
    config = with_values(config, {"task": {"network": {"decoder": decoder}, "teacher_forcing": 1.0}})
    return _model(make_task(resolved(config), experiment.datamodule))


def _measure_steps(
    config: DictConfig, experiment: Experiment, models: Mapping[str, Seq2Seq], own: str | None, device: torch.device
) -> dict[str, Any]:
    """Training. `own` is the decoder of the config, if it is taught throughout: then the bare loop measures it."""
    loader: TranslationLoader = experiment.datamodule.train_dataloader()
    steps = config.warmup_steps + config.steps
    if config.trainer.max_steps > len(loader):
        raise UserError(
            f"warmup_steps={config.warmup_steps} and steps={config.steps} need {config.trainer.max_steps} batches, but "
            f"an epoch has {len(loader)} of data.batch_size={config.data.batch_size}: choose fewer steps"
        )
    indices = list(loader.batches()[:steps])
    batches = _ready(experiment, loader, indices, device)
    timed = batches[config.warmup_steps :]
    num_tokens, num_pairs = sum(Work.of(batch).target for batch in timed), sum(len(batch.source) for batch in timed)

    names = {decoder: BARE if decoder == own else f"{BARE}, {decoder}" for decoder in DECODERS}
    trained = {BARE: _model(experiment.task)} | {names[decoder]: models[decoder] for decoder in DECODERS}
    pairs = _spread_pairs(loader, torch.cat(indices[config.warmup_steps :]), config.pairs, device)
    output = trained[BARE].decoder.output
    sgemm = Sgemm(max(1, num_tokens // config.steps), output.in_features, output.out_features, device)
    contenders: dict[str, Callable[[], Block]] = {OURS: functools.partial(run_ours, config)}
    for name, model in trained.items():
        forcing = config.task.teacher_forcing if name == BARE else 1.0
        contenders[name] = BareLoop(config, model, batches, device, forcing)
    contenders[NOTEBOOK] = NotebookLoop(
        pairs, trained[BARE].encoder.embedding.num_embeddings, output.out_features, device, config.seed
    )
    contenders[SGEMM] = sgemm
    blocks = take_turns(contenders, config.repetitions)

    def per_second(amount: float, name: str) -> list[float]:
        return [amount / block.seconds for block in blocks[name]]

    gflops = {name: training_gflop(model, timed) for name, model in {OURS: trained[BARE], **trained}.items()}
    tokens = {name: per_second(num_tokens, name) for name in gflops}
    achieved = {name: per_second(gflop, name) for name, gflop in gflops.items()} | {
        SGEMM: per_second(sgemm.gflop, SGEMM)
    }
    pairs_per_second = {OURS: per_second(num_pairs, OURS), NOTEBOOK: per_second(config.pairs, NOTEBOOK)}
    fused, stepwise = (tokens[names[decoder]] for decoder in DECODERS)
    notebook = compare(pairs_per_second[OURS], pairs_per_second[NOTEBOOK]) | {"target": NOTEBOOK_TARGET}
    return {
        "num_target_tokens": num_tokens,
        "num_pairs": num_pairs,
        "tokens_per_second": tokens,
        "pairs_per_second": pairs_per_second,
        "gflop_per_second": achieved,
        "sgemm_size": list(sgemm.size),
        "multiply_adds_forward": multiply_adds(trained[BARE], _total(timed)),
        "final_loss": {name: rounds[-1].final_loss for name, rounds in blocks.items() if name != SGEMM},
        "ratios": {
            f"tokens/s, {OURS} / {BARE}": compare(tokens[OURS], tokens[BARE]),
            "tokens/s, fused / stepwise": compare(fused, stepwise),
            f"pairs/s, {OURS} / {NOTEBOOK}": notebook,
            **{f"GFLOP/s, {name} / {SGEMM}": compare(achieved[name], achieved[SGEMM]) for name in gflops},
        },
    }


def _ready(
    experiment: Experiment, loader: TranslationLoader, indices: Iterable[Tensor], device: torch.device
) -> list[TranslationBatch]:
    """The batches of those pairs, on the device."""
    move = experiment.datamodule.transfer_batch_to_device
    return [move(loader.gather(each), device, 0) for each in indices]


def _total(batches: Iterable[TranslationBatch]) -> Work:
    return Work(*map(sum, zip(*map(Work.of, batches), strict=True)))


def _spread_pairs(loader: TranslationLoader, indices: Tensor, num_pairs: int, device: torch.device) -> list[Pair]:
    """So many pairs, and a few to warm up with, from all over the batches, of which each is of one length."""
    if num_pairs > len(indices):
        raise UserError(f"pairs={num_pairs}, but the timed steps have {len(indices)} pairs: choose fewer")
    chosen = indices[torch.linspace(0, len(indices) - 1, num_pairs).long()]
    batch = loader.gather(torch.cat([indices[:WARMUP_PAIRS], chosen]))
    columns = (batch.source, batch.source_lengths.tolist(), batch.target, batch.target_lengths.tolist())
    return [
        (source[:source_length].to(device), target[1:target_length].to(device))
        for source, source_length, target, target_length in zip(*columns, strict=True)
    ]


def _measure_decoding(
    config: DictConfig, experiment: Experiment, models: Mapping[str, Seq2Seq], device: torch.device
) -> dict[str, Any]:
    """Searches of untrained networks, each translation as long as its reference."""
    loader: TranslationLoader = experiment.datamodule.test_dataloader()
    lengths = loader.pairs.source.lengths[: config.decode_sentences]
    by_length = lengths.argsort(descending=True, stable=True)
    batches = _ready(experiment, loader, torch.split(by_length, config.data.eval_batch_size), device)
    contenders = {
        f"{decoder}, {search}": Decoding(model, batches, device, beam_size)
        for decoder, model in models.items()
        for search, beam_size in {BEAM: BEAM_SIZE, GREEDY: None}.items()
    }
    blocks = take_turns(contenders, config.repetitions)
    speeds = {name: [len(lengths) / block.seconds for block in rounds] for name, rounds in blocks.items()}
    fused, stepwise = DECODERS
    return {
        "num_sentences": len(lengths),
        "num_target_tokens": sum(Work.of(batch).target for batch in batches),
        "length": "untrained, each translation exactly as long as its reference",
        "sentences_per_second": speeds,
        "ratios": {
            f"sentences/s, fused / stepwise, {search}": compare(
                speeds[f"{fused}, {search}"], speeds[f"{stepwise}, {search}"]
            )
            for search in (BEAM, GREEDY)
        },
    }
