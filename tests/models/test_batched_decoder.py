"""The steps of a decoder as one function: they equal the loop in results and gradients, and run where they may."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnexp.models import Seq2Seq
from rnnexp.models.decoder import EncoderOutput
from rnnexp.recurrent import RecurrentStack

CELLS: list[dict[str, Any]] = [
    {"cell": "srn"},
    {"cell": "srn", "cell_options": {"nonlinearity": "relu"}},
    {"cell": "gru"},
    {"cell": "gru", "cell_options": {"reset": "before"}},
]
LENGTHS = torch.tensor([7, 1, 4])
cells = pytest.mark.parametrize("cell", CELLS, ids=str)
layers = pytest.mark.parametrize("num_layers", [1, 2, 3])
padded = pytest.mark.parametrize("lengths", [torch.full((3,), 7), LENGTHS], ids=["full", "padded"])


def make_model(
    backend: str = "batched", num_layers: int = 2, stack: dict[str, Any] | None = None, **options: Any
) -> Seq2Seq:
    """Return a network in double precision whose decoder has a cell and a backend of its own."""
    settings = {"cell": "gru", "hidden_size": 6, "backend": backend} | (stack or {})
    torch.manual_seed(0)
    model = Seq2Seq(
        partial(RecurrentStack, "gru", hidden_size=4, bidirectional=True, backend="reference"),
        **{"source_vocab_size": 11, "target_vocab_size": 11, "embedding_size": 5, "decoder": "stepwise"} | options,
        make_decoder_stack=partial(RecurrentStack, **settings),
        decoder_layers=num_layers,
    ).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def encode(model: Seq2Seq, lengths: Tensor) -> tuple[Tensor, EncoderOutput, tuple[Tensor, ...]]:
    """Return target tokens, the encoded source and the initial state."""
    generator = torch.Generator().manual_seed(1)
    source, target_in = (torch.randint(4, 11, (3, time), generator=generator) for time in (7, 5))
    torch.manual_seed(2)  # of the dropout masks
    return target_in, *model.encode(source, lengths)


def run(model: Seq2Seq, lengths: Tensor, create_graph: bool = False) -> list[Tensor]:
    """Return logits, weights and the gradients of a loss of both, by the encoded source, the state and all weights."""
    target_in, encoded, state = encode(model, lengths)
    logits, weights = model.decoder(target_in, state, encoded)
    loss = logits.square().sum() + weights.pow(3).sum()
    inputs = [encoded.annotations, encoded.keys, *state[:-1], *model.parameters()]
    return [logits, weights, *torch.autograd.grad(loss, inputs, create_graph=create_graph)]


def backend_of(model: Seq2Seq) -> str:
    """Return the backend of the decoder's layers in a pass over a whole target."""
    target_in, encoded, state = encode(model, LENGTHS)
    model.decoder(target_in, state, encoded)
    (backend,) = {stack.last_backend for stack in model.decoder.layers}
    return str(backend)


@padded
@layers
@cells
def test_results_and_gradients_equal_those_of_the_loop(cell: dict[str, Any], num_layers: int, lengths: Tensor) -> None:
    found = [run(make_model(backend, num_layers, cell), lengths) for backend in ("batched", "reference")]
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)


@cells
def test_second_derivatives_equal_those_of_the_loop(cell: dict[str, Any]) -> None:
    found = []
    for backend in ("batched", "reference"):
        model = make_model(backend, 2, cell)
        gradients = run(model, LENGTHS, create_graph=True)[2:]
        total = sum((gradient.square().sum() for gradient in gradients), torch.zeros(()))
        found.append(torch.autograd.grad(total, list(model.parameters())))
    torch.testing.assert_close(*found)


