"""Lengths, directions, states, checkpoints and precision of the recurrent stack."""

import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rnnexp.recurrent import CELLS, RecurrentStack
from support.cells import has_backend

CASES = [
    (cell, backend)
    for cell in CELLS
    for backend in ("fused", "batched", "parallel", "reference")
    if backend == "reference" or has_backend(cell, backend)
]
cases = pytest.mark.parametrize(("cell", "backend"), CASES)
LENGTHS = torch.tensor([7, 1, 4, 6, 2])


def stack_of(cell: str, **options: Any) -> RecurrentStack:
    torch.manual_seed(0)
    return RecurrentStack(**{"cell": cell, "input_size": 3, "hidden_size": 4, "num_layers": 2} | options).double()


def sequences() -> torch.Tensor:
    return torch.randn(5, 7, 3, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def test_sizes() -> None:
    stack = RecurrentStack("lstm", input_size=3, hidden_size=4, num_layers=5, bidirectional=True)
    assert (stack.input_size, stack.hidden_size, stack.output_size, stack.directions) == (3, 4, 8, 2)
    assert (stack.num_layers, stack.num_states, stack.state_size) == (5, 2, 5 * 2 * 4 * 2)
    assert (stack.cell_name, stack.backend, stack.cell_options) == (
        "lstm",
        "auto",
        {"forget_bias": 1.0, "chrono": None, "layer_norm": False, "ur_gates": False},
    )
    assert RecurrentStack("gru", 3, 4).cell_options["reset"] == "after"
    before = RecurrentStack("gru", 3, 4, cell_options={"reset": "before"})
    assert (before.backend, before.cell_options["reset"]) == ("auto", "before")
    assert "lstm, 3 -> 8, num_layers=5, directions=2, backend=auto" in repr(stack)
    stack(torch.zeros(1, 2, 3))
    assert (stack.backend, stack.last_backend) == ("auto", "fused")


@pytest.mark.parametrize(
    "options", [{}, {"layer_norm": True, "residual": True, "learned_initial_state": True}], ids=str
)
@pytest.mark.parametrize("bidirectional", [False, True])
@cases
def test_padded_equals_each_sequence_alone(
    cell: str, bidirectional: bool, backend: str, options: dict[str, Any]
) -> None:
    stack = stack_of(cell, bidirectional=bidirectional, backend=backend, **options)
    for norm in stack.norms:
        nn.init.normal_(norm.bias)  # with a bias, outputs after the end are not zero by themselves
    x = sequences()
    outputs, state = stack(x, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone, alone_state = stack(x[row : row + 1, :length])
        torch.testing.assert_close(outputs[row, :length], alone[0])
        assert not outputs[row, length:].any()
        for tensor, alone_tensor in zip(state, alone_state, strict=True):
            torch.testing.assert_close(tensor[:, row], alone_tensor[:, 0])


@pytest.mark.parametrize("padding", [torch.nan, torch.inf])
@cases
def test_values_of_the_padding_have_no_effect(cell: str, backend: str, padding: float) -> None:
    stack = stack_of(cell, bidirectional=True, backend=backend)
    x = sequences()
    for row, length in enumerate(LENGTHS.tolist()):
        x[row, length:] = padding
    outputs, state = stack(x, LENGTHS)
    sum(tensor.sum() for tensor in (outputs, *state)).backward()
    assert outputs.isfinite().all()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in stack.parameters())


@cases
def test_bidirectional_equals_two_opposite_scans(cell: str, backend: str) -> None:
    both = stack_of(cell, num_layers=1, bidirectional=True, backend=backend)
    forwards, backwards = (stack_of(cell, num_layers=1, backend=backend) for _ in range(2))
    weights = both.state_dict()
    forwards.load_state_dict({key: value for key, value in weights.items() if not key.endswith("_reverse")})
    backwards.load_state_dict(
        {key.removesuffix("_reverse"): value for key, value in weights.items() if key.endswith("_reverse")}
    )
    x = sequences()
    outputs, state = both(x)
    there, there_state = forwards(x)
    back, back_state = backwards(x.flip(1))
    torch.testing.assert_close(outputs, torch.cat([there, back.flip(1)], dim=2))
    for tensor, *halves in zip(state, there_state, back_state, strict=True):
        torch.testing.assert_close(tensor, torch.cat(halves, dim=2))


@cases
def test_a_carried_state_continues_the_run(cell: str, backend: str) -> None:
    stack = stack_of(cell, backend=backend)
    x = sequences()
    outputs, state = stack(x)
    first, carried = stack(x[:, :3])
    second, final = stack(x[:, 3:], state=carried)
    torch.testing.assert_close(torch.cat([first, second], dim=1), outputs)
    torch.testing.assert_close(final, state)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["gru", "lstm", "srn"])
