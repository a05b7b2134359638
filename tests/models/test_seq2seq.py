"""The encoder-decoder: one pass equals single steps, padding has no effect, every parameter learns."""

import copy
import itertools
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnexp.models import Seq2Seq
from rnnexp.models.attention import ATTENTIONS
from rnnexp.models.bridge import BRIDGES
from rnnexp.models.scheduled_sampling import SAMPLINGS, draw_teacher_mask
from rnnexp.models.seq2seq import DECODERS, TYINGS
from rnnexp.recurrent import CELLS, Cell, RecurrentStack, State
from rnnexp.recurrent.cells import make_cell
from rnnexp.text.vocabulary import BOS, PAD
from support.cells import STATES

VOCAB, EMBEDDING, HIDDEN = 11, 5, 6
LENGTHS = torch.tensor([7, 1, 4])
STACK_OPTIONS: list[dict[str, Any]] = [{}, {"layer_norm": True, "residual": True, "learned_initial_state": True}]


def model_of(
    cell: str | Cell = "gru", num_layers: int = 2, stack: dict[str, Any] | None = None, **options: Any
) -> Seq2Seq:
    """Return a small network in double precision with random values for all parameters."""
    torch.manual_seed(0)
    # Dot attention needs an h of the decoder that is as wide as both directions of the encoder.
    both = options.get("attention") != "dot"
    settings = {"hidden_size": HIDDEN, "num_layers": num_layers, "bidirectional": both} | (stack or {})
    sizes = {"source_vocab_size": VOCAB, "target_vocab_size": VOCAB, "embedding_size": EMBEDDING}
    model = Seq2Seq(partial(RecurrentStack, cell, **settings), **(sizes | options)).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def sentences(batch: int = 3, source_time: int = 7, target_time: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    source = torch.randint(4, VOCAB, (batch, source_time), generator=generator)
    target_in = torch.randint(4, VOCAB, (batch, target_time), generator=generator)
    target_in[:, 0] = BOS
    return source.masked_fill(torch.arange(source_time) >= LENGTHS[:batch, None], PAD), LENGTHS[:batch], target_in


def test_the_choices_were_found() -> None:
    assert set(DECODERS) == {"fused", "stepwise"}
    assert set(BRIDGES) == {"final", "mean", "zero"}
    assert set(TYINGS) == {"none", "output", "all"}
    assert set(CELLS) > set(STATES)
    assert {make_cell(name).cell.states for name in STATES} == {make_cell(name).cell.states for name in CELLS}


@pytest.mark.parametrize("stack", STACK_OPTIONS, ids=["plain", "options"])
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", STATES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_single_steps_equal_one_pass(
    decoder: str, cell: str, num_layers: int, attention: str, stack: dict[str, Any]
) -> None:
    model = model_of(cell, num_layers, stack, decoder=decoder, attention=attention)
    source, lengths, target_in = sentences()
    encoded, state = model.encode(source, lengths)
    logits, weights = [], []
    for tokens in target_in.unbind(1):
        step_logits, state, step_weights = model.step(tokens, state, encoded)
        assert all(len(tensor) == len(source) for tensor in state)
        logits.append(step_logits)
        weights.append(step_weights)
    torch.testing.assert_close(torch.stack(logits, dim=1), model(source, lengths, target_in))
    torch.testing.assert_close(torch.stack(weights, dim=1), model.align(source, lengths, target_in))


@pytest.mark.parametrize("decoder", DECODERS)
def test_several_rows_of_a_sentence_share_its_memory(decoder: str) -> None:
    model = model_of("lstm", decoder=decoder)
    source, lengths, _ = sentences()
    first, second = torch.tensor([4, 5, 6]), torch.tensor([7, 8, 9])
    encoded, state = model.encode(source, lengths)
    together = model.step(
        torch.stack([first, second], dim=1).flatten(), tuple(t.repeat_interleave(2, 0) for t in state), encoded
    )
    for number, tokens in enumerate((first, second)):
        logits, after, weights = model.step(tokens, state, encoded)
        torch.testing.assert_close(together[0][number::2], logits)
        torch.testing.assert_close([t[number::2] for t in together[1]], list(after))
        torch.testing.assert_close(together[2][number::2], weights)