@cells
def test_gradients_are_those_of_finite_differences(cell: dict[str, Any]) -> None:
    decoder = make_model(stack={"hidden_size": 2} | cell, embedding_size=2).decoder
    target_in, mask = torch.tensor([[5, 6, 7]]), torch.tensor([[True, True, False]])
    names = [name for name, _ in decoder.named_parameters()]
    shapes = [(1, 3, 8), (1, 3, 2), (1, 2), (1, 2)]
    generator = torch.Generator().manual_seed(3)
    inputs = [torch.randn(shape, generator=generator, dtype=torch.double).requires_grad_() for shape in shapes]

    def function(annotations: Tensor, keys: Tensor, bottom: Tensor, top: Tensor, *weights: Tensor) -> Any:
        state = decoder.initial_state((bottom, top))
        arguments = target_in, state, EncoderOutput(annotations, keys, mask)
        return torch.func.functional_call(decoder, dict(zip(names, weights, strict=True)), arguments)

    assert torch.autograd.gradcheck(function, (*inputs, *decoder.parameters()))


@pytest.mark.parametrize("of", [0, 1], ids=["logits", "weights"])
def test_a_loss_of_one_result(of: int) -> None:
    found = []
    for backend in ("batched", "reference"):
        model = make_model(backend)
        target_in, encoded, state = encode(model, LENGTHS)
        loss = model.decoder(target_in, state, encoded)[of].pow(3).sum()
        found.append(torch.autograd.grad(loss, model.encoder.embedding.weight)[0])
    torch.testing.assert_close(*found)


def test_dropout_of_embeddings_and_outputs_draws_the_same_masks() -> None:
    options = {"embedding_dropout": 0.3, "output_dropout": 0.4, "word_dropout": 0.2}
    found = [run(make_model(backend, **options), LENGTHS) for backend in ("batched", "reference")]
    torch.testing.assert_close(*found)


def test_single_precision_is_as_exact_as_the_loop() -> None:
    exact, errors = run(make_model("reference"), LENGTHS)[2:], {}
    for backend in ("batched", "reference"):
        found = run(make_model(backend).float(), LENGTHS)[2:]
        errors[backend] = max(
            float((gradient - target).abs().max() / target.abs().max())
            for gradient, target in zip(found, exact, strict=True)
        )
    assert 0 < errors["batched"] < 2 * errors["reference"] < 1e-4


def test_frozen_weights_get_no_gradient_and_no_graph_is_kept_without_gradients() -> None:
    model = make_model()
    model.decoder.layers[1].weight_hh_l0.requires_grad_(False)
    target_in, encoded, state = encode(model, LENGTHS)
    logits, _ = model.decoder(target_in, state, encoded)
    logits.sum().backward()
    assert model.decoder.layers[1].weight_hh_l0.grad is None
    assert model.decoder.layers[0].weight_hh_l0.grad is not None
    with torch.no_grad():
        torch.testing.assert_close(model.decoder(target_in, state, encoded)[0], logits)


def test_auto_runs_all_steps_as_one_function() -> None:
    assert backend_of(make_model("auto")) == "batched"


@pytest.mark.parametrize(
    ("stack", "options"),
    [
        ({"cell": "lstm"}, {}),
        ({"layer_norm": True}, {}),
        ({"residual": True}, {}),
        ({"dropout": 0.2}, {}),
        ({}, {"attention": "general"}),
    ],
    ids=str,
)
def test_the_loop_runs_what_is_not_written_by_hand(stack: dict[str, Any], options: dict[str, Any]) -> None:
    # Double precision has no measurements, so that single steps of a GRU do not run batched.
    assert backend_of(make_model("auto", stack=stack, **options)) == "fused"


def test_the_loop_runs_under_autocast_and_for_own_tokens() -> None:
    model = make_model("auto").float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert backend_of(model) == "fused"
    target_in, encoded, state = encode(model, LENGTHS)
    own_tokens = torch.zeros_like(target_in, dtype=torch.bool)
    model.decoder.layers[0].last_backend = "none"
    model.decoder(target_in, state, encoded, own_tokens)
    assert model.decoder.layers[0].last_backend == "fused"
