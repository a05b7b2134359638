"""The benchmark of translation: contenders that do the same work, an honest notebook, and a formula that counts."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from rnnexp.benchmark import __main__ as benchmark
from rnnexp.benchmark.decoding import Decoding
from rnnexp.benchmark.multiply_adds import Work, multiply_adds
from rnnexp.benchmark.notebook_loop import Notebook
from rnnexp.benchmark.tables import translation_tables
from rnnexp.core.atomic_files import read_json
from rnnexp.data.batches import TranslationBatch
from rnnexp.models import Seq2Seq
from rnnexp.recurrent import RecurrentStack
from rnnexp.text.vocabulary import BOS, EOS, PAD
from rnnexp.tracking.run_log import show
from support.programs import Outcome, call

Measure = Callable[..., Outcome]
SMALL = [
    "task=translation",
    "data.num_pairs=600",
    "data.batch_size=25",
    "data.cache=null",
    "task.network.embedding_size=8",
    "trainer=cpu",
    "model.hidden_size=8",
    "steps=4",
    "warmup_steps=1",
    "repetitions=2",
    "pairs=3",
    "decode_sentences=20",
    "start_up=false",
]


@pytest.fixture
def measure(tmp_path: Path) -> Measure:
    """Runs a small benchmark with further overrides."""
    return lambda *overrides: call(benchmark.main, tmp_path, [*SMALL, f"paths.outputs_dir={tmp_path}", *overrides])


def written(tmp_path: Path) -> dict[str, Any]:
    (path,) = (tmp_path / "benchmark").iterdir()
    return read_json(path)


def test_everything_is_measured_in_every_round_and_told(measure: Measure, tmp_path: Path) -> None:
    outcome = measure("task.network.embedding_dropout=0.3", "task.label_smoothing=0.1")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.directories == []
    report = written(tmp_path)
    assert report["training"] == []
    assert report["start_up"] is None
    translation = report["translation"]
    training, decoding = translation["training"], translation["decoding"]

    trained = ["ours", "bare loop", "bare loop, stepwise"]
    assert list(training["tokens_per_second"]) == trained
    assert list(training["pairs_per_second"]) == ["ours", "notebook"]
    assert list(training["gflop_per_second"]) == [*trained, "sgemm"]
    searched = ["fused, beam 5", "fused, greedy", "stepwise, beam 5", "stepwise, greedy"]
    assert list(decoding["sentences_per_second"]) == searched
    speeds = [training[f"{what}_per_second"] for what in ("tokens", "pairs", "gflop")]
    for contenders in [*speeds, decoding["sentences_per_second"]]:
        for name, rounds in contenders.items():
            assert len(rounds) == 2
            assert min(rounds) > 0
            assert name in outcome.stdout
            assert f"{median(rounds):,.1f}" in outcome.stdout

    losses = training["final_loss"]
    assert losses["ours"] == pytest.approx(losses["bare loop"], rel=1e-5), "they did not do the same work"
    assert math.isfinite(losses["bare loop, stepwise"])
    assert losses["bare loop, stepwise"] != losses["bare loop"]
    assert training["num_pairs"] == 4 * 24
    tokens, pairs = (training[f"{what}_per_second"]["ours"] for what in ("tokens", "pairs"))
    assert tokens[0] / pairs[0] == pytest.approx(training["num_target_tokens"] / training["num_pairs"])
    assert set(training["multiply_adds_forward"]) == {"encoder", "bridge", "decoder", "attention", "deep", "output"}
    assert decoding["num_sentences"] == 20

    ratios = translation["ratios"]
    assert ratios["pairs/s, ours / notebook"]["target"] == 25
    assert list(ratios) == [
        "tokens/s, ours / bare loop",
        "tokens/s, fused / stepwise",
        "pairs/s, ours / notebook",
        *[f"GFLOP/s, {name} / sgemm" for name in trained],
        "sentences/s, fused / stepwise, beam 5",
        "sentences/s, fused / stepwise, greedy",
    ]
    for ratio in ratios.values():
        assert 0 < ratio["lowest"] <= ratio["median"] <= ratio["highest"]
    assert translation["orientation"] is None
    assert "JoeyNMT" not in outcome.stdout


def test_a_decoder_that_is_not_taught_is_compared_where_both_are(measure: Measure, tmp_path: Path) -> None:
    outcome = measure("task.network.decoder=stepwise", "task.teacher_forcing=0.5", "repetitions=1")
    assert outcome.exit_code == 0, outcome.stderr
    training = written(tmp_path)["translation"]["training"]
    trained = ["ours", "bare loop", "bare loop, fused", "bare loop, stepwise"]
    assert list(training["tokens_per_second"]) == trained
    losses = training["final_loss"]
    assert losses["ours"] == pytest.approx(losses["bare loop"], rel=1e-5), "they drew other tokens"
    assert len({round(losses[name], 5) for name in trained[1:]}) == 3
    fused, stepwise = (training["tokens_per_second"][f"bare loop, {decoder}"][0] for decoder in ("fused", "stepwise"))
    ratio = written(tmp_path)["translation"]["ratios"]["tokens/s, fused / stepwise"]
    assert ratio["median"] == pytest.approx(fused / stepwise)


def test_both_decoders_process_the_same_tokens(
    measure: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[TranslationBatch]] = {}
    forward = Seq2Seq.forward

    def watched(self: Seq2Seq, source: Tensor, lengths: Tensor, target_in: Tensor, teacher_forcing: float) -> Tensor:
        batch = TranslationBatch(source, lengths, target_in, (target_in != PAD).sum(dim=1), lengths)
        seen.setdefault(type(self.decoder).__name__, []).append(batch)
        return forward(self, source, lengths, target_in, teacher_forcing)

    monkeypatch.setattr(Seq2Seq, "forward", watched)
    assert measure("repetitions=1").exit_code == 0
    ours, bare, stepwise = seen["FusedDecoder"][:6], seen["FusedDecoder"][6:], seen["StepwiseDecoder"]
    assert len(bare) == len(stepwise) == 5
    assert len(ours) == 6  # the clock stops as the last begins
    for batches in zip(ours, bare, stepwise, strict=False):
        for tensors in zip(*batches, strict=True):
            assert all(torch.equal(tensor, tensors[0]) for tensor in tensors)
    # Whose last inputs are EOS where others are longer: what the longest lose is not among them.
    training = written(tmp_path)["translation"]["training"]
    assert training["num_target_tokens"] == sum(
        int(((batch.target != PAD) & (batch.target != EOS)).sum()) for batch in stepwise[1:]
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pairs=0", "pairs must be a whole number of at least 1, not 0"),
        ("decode_sentences=many", "decode_sentences must be a whole number of at least 1, not 'many'"),
        ("steps=-1", "steps must be a whole number of at least 1, not -1"),
        ("steps=19", "need 21 batches, but an epoch has 19 of data.batch_size=25: choose fewer steps"),
        ("pairs=101", "pairs=101, but the timed steps have 96 pairs: choose fewer"),
        ("trainer.precision=bf16-mixed", "trainer.precision=bf16-mixed: the bare loop knows trainer.precision=32-true"),
        ("task.network.attention=genral", "task: unknown attention 'genral': choose one of"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(measure: Measure, override: str, message: str) -> None:
    outcome = measure(override)
    assert outcome.exit_code == 2
    assert message in outcome.line


def test_orientation_stands_beside_what_it_is_compared_with(capsys: pytest.CaptureFixture[str]) -> None:
    spread = {"median": 4.0, "lowest": 3.5, "highest": 4.5}
    translation = {
        "training": {
            "tokens_per_second": {"ours": [4840.0]},
            "pairs_per_second": {},
            "gflop_per_second": {},
        },
        "decoding": {"length": "as long", "sentences_per_second": {"fused, beam 5": [112.0]}},
        "ratios": {
            "tokens/s, ours / JoeyNMT": spread | {"target": 3.0},
            "sentences/s, ours / JoeyNMT": spread | {"median": 2.0, "target": 3.0},
        },
        "orientation": {"tokens": 1210, "sentences": 56},
    }
    for table in translation_tables(translation):
        show(table)
    told = capsys.readouterr().out
    lines = {line.split("│")[2].strip(): line for line in told.splitlines() if line.count("│") > 4}
    assert "1,210" in lines["ours"]
    assert "56" in lines["fused, beam 5"]
    assert ">= 3 reached" in told
    assert ">= 3 MISSED" in told


PAIRS = [([5, 6, EOS], [7, 8, EOS]), ([6, 5, EOS], [8, 7, 9, EOS]), ([4, EOS], [9, EOS])]


@pytest.fixture
def notebook() -> Notebook:
    return Notebook(10, 11, max_length=3, device=torch.device("cpu"), seed=0, hidden_size=16)


def tensors(pair: tuple[list[int], list[int]]) -> tuple[Tensor, Tensor]:
    return torch.tensor(pair[0]), torch.tensor(pair[1])


def test_the_notebook_learns(notebook: Notebook) -> None:
    losses = [sum(notebook.train_on(tensors(pair)) for pair in PAIRS) / len(PAIRS) for _ in range(80)]
    assert losses[0] == pytest.approx(math.log(11), rel=0.2)
    assert sum(losses[-10:]) / 10 < 0.6 * losses[0]


@pytest.mark.parametrize("is_taught", [True, False])
def test_the_notebook_learns_through_the_encoder(notebook: Notebook, is_taught: bool) -> None:
    notebook.loss(tensors(PAIRS[0]), is_taught).backward()  # type: ignore[no-untyped-call]
    for network in (notebook.encoder, notebook.decoder):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
    assert notebook.encoder.embedding.weight.grad is not None
    read = notebook.encoder.embedding.weight.grad.abs().sum(dim=1).nonzero().squeeze(1).tolist()
    assert read == sorted(PAIRS[0][0]), "each token of the source counts, and no other"


def test_the_notebook_gives_the_target_only_to_a_decoder_that_is_taught(notebook: Notebook) -> None:
    notebook.decoder.eval()
    source, target = tensors(PAIRS[1])
    other = target.clone()
    other[0] = 4  # what is asked at the first step, and given at the second
    for is_taught in (True, False):
        notebook.decoder.zero_grad()
        notebook.loss((source, other), is_taught).backward()  # type: ignore[no-untyped-call]
        gradient = notebook.decoder.embedding.weight.grad
        assert gradient is not None
        assert gradient[BOS].abs().sum() > 0
        assert (gradient[4].abs().sum() > 0) == is_taught


def padded_batch(generator: torch.Generator) -> TranslationBatch:
    """Without padding, since the reference backend computes it, too."""
    source, target = (torch.randint(4, 30, (6, time), generator=generator) for time in (9, 11))
    return TranslationBatch(source, torch.full((6,), 9), target, torch.full((6,), 11), torch.arange(6))


@pytest.mark.parametrize("attention", ["additive", "general", "none"])
@pytest.mark.parametrize("decoder", ["fused", "stepwise"])
@pytest.mark.parametrize(("cell", "bidirectional", "num_layers"), [("gru", True, 1), ("lstm", False, 2)])
def test_the_formula_counts_what_torch_counts(
    cell: str, bidirectional: bool, num_layers: int, decoder: str, attention: str
) -> None:
    stack = {"cell": cell, "hidden_size": 12, "num_layers": num_layers, "bidirectional": bidirectional}
    make_stack = partial(RecurrentStack, **stack | {"backend": "reference"})  # type: ignore[arg-type]
    model = Seq2Seq(make_stack, 30, 40, 10, decoder=decoder, attention=attention, tied_embeddings="none")
    batch = padded_batch(torch.Generator().manual_seed(0))
    forward = 2 * sum(multiply_adds(model, Work.of(batch)).values())
    with FlopCounterMode(display=False) as counter:
        logits = model(batch.source, batch.source_lengths, batch.target[:, :-1])
    assert forward == pytest.approx(counter.get_total_flops(), rel=0.001)
    with FlopCounterMode(display=False) as counter:
        logits = model(batch.source, batch.source_lengths, batch.target[:, :-1])
        loss = cross_entropy(logits.flatten(0, 1), batch.target[:, 1:].flatten(), ignore_index=PAD)
        loss.backward()  # type: ignore[no-untyped-call]
    # The weights of attention=none have no gradient.
    assert 3 * forward == pytest.approx(counter.get_total_flops(), rel=0.05 if attention == "none" else 0.02)


def test_padding_is_no_work() -> None:
    lengths = torch.tensor([3, 2]), torch.tensor([5, 4])
    batch = TranslationBatch(torch.zeros(2, 3), lengths[0], torch.zeros(2, 5), lengths[1], torch.arange(2))
    assert Work.of(batch) == Work(source=5, target=7, pairs=3 * 4 + 2 * 3, sentences=2)


@pytest.mark.parametrize("beam_size", [None, 5])
def test_each_translation_is_as_long_as_its_reference(beam_size: int | None) -> None:
    make_stack = partial(RecurrentStack, cell="gru", hidden_size=8)
    model = Seq2Seq(make_stack, 30, 40, 8)
    batch = padded_batch(torch.Generator().manual_seed(0))
    lengths = torch.tensor([11, 3, 5, 11, 8, 4])
    decoding = Decoding(model, [batch], torch.device("cpu"), beam_size)
    tokens = decoding.search(batch._replace(target_lengths=lengths))[:, 0]
    assert (tokens != PAD).sum(dim=1).tolist() == (lengths - 1).tolist()  # EOS counts, BOS does not
    assert (tokens == EOS).sum(dim=1).tolist() == [1] * 6
