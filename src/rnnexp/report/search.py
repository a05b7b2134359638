"""The section of a report about a search: the path of its best value, and which keys mattered."""

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rnnexp.core.errors import UserError, missing_extra_errors
from rnnexp.report.figures.search_path import search_path
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.render.document import Block, Paragraph, Table
from rnnexp.report.section import FigureWriter, left_out

PATH = (
    "The {label} of each trial of the search, in their order, and the best so far. Trials without a value are at the "
    "bottom: they were pruned, diverged or failed, or have not ended."
)
FEW_TRIALS = 50
"""The number of trials below which the best tenth has fewer than five, and importance is unstable."""


def search_blocks(group: ComparisonGroup, figures: FigureWriter) -> list[Block]:
    """Return the figure of the best value, and for each search directory the importance of the searched keys.

    A group that is not of a search has none.
    """
    if not group.is_search:
        return []
    shown = figures.write(partial(search_path, group), "search_path", PATH.format(label=group.main.label))
    blocks: list[Block] = [shown] if shown else []
    sweeps = dict.fromkeys(sweep for run in group.runs if (sweep := run.sweep) is not None)
    for journal in (sweep / "study" / "journal.log" for sweep in sweeps):
        if journal.is_file():
            try:
                with missing_extra_errors("The importance of the keys", "optuna"):
                    blocks += importance_blocks(journal)
            except UserError as error:
                blocks.append(Paragraph(f"{error}"))
            except Exception as error:
                blocks.append(left_out(f"the importance of the keys in {journal}", error))
    return blocks


def importance_blocks(journal: Path) -> Sequence[Block]:
    """Return the importance of each searched key by Optuna's PED-ANOVA (Watanabe et al., 2023, arXiv:2304.10255).

    Args:
        journal: the journal file of the study.

    Raises:
        ModuleNotFoundError: if Optuna is not installed.
        Exception: if the file cannot be read, or has too few trials.
    """
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    blocks: list[Block] = []
    for name in optuna.get_all_study_names(storage):
        study = optuna.load_study(study_name=name, storage=storage)
        number = len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))
        if number < 2:
            blocks.append(Paragraph(f"The importance of the keys is not known from {number} complete trials."))
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        unstable = f" With fewer than {FEW_TRIALS} it is unstable." if number < FEW_TRIALS else ""
        blocks.append(
            Paragraph(
                f"The importance of each key for a value among the best tenth, by Optuna's PED-ANOVA evaluator from "
                f"{number} complete trials; the sum is 1.{unstable}"
            )
        )
        rows = [[key, f"{value:.2f}"] for key, value in found.items()]
        blocks.append(Table(["key", "importance"], rows, frozenset({"importance"})))
    return blocks