def test_checkpoints_work_in_torch_and_every_backend(cell: str, bidirectional: bool, tmp_path: Path) -> None:
    bare = {"srn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell](3, 4, 2, batch_first=True, bidirectional=bidirectional)
    bare.double()
    ways = [
        stack_of(cell, bidirectional=bidirectional),
        stack_of(cell, bidirectional=bidirectional, dropout=0.5, reproducible=True).eval(),
        stack_of(cell, bidirectional=bidirectional, backend="reference"),
    ]
    file = tmp_path / "weights.pt"
    torch.save(bare.state_dict(), file)
    expected, _ = bare(sequences())
    shapes = [(name, parameter.shape) for name, parameter in bare.named_parameters()]
    for stack in ways:
        stack.load_state_dict(torch.load(file, weights_only=True))
        assert [(name, parameter.shape) for name, parameter in stack.named_parameters()] == shapes
        torch.testing.assert_close(stack(sequences())[0], expected)
        torch.save(stack.state_dict(), file)
    bare.load_state_dict(torch.load(file, weights_only=True))


def test_optimizer_states_work_in_every_backend() -> None:
    options = {"layer_norm": True, "learned_initial_state": True}
    stacks = [stack_of("gru", backend=backend, **options) for backend in ("fused", "reference")]
    optimizers = [torch.optim.Adam(stack.parameters(), lr=0.1) for stack in stacks]
    stacks[1].load_state_dict(stacks[0].state_dict())
    for step, target in enumerate([0, 1, 0, 1]):
        if step:
            optimizers[target].load_state_dict(copy.deepcopy(optimizers[1 - target].state_dict()))
            stacks[target].load_state_dict(stacks[1 - target].state_dict())
        optimizers[target].zero_grad()
        stacks[target](sequences())[0].square().sum().backward()
        optimizers[target].step()
    alone = stack_of("gru", **options)
    optimizer = torch.optim.Adam(alone.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        alone(sequences())[0].square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(dict(stacks[1].named_parameters()), dict(alone.named_parameters()))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda stack: pickle.loads(pickle.dumps(stack))], ids=["deepcopy", "pickle"]
)
@pytest.mark.parametrize("cell", CELLS)
def test_a_copy_computes_the_same_and_shares_no_weights(cell: str, copied: Any) -> None:
    stack = stack_of(cell, layer_norm=True)
    twin = copied(stack)
    torch.testing.assert_close(twin(sequences()), stack(sequences()))
    with torch.no_grad():
        twin.weight_ih_l0.zero_()
    assert stack.weight_ih_l0.any()
    assert not torch.equal(twin(sequences())[0], stack(sequences())[0])


def test_replaced_weights_are_used() -> None:
    stack, other = stack_of("gru"), stack_of("gru", initialization="pytorch")
    expected = other(sequences())[0]
    stack.load_state_dict(other.state_dict(), assign=True)
    torch.testing.assert_close(stack(sequences())[0], expected)
    functional = torch.func.functional_call(stack_of("gru"), dict(other.named_parameters()), (sequences(),))
    torch.testing.assert_close(functional[0], expected)


@pytest.mark.parametrize("bidirectional", [False, True])
@cases
def test_bfloat16_is_close_to_float32(cell: str, backend: str, bidirectional: bool) -> None:
    stack = stack_of(cell, backend=backend, bidirectional=bidirectional)
    expected, expected_state = stack(sequences(), LENGTHS)
    stack.to(torch.bfloat16)
    outputs, state = stack(sequences().bfloat16(), LENGTHS)
    assert {tensor.dtype for tensor in (outputs, *state)} == {torch.bfloat16}
    torch.testing.assert_close(outputs.double(), expected, atol=0.03, rtol=0.03)
    torch.testing.assert_close(state[0].double(), expected_state[0], atol=0.03, rtol=0.03)
    stack(sequences().bfloat16(), state=state)[0].sum().backward()


