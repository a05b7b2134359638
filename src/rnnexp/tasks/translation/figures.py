"""The figures of a translation run."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from rnnexp.tasks.base import Task
from rnnexp.tasks.examples import spread
from rnnexp.tasks.translation.metrics import agreement, exact_matches, length_bucket, share_by
from rnnexp.tasks.translation.plots import accuracy_by_distance, accuracy_grid, attention_map, scores_by_length
from rnnexp.tasks.translation.task import TranslationTask
from rnnexp.tasks.translation.translator import Translator
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.translations_file import read_translations

NUM_ATTENTION_MAPS = 4


def draw_translations(run: RunDirectory, task: Task, datamodule: Any) -> dict[str, Figure]:  # noqa: ANN401
    """Return the figures of test scores and of attention."""
    return draw_scores(run) | draw_attention(task, datamodule)


def draw_attention(task: Task, datamodule: Any) -> dict[str, Figure]:  # noqa: ANN401
    """Return the attention maps of a few test sentences, the same ones in every run."""
    assert isinstance(task, TranslationTask)
    if not task.model.decoder.attention.has_weights:
        return {}
    sources = datamodule.sources("test")
    chosen = [sources[place] for place in spread(len(sources), NUM_ATTENTION_MAPS)]
    task.model.eval()
    translator = Translator([task.model], task.tokenizers, task.beam_size, 1, task.length_penalty, task.limits)
    figures = {}
    for number, (sentence, translated) in enumerate(
        zip(chosen, translator.translate(chosen, align=True), strict=True), start=1
    ):
        best = translated.candidates[0]
        if translated.weights is not None:
            figures[f"attention_{number}"] = attention_map(translated.tokens, best.tokens, translated.weights, sentence)
    return figures


def draw_scores(run: RunDirectory) -> dict[str, Figure]:
    """Return the test scores by length of the source and, if the corpus has tags, by phenomenon and distance."""
    if not run.translations_file.exists():
        return {}
    rows = read_translations(run.translations_file)
    if not rows:
        return {}
    title = run.path.name
    right = exact_matches([row["translation"] for row in rows], [row["reference"] for row in rows])
    lengths = [length_bucket(row["num_source_tokens"]) for row in rows]
    figures = {"exact_match_by_length": scores_by_length(share_by(lengths, right), f"{title}: exact match")}
    if "phenomenon" in rows[0]:
        shares = agreement_by_phenomenon(rows)
        figures["agreement"] = accuracy_grid(shares, f"{title}: the word that agrees is right")
        figures["agreement_by_distance"] = accuracy_by_distance(
            {title: over_phenomena(shares)}, "the word that agrees is right"
        )
    return figures


def agreement_by_phenomenon(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, int], tuple[float, int]]:
    """Return the share of pairs whose agreeing word is right, and their number, by (phenomenon, distance)."""
    right = agreement(*([row[key] for row in rows] for key in ("translation", "reference", "place")))
    return share_by([(row["phenomenon"], row["distance"]) for row in rows], right)


def over_phenomena(shares: dict[tuple[str, int], tuple[float, int]]) -> dict[int, tuple[float, int]]:
    """Return shares and numbers by distance, over all phenomena together; each pair counts once."""
    right: dict[int, float] = defaultdict(float)
    count: dict[int, int] = defaultdict(int)
    for (_phenomenon, distance), (share, number) in shares.items():
        right[distance] += share * number
        count[distance] += number
    return {distance: (right[distance] / count[distance], count[distance]) for distance in sorted(count)}
