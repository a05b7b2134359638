"""The exports of a run, read from their directories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import read_json
from rnnexp.export.formats import choose_format
from rnnexp.export.parts import Export
from rnnexp.inference.loading import load_predictor
from rnnexp.tasks.registry import kind_of_target, load_function
from rnnexp.tracking.run_directory import RunDirectory

DESCRIPTION = "export.json"


@dataclass(frozen=True)
class ExportedFiles:
    """An export of a run.

    Args:
        run: the directory of the run.
        path: the directory of the export.
        description: the content of export.json.
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
        return {
            **{name: self.description[name] for name in taken},
            "metrics": check["metrics"],
            "metrics_of_run": check["metrics_of_run"],
            "largest_difference": check["largest_difference"],
        }

    def load(self, trust: Sequence[str]) -> nn.Module:
        """Return a module that computes with the graphs what the network of the run does.

        Args:
            trust: modules whose code may be called, see `rnnexp.runs.frozen.config`.

        Raises:
            UserError: for a package that is not installed, and graphs that are missing.
        """
        chosen = choose_format(self.description["format"], self.description["quantize"])
        # The checkpoint of the run has what is not in the graphs: sizes, and the initial state.
        predictor = load_predictor(self.run.path, None, trust)
        kind = kind_of_target(self.run.read_config()["task"]["_target_"])
        export: Export = load_function(str(kind.export))(predictor)
        runs = {}
        for part in export.parts(chosen.run_layer):
            file = self.path / f"{part.name}{chosen.ending}"
            if not file.is_file():
                raise UserError(f"{file} is missing: remove {self.path}, and export the run again")
            runs[part.name] = chosen.read(part, file)
        return export.stand_in(runs).eval()


def read_exports(run: RunDirectory) -> list[ExportedFiles]:
    """Return the exports of a run in their order by name.

    Raises:
        UserError: for a description that is damaged, or that of another run.
    """
    found = []
    for file in sorted(run.exports.glob(f"[!.]*/{DESCRIPTION}")):
        description = read_json(file)
        if description.get("config_hash") != run.read_status().get("config_hash"):
            raise UserError(f"{file} is about another config than this run: remove {file.parent}, and export it again")
        found.append(ExportedFiles(run, file.parent, description))
    return found