@pytest.mark.parametrize(
    "options", [{}, {"layer_norm": True, "residual": True, "learned_initial_state": True}], ids=str
)
@pytest.mark.parametrize(
    ("cell", "backend"),
    # Support for a fused LSTM under autocast depends on the processor (pytorch/pytorch#88136).
    [case for case in CASES if case != ("lstm", "fused") and case[1] != "batched"],
)
def test_autocast_is_close_to_float32(cell: str, backend: str, options: dict[str, Any]) -> None:
    stack = stack_of(cell, backend=backend, **options).float()
    x = sequences().float()
    expected, _ = stack(x, LENGTHS)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = stack(x, LENGTHS)
        again, _ = stack(x, LENGTHS, state=state)
    tolerance = 0.1 if options else 0.03  # layer norm amplifies rounding errors
    torch.testing.assert_close(outputs.float(), expected, atol=tolerance, rtol=tolerance)
    (outputs.float().sum() + again.float().sum()).backward()
    assert all(parameter.grad is not None for parameter in stack.parameters())


@pytest.mark.parametrize("lengths", [[0, 1, 2, 3, 4], [1, 2, 3, 4, 8]])
def test_lengths_outside_the_batch(lengths: list[int]) -> None:
    low, high = min(lengths), max(lengths)
    with pytest.raises(
        ValueError, match=rf"lengths must lie between 1 and the 7 steps of x, not between {low} and {high}"
    ):
        stack_of("gru")(sequences(), torch.tensor(lengths))


@pytest.mark.parametrize(
    ("lengths", "found"),
    [(torch.ones(5), r"torch\.float32 \[5\] on cpu"), (torch.tensor([1, 2]), r"torch\.int64 \[2\] on cpu")],
)
def test_lengths_of_the_wrong_kind(lengths: torch.Tensor, found: str) -> None:
    with pytest.raises(ValueError, match=rf"lengths must be a torch\.int64 tensor \[5\] on the CPU, not {found}"):
        stack_of("gru")(sequences(), lengths)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 4), (0, 7, 3), (5, 0, 3)])
def test_input_of_the_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x must be \[batch, time, 3\], none of them 0, not \["):
        stack_of("gru")(torch.zeros(shape, dtype=torch.double))


def test_state_of_the_wrong_shape() -> None:
    stack = stack_of("lstm")
    right = torch.zeros(2, 5, 4, dtype=torch.double)
    wrong: list[Any] = [(right,), right, (right, right[:1]), [right, right]]
    for state in wrong:
        with pytest.raises(ValueError, match=r"state must be a tuple of 2 tensors \[2, 5, 4\]"):
            stack(sequences(), state=state)


def test_dropout_has_no_effect_with_one_layer() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stack = stack_of("gru", num_layers=1, dropout=0.5)
    torch.testing.assert_close(stack.train()(sequences()), stack.eval()(sequences()))


@pytest.mark.gpu
@pytest.mark.parametrize("options", [{}, {"layer_norm": True}], ids=["one kernel", "one per layer"])
@pytest.mark.parametrize("cell", ["srn", "lstm", "gru"])
def test_weights_stay_in_one_block_for_cudnn(
    monkeypatch: pytest.MonkeyPatch, cell: str, options: dict[str, Any]
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    moved = stack_of(cell, bidirectional=True, **options).float().cuda()
    assigned = stack_of(cell, bidirectional=True, **options)
    weights = {key: value.float().cuda().clone() for key, value in moved.state_dict().items()}
    assigned.load_state_dict(weights, assign=True)
    x = sequences().float().cuda()
    expected = moved(x)
    for stack in (copy.deepcopy(moved), pickle.loads(pickle.dumps(moved)), assigned):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*not part of single contiguous chunk of memory")
            torch.testing.assert_close(stack(x), expected)
    torch.testing.assert_close(moved.cpu()(x.cpu())[0], expected[0].cpu(), atol=5e-4, rtol=0)
