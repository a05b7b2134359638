"""A check before training whether a cell can run on a device at a precision."""

import copy
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Trainer

from rnnexp.compat.torch_cpu import has_instructions_for
from rnnexp.core.errors import UnsupportedError, first_line, is_out_of_memory
from rnnexp.core.user_code import describe_user_code
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.base import Task


class Precision(NamedTuple):
    """The precision that was requested, and the one in which the recurrence computes."""

    requested: str
    effective: str


def probe_precision(trainer: Trainer, task: Task, batch: Any, requested: str) -> Precision:  # noqa: ANN401
    """Run one tiny forward and backward pass of the task's model as the trainer would run it.

    The backend that the whole batch chooses is noted in the stack of the task. Autocast has no effect on some kernels:
    a mixed precision is then requested, and 32-true is effective.

    Args:
        batch: a batch of the task's type on the trainer's device.
        requested: the precision in the config of the trainer.

    Raises:
        UnsupportedError: with the reason, when the combination fails or Lightning has replaced the precision.
    """
    plugin = trainer.precision_plugin
    device = trainer.strategy.root_device
    what = f"cell {task.stack.cell_name!r} (backend {task.stack.backend}) on {device.type} at precision {requested}"
    if plugin.precision != requested:
        raise UnsupportedError(f"{what} is unsupported: Lightning would run {plugin.precision} instead")
    model = plugin.convert_module(copy.deepcopy(task.model)).to(device).train()
    observed: list[torch.dtype] = []
    stack = next(module for module in model.modules() if isinstance(module, RecurrentStack))
    stack.register_forward_hook(lambda _module, _inputs, result: observed.append(result[0].dtype))
    tiny, whole = (plugin.convert_input(each) for each in (task.tiny_batch(batch), batch))
    # Warnings of kernels belong to the training run, not to this check.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with plugin.forward_context():
                loss = task.logits(model, tiny).float().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        except RuntimeError as error:
            if is_out_of_memory(error) or describe_user_code(error):
                raise
            raise UnsupportedError(f"{what} is unsupported here: {first_line(error)}") from error
    model.eval()  # without dropout, which would draw random numbers
    with plugin.forward_context():
        task.stack.last_backend = _backend_for(stack, lambda: task.logits(model, whole))
    return Precision(requested, effective_precision(observed[0], requested))


def is_emulated(requested: str, device: torch.device) -> bool:
    """Return whether a device lacks instructions for the numbers of a precision, so that it may be far slower."""
    dtype = {"bf16": torch.bfloat16, "16": torch.float16}.get(requested.split("-")[0])
    if dtype is None:
        return False
    if device.type == "cpu":
        return not has_instructions_for(dtype)
    # Every GPU that torch supports has instructions for float16, those before compute capability 8.0 none for bfloat16.
    return (
        device.type == "cuda"
        and dtype == torch.bfloat16
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    )


def effective_precision(computed: torch.dtype, requested: str) -> str:
    """Return the precision of a recurrence whose outputs have a type: the requested one, or that of the type."""
    bits = {torch.float64: "64", torch.float32: "32", torch.bfloat16: "bf16", torch.float16: "16"}[computed]
    return requested if requested.startswith(f"{bits}-") else f"{bits}-true"


def _backend_for(stack: RecurrentStack, forward: Callable[[], object]) -> str:
    """Return the backend that a forward pass of a model chooses. The pass ends before the stack runs."""
    chosen: list[str] = []

    def choose(module: RecurrentStack, inputs: tuple[torch.Tensor, ...]) -> None:
        chosen.append(module.backend_for(inputs[0]))
        raise _ChosenError

    with stack.register_forward_pre_hook(choose), suppress(_ChosenError):
        forward()
    return chosen[0]


class _ChosenError(Exception):
    """The backend is known."""
