"""A finished run that is measured: its network on the device, in the precision of the run."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rnnexp.core.errors import UserError, first_line
from rnnexp.export.read import ExportedFiles, find_exports, read_export
from rnnexp.latency.options import Options
from rnnexp.recurrent import RecurrentStack
from rnnexp.runs.build import Experiment
from rnnexp.runs.evaluation import load_finished
from rnnexp.tasks.precision_check import effective_precision
from rnnexp.tasks.registry import registered_kinds
from rnnexp.tasks.workload import Workload
from rnnexp.tracking.run_directory import RunDirectory

log = logging.getLogger(__name__)
DTYPES = {"16": torch.float16, "bf16": torch.bfloat16, "32": torch.float32, "64": torch.float64}
"""The first part of `trainer.precision` -> its type."""
WARMUP_CALLS = 3
"""Calls before the first round: they allocate memory, and the first one of a kernel prepares it."""


@dataclass
class Subject:
    """A finished run that is measured.

    Args:
        run: the run directory.
        weights: the checkpoint of the weights.
        model: the network in evaluation mode.
        workload: the calls to time.
        device: the device of the network.
        precision: `trainer.precision` of the run.
        tf32: whether float32 products on an NVIDIA GPU are rounded.
        num_parameters: the number of trained values.
        weight_bytes: the bytes of all weights, those that two layers share counted once; of an export, of its graphs.
        positions: name of a latency -> the number of calls so far, which go through the samples in circles.
        export: the files that are measured in place of the run; None for the run itself.
    """

    run: RunDirectory
    weights: Path
    model: nn.Module
    workload: Workload
    device: torch.device
    precision: str
    tf32: bool
    num_parameters: int
    weight_bytes: int
    positions: dict[str, int] = field(default_factory=dict)
    export: ExportedFiles | None = None

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute without gradients, in the precision of the run, within the block."""
        bits, _, kind = self.precision.partition("-")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.tf32
        with torch.inference_mode(), torch.autocast(self.device.type, DTYPES[bits], enabled=kind == "mixed"):
            yield

    @property
    def name(self) -> str:
        """The name of the directory of the run, or of the export."""
        return self.run.path.name if self.export is None else self.export.path.name

    def warm_up(self) -> None:
        """Call everything that will be timed a few times."""
        with self.computing():
            for each in (*(calls[0] for calls in self.workload.calls.values()), *self.workload.batches.values()):
                for _ in range(WARMUP_CALLS):
                    each()

    def describe_computation(self) -> dict[str, Any]:
        """Return the backends of the recurrent layers by latency, and the requested and effective precision."""
        backends: dict[str, str] = {}
        dtype = torch.float32
        for name, calls in self.workload.calls.items():
            seen, dtype = self._observe(calls[0])
            backends[name] = ", ".join(dict.fromkeys(seen))
        effective = effective_precision(dtype, self.precision)
        return {"backend": backends, "precision": {"requested": self.precision, "effective": effective}}

    def _observe(self, call: Callable[[], Any]) -> tuple[list[str], torch.dtype]:
        """Return the backends that the recurrent layers choose in a call, and the type of their outputs."""
        backends: list[str] = []
        dtypes: list[torch.dtype] = []

        def before(stack: RecurrentStack, inputs: tuple[Tensor, ...]) -> None:
            backends.append(stack.backend_for(inputs[0]))

        def after(_stack: RecurrentStack, _inputs: Any, result: tuple[Tensor, Any]) -> None:  # noqa: ANN401
            dtypes.append(result[0].dtype)

        stacks = [module for module in self.model.modules() if isinstance(module, RecurrentStack)]
        hooks = [stack.register_forward_pre_hook(before) for stack in stacks]
        hooks += [stack.register_forward_hook(after) for stack in stacks]
        try:
            with self.computing():
                call()
        finally:
            for hook in hooks:
                hook.remove()
        return backends, dtypes[0]


class Loaded(NamedTuple):
    """A run that is measured, with its exports."""

    run: Subject
    exports: Sequence[Subject]
    refused: Sequence[str]
    """the reasons why other exports are not measured"""


def load_subject(path: Path, device: torch.device, options: Options) -> Loaded:
    """Return a run with its weights on a device, and its exports, which run on a CPU only.

    Raises:
        UserError: for a run that is not done, a task without a workload, and see `load_finished`.
    """
    run = RunDirectory.of_finished_run(path)
    if unfinished := run.describe_unfinished():
        raise UserError(f"{unfinished}: only the network of a run that is done is measured")
    run.require_own_files(run.inference_file)
    experiment, weights = load_finished(run, None, {"data": options.data}, options.trust)
    # The run has set the threads of its config, and an export keeps those that it is loaded with.
    torch.set_num_threads(options.num_threads)
    precision = str(experiment.settings.precision)
    bits, _, kind = precision.partition("-")
    task = experiment.task.to(device).eval()
    if kind == "true":
        task.model.to(DTYPES[bits])
    tensors = (*task.model.parameters(), *task.model.buffers())
    subject = Subject(
        run,
        weights,
        task.model,
        _workload_of(experiment, task.model),
        device,
        precision,
        experiment.settings.tf32,
        task.num_parameters,
        sum(tensor.numel() * tensor.element_size() for tensor in tensors),
    )
    exports, refused = list[Subject](), list[str]()
    for file in find_exports(run) if device.type == "cpu" else []:
        try:
            exports.append(_of_export(read_export(run, file), subject, experiment, options))
        except UserError as error:
            refused.append(str(error))
    return Loaded(subject, exports, refused)


def _of_export(export: ExportedFiles, subject: Subject, experiment: Experiment, options: Options) -> Subject:
    """Return an export of a run as it is measured, warmed up: its graphs, called with tensors, in their precision.

    Raises:
        UserError: for graphs that cannot be read or run.
    """
    network = export.load(options.trust)
    found = replace(
        subject,
        weights=subject.run.path / export.weights,
        model=network,
        workload=_workload_of(experiment, network),
        precision="32-true",
        weight_bytes=export.num_bytes,
        positions={},
        export=export,
    )
    try:
        found.warm_up()
    # The libraries of the formats raise errors of many kinds, for a graph of another network among others.
    except Exception as error:
        raise UserError(
            f"{export.path} cannot be run ({type(error).__name__}: {first_line(error)}): remove it, and export the run "
            "again"
        ) from None
    return found


def _workload_of(experiment: Experiment, network: nn.Module) -> Workload:
    kind = experiment.task.kind
    if kind.workload is None:
        known = ", ".join(each.name for each in registered_kinds() if each.workload is not None)
        raise UserError(
            f"{experiment.settings.directory.path}: the task {kind.name!r} names no workload to time; these do: {known}"
        )
    workload: Workload = resolve_name(kind.workload)(experiment.task, experiment.datamodule, network)
    return workload
