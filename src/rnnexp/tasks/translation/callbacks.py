"""Callbacks that save translations: of the test, to compare runs sentence by sentence, and of a few samples to read."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from rnnexp.core.files.atomic import write_text
from rnnexp.loggers.base import run_loggers
from rnnexp.tasks.base import Task
from rnnexp.tasks.callbacks import ResultWriter, TaskCallback
from rnnexp.tasks.examples import spread
from rnnexp.tasks.translation.task import TranslationTask


class TranslationWriter(ResultWriter):
    """A callback that saves every translation of the test, a JSON object per line in the order of the corpus.

    Args:
        path: the file to write: `index`, `source`, `reference`, `translation`, the fields of
            `rnnexp.tasks.translation.scoring.Translation`, and the pair's tags in the corpus.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def fits(self, task: Task) -> bool:
        return isinstance(task, TranslationTask)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        sources, references, tags = data.sources("test"), data.references("test"), data.tags("test")
        lines = []
        for each in pl_module.translations["test"]:  # type: ignore[index]
            row = {
                "index": each.pair,
                "source": sources[each.pair],
                "reference": references[each.pair],
                "translation": each.text,
                "score": each.score,
                "loss": each.loss,
                "num_source_tokens": each.num_source_tokens,
                "num_target_tokens": each.num_target_tokens,
                **{name: values[each.pair] for name, values in tags.items()},
            }
            lines.append(json.dumps(row, ensure_ascii=False))
        write_text(self.path, "".join(f"{line}\n" for line in lines))


class SampleWriter(TaskCallback):
    """A callback that saves the translations of a few validation sentences after each epoch: a CSV file, a W&B table.

    Args:
        path: the file to write: `epoch`, `source`, `reference`, `translation`.
        num_sentences: the number of sentences, spread evenly over those that validation translates.
    """

    COLUMNS = ("epoch", "source", "reference", "translation")

    def __init__(self, path: str, num_sentences: int) -> None:
        self.path = Path(path)
        self.num_sentences = num_sentences
        self._rows: list[list[str | int]] = []

    def fits(self, task: Task) -> bool:
        return isinstance(task, TranslationTask)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._rows = [list(row) for row in state_dict["rows"]]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        # A run that continues in a new directory may have no validation left.
        if self._rows and trainer.is_global_zero:
            self._write()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        translations: Sequence[Any] = pl_module.translations.get("val", ())  # type: ignore[operator, union-attr]
        if trainer.sanity_checking or not trainer.is_global_zero or not translations:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        sources, references = data.sources("val"), data.references("val")
        for each in (translations[place] for place in spread(len(translations), self.num_sentences)):
            row: list[str | int] = [
                trainer.current_epoch + 1,
                sources[each.pair],
                references[each.pair],
                each.text,
            ]
            self._rows.append(row)
        self._write()
        for logger in run_loggers(trainer.loggers):
            logger.log_rows("val/samples", self.COLUMNS, self._rows)

    def _write(self) -> None:
        table = io.StringIO()
        csv.writer(table).writerows([self.COLUMNS, *self._rows])
        write_text(self.path, table.getvalue())
