"""Greedy and beam search, compared with enumeration and with a search that uses lists of hypotheses."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnexp.decoding import Hypotheses, Limits, beam_search, greedy_search
from rnnexp.models import Seq2Seq
from rnnexp.models.seq2seq import DECODERS
from rnnexp.text.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK
from support.cells import STATES

MakeModel = Callable[..., Seq2Seq]
MakeSource = Callable[..., tuple[Tensor, Tensor]]
Scored = tuple[float, list[int]]
WORDS = len(SPECIAL_TOKENS)


def as_lists(found: Hypotheses) -> list[list[Scored]]:
    """Return the hypotheses of each sentence without padding."""
    return [
        [
            (score, [token for token in tokens if token != PAD])
            for score, tokens in zip(scores, rows, strict=True)
            if score > -math.inf
        ]
        for scores, rows in zip(found.scores.tolist(), found.tokens.tolist(), strict=True)
    ]


def assert_same(found: list[Scored], expected: list[Scored]) -> None:
    assert [tokens for _, tokens in found] == [tokens for _, tokens in expected]
    assert [score for score, _ in found] == pytest.approx([score for score, _ in expected])


def every_translation(
    model: Seq2Seq, source: Tensor, lengths: Tensor, longest: int, length_penalty: float
) -> list[Scored]:
    """Return all translations of one sentence, scored by one teacher-forced pass, best first."""
    words = range(WORDS, model.decoder.output.out_features)
    scored = []
    for length in range(longest + 1):
        for translation in itertools.product(words, repeat=length):
            tokens = [*translation, EOS]
            log_probs = model(source, lengths, torch.tensor([[BOS, *translation]])).log_softmax(dim=2)[0]
            total = sum(log_probs[t, token].item() for t, token in enumerate(tokens))
            scored.append((total / len(tokens) ** length_penalty, tokens))
    return sorted(scored, reverse=True)


def slow_beam_search(
    models: list[Seq2Seq], source: Tensor, lengths: Tensor, beam_size: int, length_penalty: float, limits: Limits
) -> list[Scored]:
    """Search for one sentence without early stopping; each step is a teacher-forced pass per hypothesis."""
    longest = math.floor(lengths.item() * limits.max_ratio + limits.max_extra)
    opened: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[Scored] = []
    while opened:
        candidates = []
        target_in = torch.tensor([[BOS, *tokens] for _, tokens in opened])
        sources = source.repeat(len(opened), 1), lengths.repeat(len(opened))
        logits = [model(*sources, target_in)[:, -1] for model in models]
        log_probs = torch.stack([each.softmax(dim=1) for each in logits]).mean(dim=0).log().tolist()
        for (total, tokens), following in zip(opened, log_probs, strict=True):
            for token, log_prob in enumerate(following):
                if token in (PAD, BOS) or (token == UNK and not limits.unknown):
                    continue
                at_end = len(tokens) >= longest
                if (at_end and token != EOS) or (token == EOS and len(tokens) < limits.min_length and not at_end):
                    continue
                candidates.append((total + log_prob, [*tokens, token]))
        best = sorted(candidates, reverse=True)[: beam_size - len(ended)]
        opened = [(total, tokens) for total, tokens in best if tokens[-1] != EOS]
        ended += [(total / len(tokens) ** length_penalty, tokens) for total, tokens in best if tokens[-1] == EOS]
    return sorted(ended, reverse=True)


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("decoder", DECODERS)
def test_a_beam_as_wide_as_the_space_finds_the_optimum(
    make_model: MakeModel, make_source: MakeSource, decoder: str, length_penalty: float
) -> None:
    model = make_model(decoder=decoder)
    source, lengths = make_source(batch=4)
    limits = Limits(max_ratio=0, max_extra=3)
    found = as_lists(beam_search([model], source, lengths, 20, 20, length_penalty, limits))
    narrow = as_lists(beam_search([model], source, lengths, 20, 1, length_penalty, limits))
    for row, length in enumerate(lengths.tolist()):
        alone = source[row : row + 1, :length], lengths[row : row + 1]
        expected = every_translation(model, *alone, 3, length_penalty)
        assert len(expected) == 1 + 2 + 4 + 8  # fewer than the beam size and than the requested number
        assert_same(found[row], expected)
        assert_same(narrow[row], expected[:1])


@pytest.mark.parametrize("cell", STATES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_a_beam_of_one_is_greedy(make_model: MakeModel, make_source: MakeSource, decoder: str, cell: str) -> None:
    source, lengths = make_source(16)
    lengths_found = set()
    for seed in range(5):
        model = make_model(vocab_size=10, seed=seed, cell=cell, decoder=decoder)
        greedy, beam = greedy_search([model], source, lengths), beam_search([model], source, lengths, beam_size=1)
        assert torch.equal(greedy.tokens, beam.tokens)
        torch.testing.assert_close(greedy.scores, beam.scores)
        lengths_found |= set((greedy.tokens != PAD).sum(dim=2).flatten().tolist())
    assert len(lengths_found) > 3


@pytest.mark.parametrize("decoder", DECODERS)
def test_greedy_takes_the_most_likely_token(make_model: MakeModel, make_source: MakeSource, decoder: str) -> None:
    model = make_model(vocab_size=10, decoder=decoder)
    source, lengths = make_source()
    limits = Limits(unknown=True)
    for row, [(score, tokens)] in enumerate(as_lists(greedy_search([model], source, lengths, limits=limits))):
        target_in = torch.tensor([[BOS, *tokens[:-1]]])
        log_probs = model(source[row : row + 1], lengths[row : row + 1], target_in).log_softmax(dim=2)[0]
        chosen = log_probs[range(len(tokens)), tokens]
        log_probs[:, [PAD, BOS]] = -math.inf
        whole = len(tokens) <= limits.longest(lengths)[row]
        steps = slice(None if whole else -1)  # the longest are cut at the limit
        assert torch.equal(log_probs.argmax(dim=1)[steps], torch.tensor(tokens)[steps])
        assert score == pytest.approx(chosen.mean().item())


SEARCHES: list[dict[str, Any]] = [
    {},
    {"beam_size": 2},
    {"beam_size": 15},
    {"length_penalty": 0.0},
    {"length_penalty": 0.5, "limits": Limits(min_length=3)},
    {"limits": Limits(min_length=30, max_ratio=0.5, max_extra=1)},
    {"limits": Limits(unknown=True, max_ratio=0, max_extra=4)},
    {"limits": Limits(max_ratio=0, max_extra=0)},
]


@pytest.mark.parametrize("num_models", [1, 2])
@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_early_stopping_gives_the_same_as_a_search_to_the_end(
    make_model: MakeModel, make_source: MakeSource, search: dict[str, Any], num_models: int
) -> None:
    settings: dict[str, Any] = {
        "beam_size": 4,
        "length_penalty": 1.0,
        "limits": Limits(max_ratio=1, max_extra=3),
    } | search
    source, lengths = make_source(batch=4)
    for seed in range(2):
        models = [make_model(vocab_size=8, seed=seed + 100 * number, spread=0.8) for number in range(num_models)]
        for n_best in (1, settings["beam_size"]):
            found = as_lists(beam_search(models, source, lengths, n_best=n_best, **settings))
            for row, length in enumerate(lengths.tolist()):
                alone = source[row : row + 1, :length], lengths[row : row + 1]
                assert_same(found[row], slow_beam_search(models, *alone, **settings)[:n_best])


def test_the_search_stops_once_nothing_can_change(make_model: MakeModel, make_source: MakeSource) -> None:
    model = make_model(vocab_size=10, cell="lstm")
    rows: list[int] = []  # computed in each step
    model.decoder.deep_output.register_forward_hook(lambda _, __, output: rows.append(len(output)))
    source, lengths = make_source()
    limits = Limits(max_ratio=0, max_extra=40)
    found = beam_search([model], source, lengths, 4, n_best=2, length_penalty=0.0, limits=limits)
    assert rows[0] == 4 * len(source)
    assert rows == sorted(rows, reverse=True)
    assert 1 < len(rows) < 41
    assert rows[-1] < rows[0]
    assert found.scores.isfinite().all()


@pytest.mark.parametrize("beam_size", [1, 5])
@pytest.mark.parametrize("cell", STATES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_batched_equals_one_by_one(
    make_model: MakeModel, make_source: MakeSource, decoder: str, cell: str, beam_size: int
) -> None:
    source, lengths = make_source(6)
    lengths_found = set()
    for seed in range(3):
        model = make_model(vocab_size=12, seed=seed, cell=cell, decoder=decoder)
        together = as_lists(beam_search([model], source, lengths, beam_size, n_best=beam_size))
        greedy = as_lists(greedy_search([model], source, lengths))
        for row, length in enumerate(lengths.tolist()):
            alone = source[row : row + 1, :length], lengths[row : row + 1]
            assert_same(together[row], as_lists(beam_search([model], *alone, beam_size, n_best=beam_size))[0])
            assert_same(greedy[row], as_lists(greedy_search([model], *alone))[0])
            lengths_found |= {len(tokens) for _, tokens in together[row]}
    assert len(lengths_found) > 3


def test_hypotheses_are_sorted_distinct_and_complete(make_model: MakeModel, make_source: MakeSource) -> None:
    model = make_model(vocab_size=12)
    source, lengths = make_source(12)
    found = beam_search([model], source, lengths, beam_size=6, n_best=6)
    assert found.tokens.dtype == torch.int64
    assert found.tokens.shape[:2] == found.scores.shape == (12, 6)
    assert (found.scores.diff(dim=1) <= 0).all()
    assert (found.tokens[:, :, -1] != PAD).any(), "no longer than needed"
    for hypotheses in as_lists(found):
        assert len({tuple(tokens) for _, tokens in hypotheses}) == 6
        for _, tokens in hypotheses:
            assert tokens[-1] == EOS
            assert min(tokens[:-1], default=WORDS) >= WORDS


@pytest.mark.parametrize("search", [greedy_search, beam_search])
def test_length_limits(make_model: MakeModel, make_source: MakeSource, search: Callable[..., Hypotheses]) -> None:
    source, lengths = make_source(12)
    model = make_model(vocab_size=10, seed=1)

    def found(**limits: Any) -> list[int]:
        return (search([model], source, lengths, limits=Limits(**limits)).tokens != PAD).sum(dim=2)[:, 0].tolist()

    free = [length - 1 for length in found()]
    assert min(free) < 3 < max(free)
    assert min(found(min_length=3)) - 1 >= 3
    assert max(found(max_ratio=0, max_extra=3)) - 1 == 3
    assert found(max_ratio=0, max_extra=0) == [1] * 12
    within = zip(found(max_ratio=0.5, max_extra=1), lengths.tolist(), strict=True)
    assert all(length - 1 <= source_length // 2 + 1 for length, source_length in within)


@pytest.mark.parametrize("search", [greedy_search, beam_search])
def test_the_unknown_word_is_written_only_on_request(
    make_model: MakeModel, make_source: MakeSource, search: Callable[..., Hypotheses]
) -> None:
    model = make_model(vocab_size=10)
    with torch.no_grad():
        model.decoder.output.bias[UNK] = 20.0
    source, lengths = make_source()
    assert not (search([model], source, lengths).tokens == UNK).any()
    assert (search([model], source, lengths, limits=Limits(unknown=True)).tokens == UNK).any()


@pytest.mark.parametrize("search", [greedy_search, beam_search])
def test_an_ensemble_of_equal_models_is_that_model(
    make_model: MakeModel, make_source: MakeSource, search: Callable[..., Hypotheses]
) -> None:
    source, lengths = make_source()
    model, same, other = make_model(vocab_size=9), make_model(vocab_size=9), make_model(vocab_size=9, seed=1)
    alone = search([model], source, lengths)
    together = search([model, same, same], source, lengths)
    assert torch.equal(alone.tokens, together.tokens)
    torch.testing.assert_close(alone.scores, together.scores)
    assert as_lists(search([model, other], source, lengths)) != as_lists(alone)


def test_models_of_different_kinds_search_together(make_model: MakeModel, make_source: MakeSource) -> None:
    source, lengths = make_source()
    models = [
        make_model(cell="lstm", decoder="stepwise", attention="general"),
        make_model(cell="srn", seed=1, decoder_layers=1, attention="none"),
    ]
    limits = Limits(max_ratio=0, max_extra=2)
    found = as_lists(beam_search(models, source, lengths, 7, 7, limits=limits))
    assert_same(found[0], slow_beam_search(models, source[:1], lengths[:1], 7, 1.0, limits))


def test_a_search_keeps_the_random_state_and_computes_no_gradient(
    make_model: MakeModel, make_source: MakeSource
) -> None:
    model = make_model()
    before = torch.get_rng_state()
    for search in (greedy_search, beam_search):
        assert not search([model], *make_source()).scores.requires_grad
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("decoder", DECODERS)
def test_low_precision(make_model: MakeModel, make_source: MakeSource, decoder: str) -> None:
    model = make_model(vocab_size=10, decoder=decoder).bfloat16()
    found = beam_search([model], *make_source(), n_best=5)
    assert found.scores.dtype == torch.float32
    assert found.scores.isfinite().all()
    assert greedy_search([model], *make_source()).scores.isfinite().all()


def test_a_network_with_nan_weights_ends_the_search(make_model: MakeModel, make_source: MakeSource) -> None:
    model = make_model()
    with torch.no_grad():
        model.decoder.output.bias.fill_(math.nan)
    for search in (greedy_search, beam_search):
        assert not search([model], *make_source()).scores.isfinite().any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size must be a whole number of at least 1, not 0"),
        ({"n_best": 6}, "a beam of 5 cannot return 6 hypotheses: raise beam_size or lower n_best"),
        ({"length_penalty": -1.0}, "length_penalty must be a number of at least 0, not -1.0"),
    ],
)
def test_bad_options(make_model: MakeModel, make_source: MakeSource, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        beam_search([make_model()], *make_source(), **options)


def test_models_that_cannot_search(make_model: MakeModel, make_source: MakeSource) -> None:
    with pytest.raises(ValueError, match=r"^an ensemble needs at least one model$"):
        greedy_search([], *make_source())
    with pytest.raises(ValueError, match=r"^models of one ensemble need one target vocabulary, not \[6, 7\] tokens$"):
        greedy_search([make_model(6), make_model(7)], *make_source())
    with pytest.raises(ValueError, match=r"training mode drops features at random: call model.eval\(\) before"):
        beam_search([make_model().train()], *make_source())


@pytest.mark.parametrize("name", ["min_length", "max_ratio", "max_extra"])
def test_bad_limits(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must not be negative, not -1$"):
        Limits(**{name: -1})


@pytest.mark.gpu
@pytest.mark.parametrize("cell", STATES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_a_gpu_finds_the_same(make_model: MakeModel, make_source: MakeSource, decoder: str, cell: str) -> None:
    source, lengths = make_source()
    model = make_model(vocab_size=12, cell=cell, decoder=decoder)
    for search in (greedy_search, beam_search):
        expected = as_lists(search([model.cpu()], source, lengths))
        for found, one in zip(as_lists(search([model.cuda()], source.cuda(), lengths)), expected, strict=True):
            assert_same(found, one)
