"""What each run answered to each test sample, read from its directory."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnexp.core.errors import UserError
from rnnexp.metrics.translation import exact_matches
from rnnexp.report.records.runs import Run


@dataclass(frozen=True)
class Predictions:
    """Of a classification test, in the set's order."""

    labels: NDArray[np.int64]
    """[samples]"""
    predicted: NDArray[np.int64]
    """[samples]"""

    @property
    def right(self) -> NDArray[np.bool_]:
        """Bool [samples]."""
        return np.equal(self.labels, self.predicted)

    def same_test(self, other: object) -> bool:
        """Whether both were asked the same, as far as the labels tell."""
        return isinstance(other, Predictions) and np.array_equal(self.labels, other.labels)

    def shown(self, sample: int) -> str:
        return str(self.predicted[sample])


@dataclass(frozen=True)
class Translations:
    """Of a translation test, in the corpus' order."""

    sources: Sequence[str]
    references: Sequence[str]
    translations: Sequence[str]
    distances: Sequence[int]
    """in words, between what must agree; empty of a corpus that does not tell"""

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each is its reference, bool [sentences]."""
        return np.array(exact_matches(self.translations, self.references), dtype=bool)

    def same_test(self, other: object) -> bool:
        """Whether both were asked the same."""
        return isinstance(other, Translations) and (self.sources, self.references) == (other.sources, other.references)

    def shown(self, sample: int) -> str:
        return self.translations[sample]


def read_predictions(run: Run) -> Predictions:
    """Raises UserError for a file that is missing or cannot be read."""
    file = run.files.predictions_file
    if not file.is_file():
        raise UserError(f"{file} is missing")
    # Only here: everything else does without torch.
    import torch

    try:
        content = torch.load(file, weights_only=True, map_location="cpu")
        labels, predicted = (content[key].numpy() for key in ("labels", "predicted"))
    # torch raises whatever it stumbles over in a file that was cut short.
    except Exception as error:
        raise UserError(f"{file} cannot be read ({type(error).__name__}); was it cut short?") from None
    return Predictions(labels, predicted)


def read_translations(run: Run) -> Translations:
    """Raises UserError for a file that is missing or cannot be read."""
    file = run.files.translations_file
    try:
        rows: list[Mapping[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
        sources, references, translations = (
            [row[key] for row in rows] for key in ("source", "reference", "translation")
        )
    except FileNotFoundError:
        raise UserError(f"{file} is missing") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} cannot be read ({type(error).__name__}); was it cut short?") from None
    if not rows:
        raise UserError(f"{file} is empty")
    distances = [row["distance"] for row in rows if "distance" in row]
    return Translations(sources, references, translations, distances if len(distances) == len(rows) else [])


READERS: Mapping[str, Callable[[Run], Predictions | Translations]] = {
    "classification": read_predictions,
    "translation": read_translations,
}
"""By task."""