@pytest.mark.parametrize("cell", [name for name in CELLS if name not in STATES])
@pytest.mark.parametrize("decoder", DECODERS)
def test_any_cell_translates_and_learns(decoder: str, cell: str) -> None:
    model = model_of(cell, 2, decoder=decoder)
    source, lengths, target_in = sentences()
    logits = model(source, lengths, target_in)
    encoded, state = model.encode(source, lengths)
    torch.testing.assert_close(model.step(target_in[:, 0], state, encoded)[0], logits[:, 0])
    logits.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("cell", STATES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_padded_equals_alone(decoder: str, cell: str, attention: str, bridge: str) -> None:
    model = model_of(cell, decoder=decoder, attention=attention, bridge=bridge)
    source, lengths, target_in = sentences()
    logits, weights = model(source, lengths, target_in), model.align(source, lengths, target_in)
    for row, length in enumerate(lengths.tolist()):
        alone = source[row : row + 1, :length], lengths[row : row + 1], target_in[row : row + 1]
        torch.testing.assert_close(logits[row], model(*alone)[0])
        torch.testing.assert_close(weights[row, :, :length], model.align(*alone)[0])
        assert (weights[row, :, length:] == 0).all()


@pytest.mark.parametrize("decoder", DECODERS)
def test_padding_has_no_effect(decoder: str) -> None:
    model = model_of(decoder=decoder)
    source, lengths, target_in = sentences()
    torch.testing.assert_close(
        model(source.masked_fill(source == PAD, 9), lengths, target_in), model(source, lengths, target_in)
    )


@pytest.mark.parametrize("decoder", DECODERS)
def test_no_step_sees_a_later_token(decoder: str) -> None:
    model = model_of(decoder=decoder)
    source, lengths, target_in = sentences()
    changed = target_in.clone()
    changed[:, 3] = (changed[:, 3] - 3) % 7 + 4
    before, after = model(source, lengths, target_in), model(source, lengths, changed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert (before[:, 3:] != after[:, 3:]).all()


EVERY = list(itertools.product(DECODERS, STATES, ATTENTIONS, BRIDGES))


@pytest.mark.parametrize(("decoder", "cell", "attention", "bridge"), EVERY)
def test_every_parameter_learns(decoder: str, cell: str, attention: str, bridge: str) -> None:
    """Distributed training stops at a parameter without a gradient."""
    for number, tied in enumerate(TYINGS):
        model = model_of(
            cell,
            1 + number,
            STACK_OPTIONS[number % 2],
            decoder=decoder,
            attention=attention,
            bridge=bridge,
            tied_embeddings=tied,
        )
        model(*sentences()).square().sum().backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        assert [name for name, gradient in gradients.items() if gradient is None] == []
        unmoved = [name for name, gradient in gradients.items() if gradient is not None and not gradient.any()]
        assert unmoved == []


@pytest.mark.parametrize(("encoder_layers", "decoder_layers"), [(1, 2), (3, 1)])
@pytest.mark.parametrize(("encoder_cell", "decoder_cell"), list(itertools.permutations(STATES, 2)))
def test_encoder_and_decoder_may_differ(
    encoder_cell: str, decoder_cell: str, encoder_layers: int, decoder_layers: int
) -> None:
    make_decoder_stack = partial(RecurrentStack, decoder_cell, hidden_size=3, num_layers=9, bidirectional=True)
    model = model_of(encoder_cell, encoder_layers, make_decoder_stack=make_decoder_stack, decoder_layers=decoder_layers)
    stacks = list(model.decoder.layers)
    assert len(stacks) == decoder_layers
    for stack in stacks:
        assert isinstance(stack, RecurrentStack)
        assert (stack.cell_name, stack.num_layers, stack.bidirectional, stack.hidden_size) == (
            decoder_cell,
            1,
            False,
            3,
        )
    assert model(*sentences()).shape == (3, 5, VOCAB)


def test_the_decoder_is_as_deep_as_the_encoder_by_default() -> None:
    assert len(model_of(num_layers=3).decoder.layers) == 3


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_cell_without_a_kernel(decoder: str) -> None:
    def leaky(x: Tensor, state: State, recur: Any) -> State:
        h, encoded = state
        encoded = 0.5 * encoded + 0.5 * torch.tanh(x + recur(h))
        return torch.sin(encoded), encoded

    model = model_of(Cell(leaky, gates=1, states=2), decoder=decoder)
    source, lengths, target_in = sentences()
    encoded, state = model.encode(source, lengths)
    logits, _, _ = model.step(target_in[:, 0], state, encoded)
    torch.testing.assert_close(logits, model(source, lengths, target_in)[:, 0])


def test_the_fused_decoder_attends_after_its_bottom_layer() -> None:
    """Without a bridge the bottom layer depends only on the target; upper layers see the source at the same step."""
    model = model_of("gru", 3, bridge="zero")
    source, lengths, target_in = sentences()
    states = []
    for tokens in (source, source.flip(1)):
        encoded, state = model.encode(tokens, torch.full_like(lengths, 7))
        _, state, _ = model.step(target_in[:, 0], state, encoded)
        states.append(state)
    (bottom, *above), (other_bottom, *other_above) = states
    torch.testing.assert_close(bottom, other_bottom)
    assert len(above) == 2
    for one, other in zip(above, other_above, strict=True):
        assert (one != other).all()


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("decoder", DECODERS)
def test_the_parts_are_connected_as_documented(decoder: str, residual: bool) -> None:
    model = model_of("gru", 3, {"residual": residual}, decoder=decoder)
    source, lengths, target_in = sentences(target_time=1)
    encoded, state = model.encode(source, lengths)
    parts = model.decoder
    y = parts.embedding(target_in)

    def layer(index: int, x: Tensor) -> Tensor:
        outputs, _ = parts.layers[index](x, None, (state[index].unsqueeze(0),))
        return outputs

    def look(h: Tensor) -> Tensor:
        contexts, _ = parts.attention(h, encoded.keys, encoded.annotations, encoded.mask)
        return contexts

    if decoder == "fused":
        h = layer(0, y)
        contexts = look(h)
        for index in (1, 2):
            h = layer(index, torch.cat([h, contexts], dim=2)) + (h if residual else 0)
    else:
        h = layer(0, torch.cat([y, torch.zeros_like(y)], dim=2))
        for index in (1, 2):
            h = layer(index, h) + (h if residual else 0)
        contexts = look(h)
    expected = parts.output(torch.tanh(parts.deep_output(torch.cat([h, y, contexts], dim=2))))
    torch.testing.assert_close(model(source, lengths, target_in), expected)


def test_the_decoder_adds_the_input_of_a_layer_before_dropout() -> None:
    model = model_of("gru", 2, {"residual": True, "dropout": 0.5}, decoder="stepwise")
    source, lengths, _ = sentences()
    _, state = model.encode(source, lengths)
    below = torch.randn(3, 4, HIDDEN, dtype=torch.double)
    nothing = torch.zeros_like(below)
    outputs, _ = model.decoder.run_layer(1, below, state, mask=nothing)
    of_nothing, _ = model.decoder.layers[1](nothing, None, (state[1].unsqueeze(0),))
    torch.testing.assert_close(outputs, below + of_nothing)


def test_the_stepwise_decoder_feeds_back_its_readout() -> None:
    model = model_of("gru", 1, decoder="stepwise")
    source, lengths, target_in = sentences()
    encoded, (h, fed) = model.encode(source, lengths)
    assert (fed == 0).all()
    logits, (h, fed), _ = model.step(target_in[:, 0], (h, fed), encoded)
    torch.testing.assert_close(model.decoder.output(fed), logits)
    fed_again, *_ = model.step(target_in[:, 1], (h, fed), encoded)
    not_fed, *_ = model.step(target_in[:, 1], (h, torch.zeros_like(fed)), encoded)
    assert (fed_again != not_fed).all()


@pytest.mark.parametrize("tied", TYINGS)
def test_tied_weights_share_storage(tied: str) -> None:
    model = model_of(tied_embeddings=tied)
    copied = copy.deepcopy(model)
    loaded = model_of(tied_embeddings=tied)
    loaded.load_state_dict(model.state_dict())
    for each in (model, copied, loaded):
        source, target = each.encoder.embedding.weight, each.decoder.embedding.weight
        output = each.decoder.output.weight
        assert (target.data_ptr() == output.data_ptr()) == (tied != "none")
        assert (source.data_ptr() == target.data_ptr()) == (tied == "all")
    matrices = {"none": 3, "output": 2, "all": 1}[tied]
    assert sum(parameter.shape == (VOCAB, EMBEDDING) for parameter in model.parameters()) == matrices


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("time_tied", [False, True])
def test_dropouts_only_in_training(decoder: str, time_tied: bool) -> None:
    batch = sentences()
    names = ["embedding_dropout", "annotation_dropout", "output_dropout", "word_dropout"]
    cases: list[dict[str, Any]] = [{name: 0.5} for name in names] + [{"stack": {"dropout": 0.5}}]
    for case in cases:
        case["stack"] = case.get("stack", {}) | {"time_tied_dropout": time_tied}
        model = model_of("lstm", decoder=decoder, **case)
        assert not torch.equal(model(*batch), model(*batch)), case
        model.eval()
        torch.testing.assert_close(model(*batch), model_of("lstm", decoder=decoder).eval()(*batch))


@pytest.mark.parametrize("side", ["encoder", "decoder"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_each_side_has_its_dropouts(decoder: str, side: str) -> None:
    source, lengths, target_in = sentences()
    layers = {"make_decoder_stack": partial(RecurrentStack, "gru", hidden_size=HIDDEN, dropout=0.5)}
    cases: list[dict[str, Any]] = [{"embedding_dropout": 0.5}, {"word_dropout": 0.5}]
    cases += [{"annotation_dropout": 0.5}] if side == "encoder" else [{"output_dropout": 0.5}, layers]
    for case in cases:
        model = model_of(decoder=decoder, **case)
        encoded, state = model.eval().encode(source, lengths)
        model.train()
        runs = [
            (model.encoder(source, lengths) if side == "encoder" else model.decoder(target_in, state, encoded))[0]
            for _ in range(2)
        ]
        assert not torch.equal(*runs), case


@pytest.mark.parametrize("place", ["embedding", "output", "layers"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("decoder", DECODERS)
def test_both_decoders_share_their_masks_over_time(decoder: str, tied: bool, place: str) -> None:
    """One repeated token without recurrence: with shared masks every step computes the same."""
    stack = {"time_tied_dropout": tied, "dropout": 0.5 if place == "layers" else 0.0}
    options = {} if place == "layers" else {f"{place}_dropout": 0.5}
    model = model_of("srn", 2, stack, decoder=decoder, bridge="zero", **options)
    for index, layer in enumerate(model.decoder.layers):
        nn.init.zeros_(layer.weight_hh_l0)
        if decoder == "stepwise" and index == 0:
            layer.weight_ih_l0.data[:, EMBEDDING:] = 0
    encoded, state = model.encode(*sentences()[:2])
    logits, _ = model.decoder(torch.full((3, 6), 7), state, encoded)
    assert torch.allclose(logits, logits[:, :1].expand_as(logits)) == tied


def test_the_stepwise_pass_with_every_token_given_is_teacher_forcing() -> None:
    dropouts = {"embedding_dropout": 0.3, "output_dropout": 0.3, "stack": {"dropout": 0.3}}
    model = model_of("lstm", decoder="stepwise", **dropouts)
    source, lengths, target_in = sentences()
    encoded, state = model.encode(source, lengths)
    sweeps = []
    for given in (None, torch.ones_like(target_in, dtype=torch.bool)):
        torch.manual_seed(3)
        sweeps.append(model.decoder(target_in, state, encoded, given))
    torch.testing.assert_close(*sweeps)
    torch.manual_seed(3)
    expected = model(source, lengths, target_in)
    torch.manual_seed(3)
    torch.testing.assert_close(model(source, lengths, target_in, teacher_forcing=1.0), expected)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_without_teacher_forcing_the_decoder_reads_its_own_tokens(sampling: str) -> None:
    model = model_of("gru", decoder="stepwise", sampling=sampling)
    source, lengths, target_in = sentences()
    encoded, state = model.encode(source, lengths)
    tokens, expected = target_in[:, 0], []
    for _ in range(target_in.shape[1]):
        logits, state, _ = model.step(tokens, state, encoded)
        expected.append(logits)
        tokens = logits.argmax(dim=1)
    torch.testing.assert_close(model(source, lengths, target_in, teacher_forcing=0.0), torch.stack(expected, dim=1))


def test_a_predicted_token_replaces_only_tokens_that_are_not_given() -> None:
    model = model_of("gru", decoder="stepwise")
    source, lengths, target_in = sentences()
    encoded, state = model.encode(source, lengths)
    given = torch.ones_like(target_in, dtype=torch.bool)
    given[1, 2] = False
    logits, _ = model.decoder(target_in, state, encoded, given)
    replaced = target_in.clone()
    replaced[1, 2] = logits[1, 1].argmax()
    assert not torch.equal(replaced, target_in)
    torch.testing.assert_close(logits, model.decoder(replaced, state, encoded)[0])


def test_tokens_are_drawn_by_sentence_or_one_by_one() -> None:
    torch.manual_seed(0)
    target_in = torch.zeros(2000, 6, dtype=torch.int64)
    assert draw_teacher_mask(target_in, 1.0, "token") is None
    for sampling, together in (("sentence", True), ("token", False)):
        given = draw_teacher_mask(target_in, 0.3, sampling)
        assert given is not None
        assert given[:, 0].all()
        rest = given[:, 1:]
        assert bool((rest == rest[:, :1]).all()) == together
        assert 0.26 < rest.float().mean() < 0.34


@pytest.mark.parametrize("cell", STATES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_low_precision(decoder: str, cell: str) -> None:
    model = model_of(cell, decoder=decoder)
    batch = sentences()
    exact = model(*batch)
    low = model.bfloat16()
    logits = low(*batch)
    assert logits.dtype == torch.bfloat16
    assert (logits.double() - exact).abs().mean() < 0.1 * exact.abs().mean()
    logits.float().square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in low.parameters())
    encoded, state = low.encode(*batch[:2])
    assert low.step(batch[2][:, 0], state, encoded)[0].isfinite().all()


@pytest.mark.parametrize("cell", ["srn", "gru"])  # the CPU has no LSTM kernel under autocast
@pytest.mark.parametrize("decoder", DECODERS)
def test_mixed_precision(decoder: str, cell: str) -> None:
    model = model_of(cell, decoder=decoder).float()
    source, lengths, target_in = sentences()
    exact = model(source, lengths, target_in)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(source, lengths, target_in)
        encoded, state = model.encode(source, lengths)
        for t, tokens in enumerate(target_in.unbind(1)):
            step_logits, state, _ = model.step(tokens, state, encoded)
            torch.testing.assert_close(step_logits, logits[:, t], rtol=0.1, atol=0.3)
    assert (logits.float() - exact).abs().mean() < 0.1 * exact.abs().mean()


def test_initial_values() -> None:
    torch.manual_seed(0)
    make_stack = partial(RecurrentStack, "lstm", hidden_size=64, num_layers=2)
    model = Seq2Seq(make_stack, 1000, 1200, embedding_size=100)
    for embedding in (model.encoder.embedding, model.decoder.embedding):
        assert embedding.weight.std().item() == pytest.approx(0.1, rel=0.02)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all(), name
    logits = model(torch.randint(4, 1000, (8, 6)), torch.full((8,), 6), torch.randint(4, 1200, (8, 6)))
    assert logits.std() < 1


def test_learns_to_reverse() -> None:
    """Reversing a sentence needs attention and the order of tokens."""
    torch.manual_seed(0)
    make_stack = partial(RecurrentStack, "gru", hidden_size=32, bidirectional=True)
    model = Seq2Seq(make_stack, 12, 12, embedding_size=32)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    lengths = torch.full((64,), 5)
    for _ in range(150):
        source = torch.randint(4, 12, (64, 5))
        target = source.flip(1)
        target_in = torch.cat([torch.full((64, 1), BOS), target[:, :-1]], dim=1)
        logits = model(source, lengths, target_in)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder": "fuse"}, r"unknown decoder 'fuse': choose one of fused, stepwise; did you mean 'fused'\?"),
        ({"attention": "bahdanau"}, "unknown attention 'bahdanau': choose one of additive, general, dot, none"),
        ({"bridge": "last"}, "unknown bridge 'last': choose one of final, mean, zero"),
        ({"tied_embeddings": "both"}, "unknown tied_embeddings 'both': choose one of none, output, all"),
        ({"sampling": "batch"}, "unknown sampling 'batch': choose one of sentence, token"),
        (
            {"tied_embeddings": "all", "source_vocab_size": 12},
            "tied_embeddings=all needs one vocabulary for both sides, not 12 and 11 tokens: use a joint vocabulary, "
            "or tied_embeddings=output",
        ),
        ({"embedding_size": 0}, "embedding_size must be a whole number of at least 1, not 0"),
        ({"decoder_layers": 0}, "num_layers must be .*, not 0"),
        ({"output_dropout": 1.0}, r"dropout must .*, not 1\.0"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        model_of(**options)


def test_bad_teacher_forcing() -> None:
    with pytest.raises(
        ValueError, match=r"^the fused decoder supports only teacher forcing 1: use decoder=stepwise for less$"
    ):
        model_of()(*sentences(), teacher_forcing=0.5)
    with pytest.raises(ValueError, match=r"^teacher_forcing must lie in \[0, 1\], not 1.5$"):
        model_of(decoder="stepwise")(*sentences(), teacher_forcing=1.5)
