"""The exports of a run, read from their directories."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from torch import nn

from rnnexp.core.errors import UserError, first_line
from rnnexp.core.files.atomic import read_json
from rnnexp.core.validation import is_file_name
from rnnexp.export.formats import FORMATS, choose_format
from rnnexp.export.parts import Export
from rnnexp.inference.loading import load_predictor
from rnnexp.runs.frozen.config import is_within
from rnnexp.runs.frozen.inputs import sha256_of, stamp_of
from rnnexp.tasks.inference_record import require_exports
from rnnexp.tasks.registry import kind_of_target
from rnnexp.tracking.run_directory import RunDirectory

DESCRIPTION = "export.json"
TORCH_EXPORT = "torch.export"
CHECKED = ("changed", "metrics", "metrics_of_run", "largest_difference")
"""The keys of `check` that the record of a measurement repeats."""


@dataclass(frozen=True)
class ExportedFiles:
    """An export of a run.

    Args:
        run: the directory of the run.
        path: the directory of the export.
        description: the content of export.json, see `_require_description`.
    """

    run: RunDirectory
    path: Path
    description: Mapping[str, Any]

    @property
    def weights(self) -> str:
        """The checkpoint, relative to the run directory."""
        return str(self.description["weights"])

    @property
    def num_bytes(self) -> int:
        """The bytes of its graphs."""
        return sum((self.path / name).stat().st_size for name in self.description["graphs"])

    def facts(self) -> dict[str, Any]:
        """Return what the record of a measurement says about the export."""
        taken = ("format", "quantize", "weights")
        check = self.description["check"]
        return {name: self.description[name] for name in taken} | {name: check[name] for name in CHECKED}

    def load(self, trust: Sequence[str]) -> nn.Module:
        """Return a module that computes with the graphs what the network of the run does.

        Args:
            trust: modules whose code may be called, see `rnnexp.runs.frozen.config`; with `torch.export` among them
                programs of torch.export are read, which PyTorch unpickles.

        Raises:
            UserError: for a package that is not installed, graphs that are missing or damaged, and a program of
                torch.export that is not trusted.
        """
        name = self.description["format"]
        chosen = choose_format(name, self.description["quantize"])
        if name == "torch_export" and not any(is_within(TORCH_EXPORT, module) for module in trust):
            raise UserError(
                f"{self.path}: a program of torch.export may execute code when it is read: add --trust {TORCH_EXPORT} "
                "if it is yours"
            )
        # The checkpoint of the run has what is not in the graphs: sizes, and the initial state.
        predictor = load_predictor(self.run.path, None, trust)
        kind = kind_of_target(self.run.read_config()["task"]["_target_"])
        export: Export = resolve_name(str(kind.export))(predictor)
        runs = {}
        for part in export.parts(chosen.run_layer):
            file = self.path / f"{part.name}{chosen.ending}"
            if not file.is_file():
                raise UserError(f"{file} is missing: remove {self.path}, and export the run again")
            try:
                runs[part.name] = chosen.read(part, file)
            # The libraries of the formats raise errors of many kinds.
            except Exception as error:
                raise UserError(
                    f"{file} cannot be read ({type(error).__name__}: {first_line(error)}): remove {self.path}, and "
                    "export the run again"
                ) from None
        return export.stand_in(runs).eval()


def find_exports(run: RunDirectory) -> list[Path]:
    """Return the description of each export of a run, in the order of their names."""
    return sorted(run.exports.glob(f"[!.]*/{DESCRIPTION}"))


def read_export(run: RunDirectory, file: Path) -> ExportedFiles:
    """Return the export of a run with a description.

    Raises:
        UserError: for a description that is damaged, or that of another run.
    """
    description = read_json(file)
    if description.get("config_hash") != run.read_status().get("config_hash"):
        raise UserError(f"{file} is about another config than this run: remove {file.parent}, and export it again")
    _require_description(description, file)
    weights = run.path / description["weights"]
    stamp = stamp_of(weights)
    if stamp is None or sha256_of(weights, stamp) != description["weights_sha256"]:
        raise UserError(f"{file} is about other weights than {weights} has: remove {file.parent}, and export it again")
    found = ExportedFiles(run, file.parent, description)
    # What the record of a measurement would be refused for.
    require_exports({file.parent.name: found.facts()}, file)
    return found


def _require_description(description: Mapping[str, Any], file: Path) -> None:
    """Raise UserError for a field that is missing or of another kind than the program writes."""
    graphs, check = description.get("graphs"), description.get("check")
    is_valid = {
        "format": description.get("format") in tuple(FORMATS),
        "quantize": description.get("quantize") in (None, "int8"),
        "weights": isinstance(description.get("weights"), str),
        "weights_sha256": isinstance(description.get("weights_sha256"), str),
        "graphs": isinstance(graphs, Mapping)
        and all(is_file_name(name) and os.path.isfile(file.parent / name) for name in graphs),  # noqa: PTH113
        "check": isinstance(check, Mapping) and set(CHECKED) <= set(check),
    }
    if damaged := [name for name, valid in is_valid.items() if not valid]:
        raise UserError(
            f"{file}: {damaged[0]} is not that of an export: remove {file.parent}, and export the run again"
        )
