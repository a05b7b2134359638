"""The translation benchmark measures candidates that do the same work."""

import math
from pathlib import Path
from statistics import median

import pytest
import torch
from torch import Tensor

from rnnexp.data.batches import TranslationBatch
from rnnexp.models import Seq2Seq
from rnnexp.text.vocabulary import EOS, PAD
from support.benchmarks import Measure, read_report


def test_everything_is_measured_in_every_round_and_reported(measure_translation: Measure, tmp_path: Path) -> None:
    outcome = measure_translation("task.network.embedding_dropout=0.3", "task.label_smoothing=0.1")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.directories == []
    report = read_report(tmp_path / "outputs")
    assert report["task"] == "translation"
    assert report["start_up"] is None
    speed = report["speed"]
    training, decoding = speed["training"], speed["decoding"]

    trained = ["rnnexp", "plain loop", "plain loop, stepwise", "plain loop, torch's kernels"]
    assert list(training["tokens_per_second"]) == trained
    assert list(training["pairs_per_second"]) == ["rnnexp", "tutorial loop"]
    assert list(training["gflop_per_second"]) == [*trained, "sgemm"]
    searched = ["fused, beam 5", "fused, greedy", "stepwise, beam 5", "stepwise, greedy"]
    assert list(decoding["sentences_per_second"]) == searched
    speeds = [training[f"{what}_per_second"] for what in ("tokens", "pairs", "gflop")]
    for candidates in [*speeds, decoding["sentences_per_second"]]:
        for name, rounds in candidates.items():
            assert len(rounds) == 2
            assert min(rounds) > 0
            assert name in outcome.stdout
            assert f"{median(rounds):,.1f}" in outcome.stdout

    losses = training["final_loss"]
    assert losses["rnnexp"] == pytest.approx(losses["plain loop"], rel=1e-5), "they did not do the same work"
    assert math.isfinite(losses["plain loop, stepwise"])
    assert losses["plain loop, stepwise"] != losses["plain loop"]
    assert losses["plain loop"] == pytest.approx(losses["plain loop, torch's kernels"], rel=1e-5)
    assert training["num_pairs"] == 4 * 24
    tokens, pairs = (training[f"{what}_per_second"]["rnnexp"] for what in ("tokens", "pairs"))
    assert tokens[0] / pairs[0] == pytest.approx(training["num_target_tokens"] / training["num_pairs"])
    assert set(training["multiply_adds_forward"]) == {"encoder", "bridge", "decoder", "attention", "deep", "output"}
    assert decoding["num_sentences"] == 20

    ratios = speed["ratios"]
    assert list(ratios) == [
        "tokens/s, rnnexp / plain loop",
        "tokens/s, rnnexp / plain loop, torch's kernels",
        "tokens/s, fused / stepwise",
        "pairs/s, rnnexp / tutorial loop",
        *[f"GFLOP/s, {name} / sgemm" for name in trained],
        "sentences/s, fused / stepwise, beam 5",
        "sentences/s, fused / stepwise, greedy",
    ]
    for ratio in ratios.values():
        assert 0 < ratio["lowest"] <= ratio["median"] <= ratio["highest"]


def test_both_decoders_are_compared_with_full_teacher_forcing(measure_translation: Measure, tmp_path: Path) -> None:
    outcome = measure_translation("task.network.decoder=stepwise", "task.teacher_forcing=0.5", "repetitions=1")
    assert outcome.exit_code == 0, outcome.stderr
    training = read_report(tmp_path / "outputs")["speed"]["training"]
    trained = ["rnnexp", "plain loop", "plain loop, fused", "plain loop, stepwise"]
    assert list(training["tokens_per_second"]) == [*trained, "plain loop, torch's kernels"]
    losses = training["final_loss"]
    assert losses["rnnexp"] == pytest.approx(losses["plain loop"], rel=1e-5), "they drew other tokens"
    assert len({round(losses[name], 5) for name in trained[1:]}) == 3
    fused, stepwise = (training["tokens_per_second"][f"plain loop, {decoder}"][0] for decoder in ("fused", "stepwise"))
    ratio = read_report(tmp_path / "outputs")["speed"]["ratios"]["tokens/s, fused / stepwise"]
    assert ratio["median"] == pytest.approx(fused / stepwise)


def test_both_decoders_process_the_same_tokens(
    measure_translation: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[TranslationBatch]] = {}
    forward = Seq2Seq.forward

    def watched(self: Seq2Seq, source: Tensor, lengths: Tensor, target_in: Tensor, teacher_forcing: float) -> Tensor:
        batch = TranslationBatch(source, lengths, target_in, (target_in != PAD).sum(dim=1), lengths)
        seen.setdefault(type(self.decoder).__name__, []).append(batch)
        return forward(self, source, lengths, target_in, teacher_forcing)

    monkeypatch.setattr(Seq2Seq, "forward", watched)
    assert measure_translation("repetitions=1").exit_code == 0
    ours, plain, on_kernels = seen["FusedDecoder"][:6], seen["FusedDecoder"][6:11], seen["FusedDecoder"][11:]
    stepwise = seen["StepwiseDecoder"]
    assert len(plain) == len(stepwise) == len(on_kernels) == 5
    assert len(ours) == 6  # the clock stops when the last one begins
    for batches in zip(ours, plain, stepwise, on_kernels, strict=False):
        for tensors in zip(*batches, strict=True):
            assert all(torch.equal(tensor, tensors[0]) for tensor in tensors)
    # Target inputs end with EOS where other sentences are longer; the EOS of the longest sentences is cut.
    training = read_report(tmp_path / "outputs")["speed"]["training"]
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
        ("trainer.precision=bf16-mixed", "trainer.precision=bf16-mixed: "),
        ("task.network.attention=genral", "task: unknown attention 'genral': choose one of"),
    ],
)
def test_a_bad_option_is_a_one_line_error(measure_translation: Measure, override: str, message: str) -> None:
    outcome = measure_translation(override)
    assert outcome.exit_code == 2
    assert message in outcome.line
