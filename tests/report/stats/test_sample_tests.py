"""Predictions of networks for the same samples are read, compared, and combined over seeds."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest
from scipy import stats

from rnnexp.core.errors import UserError
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.runs import Run, find_runs, read_run
from rnnexp.report.section import answer
from rnnexp.report.stats.ranking import BEST, EVEN, UNSURE, UNSURE_OF_ONE, UNTESTED, WORSE, compare_with_best
from rnnexp.report.stats.sample_tests import compare_samples
from rnnexp.report.stats.significance import PairedTestResult, holm, paired_t
from rnnexp.tasks.answers import SampleTest, mcnemar
from rnnexp.tasks.classification.answers import PredictedClasses
from rnnexp.tasks.classification.answers import read as read_predictions
from rnnexp.tasks.registry import CLASSIFICATION, TRANSLATION
from rnnexp.tasks.translation.answers import Translations, num_resamples
from rnnexp.tasks.translation.answers import read as read_translations

Made = Callable[..., Run]
Grouped = Callable[..., ComparisonGroup]
LABELS = torch.arange(100) % 10


def answered(run: Run, wrong: Sequence[int], labels: torch.Tensor = LABELS) -> Run:
    """Write the predictions of an invented run, which are correct except for some samples."""
    run.path.mkdir(exist_ok=True)
    predicted = labels.clone()
    predicted[list(wrong)] = (predicted[list(wrong)] + 1) % 10
    torch.save({"labels": labels, "predicted": predicted, "confidence": torch.ones(100)}, run.files.predictions_file)
    return run


def test_the_predictions_of_a_real_run(digits: Path) -> None:
    run = read_run(digits / "jobs" / "gru_1")
    predictions = read_predictions(run)
    assert predictions.right.mean() == pytest.approx(run.metric("test/acc"), abs=1e-6)
    assert predictions.same_samples(read_predictions(read_run(digits / "jobs" / "srn_2")))
    assert not predictions.same_samples(Translations([], [], []))


def test_the_translations_of_a_real_run(phrases: Path) -> None:
    run = read_run(phrases / "jobs" / "gru_1")
    translations = read_translations(run)
    assert translations.right.mean() == pytest.approx(run.metric("test/exact_match"), abs=1e-6)
    assert len(translations.distances) == len(translations.sources) == run.number("num_test_samples")
    score = BLEU(force=True).corpus_score(list(translations.translations), [list(translations.references)]).score
    assert score == pytest.approx(run.metric("test/bleu"), abs=1e-4)


@pytest.mark.parametrize(
    ("file", "read", "content", "message"),
    [
        ("test_predictions.pt", read_predictions, None, "test_predictions.pt is missing"),
        ("test_predictions.pt", read_predictions, b"PK\x03\x04", "test_predictions.pt cannot be read"),
        ("test_translations.jsonl", read_translations, None, "test_translations.jsonl is missing"),
        ("test_translations.jsonl", read_translations, b"", "test_translations.jsonl is empty"),
        ("test_translations.jsonl", read_translations, b'{"source": "a"}\n', "cannot be read (KeyError)"),
        ("test_translations.jsonl", read_translations, b'{"source": "a', "cannot be read (JSONDecodeError)"),
    ],
)
def test_predictions_that_cannot_be_read(
    made: Made, file: str, read: Callable[[Run], object], content: bytes | None, message: str
) -> None:
    run = made()
    run.path.mkdir()
    if content is not None:
        (run.path / file).write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)):
        read(run)


def test_unicode_line_separators_belong_to_sentences(made: Made) -> None:
    sentences = ["one\u2028line", "one\u2029paragraph", "next\x85line", "form\x0cfeed", "plain"]
    run = made()
    run.path.mkdir()
    rows = [{"source": each, "reference": each, "translation": each.upper()} for each in sentences]
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    run.files.translations_file.write_text("".join(lines), encoding="utf-8")
    translations = read_translations(run)
    assert translations.sources == translations.references == sentences
    assert translations.translations == [each.upper() for each in sentences]


def test_predictions_are_never_unpickled(made: Made, tmp_path: Path) -> None:
    run = made()
    run.path.mkdir()
    torch.save({"labels": tmp_path}, run.files.predictions_file)
    with pytest.raises(UserError, match=r"cannot be read \(it names pathlib"):
        read_predictions(run)


def pair(made: Made, group_of: Grouped, wrong: dict[int, tuple[Sequence[int], Sequence[int]]]) -> ComparisonGroup:
    """Return runs of gru and srn; for each seed, the samples that each predicts wrongly."""
    runs = []
    for seed, (of_gru, of_srn) in wrong.items():
        runs.append(answered(made("gru", seed, acc=1 - len(of_gru) / 100), of_gru))
        runs.append(answered(made("srn", seed, acc=1 - len(of_srn) / 100), of_srn))
    return group_of(runs)


def test_mcnemar_over_seeds_is_the_largest_p_value(made: Made, group_of: Grouped) -> None:
    best, other = pair(made, group_of, {1: (range(2), range(2, 20)), 2: (range(1), range(1, 12))}).measured
    (test,) = compare_samples(CLASSIFICATION, best, [other])
    right = np.ones(100, dtype=bool)
    weakest = mcnemar(np.where(np.arange(100) < 1, False, right), np.where(np.arange(100) < 12, False, right))
    assert weakest.alone_right == (11, 0)
    # 11 : 1 in the weaker seed; 18 : 2 in the other.
    assert test.p == pytest.approx(2 * (1 + 12) / 2**12)
    assert (test.num_seeds, test.detail, test.difference) == (2, "14.5 : 1.5", 13.0)


def test_mcnemar_of_seeds_that_disagree(made: Made, group_of: Grouped) -> None:
    best, other = pair(made, group_of, {1: ((), range(30)), 2: (range(20), ())}).measured
    assert compare_samples(CLASSIFICATION, best, [other])[0].p == 1.0


def test_mcnemar_without_enough_disagreements(made: Made, group_of: Grouped) -> None:
    best, other = pair(made, group_of, {1: ((), range(5)), 2: ((), range(30))}).measured
    (test,) = compare_samples(CLASSIFICATION, best, [other])
    assert (test.p, test.reason) == (None, "too few disagreements (5): no p could fall below 0.05")


def test_six_disagreements_can_be_enough(made: Made, group_of: Grouped) -> None:
    best, other = pair(made, group_of, {1: ((), range(6))}).measured
    assert compare_samples(CLASSIFICATION, best, [other])[0].p == pytest.approx(2 / 2**6)


def test_other_samples_are_not_compared(made: Made, group_of: Grouped) -> None:
    group = group_of([answered(made("gru", acc=0.9), ()), answered(made("srn"), (), LABELS.flip(0))])
    best, other = group.measured
    assert compare_samples(CLASSIFICATION, best, [other])[0].reason == "not tested on the same samples"


def test_without_a_shared_seed_nothing_is_compared(made: Made, group_of: Grouped) -> None:
    best, other = group_of([made("gru", 1, acc=0.9), made("srn", 2)]).measured
    assert compare_samples(CLASSIFICATION, best, [other])[0].reason == "no shared seed"
    assert compare_samples(TRANSLATION, best, [other])[0].reason == "no shared seed"


@pytest.mark.parametrize("lacking", ["gru", "srn"])
def test_a_missing_file_is_the_reason(made: Made, group_of: Grouped, lacking: str) -> None:
    group = pair(made, group_of, {1: ((), range(9))})
    best, other = group.measured
    (best if lacking == "gru" else other).runs[0].files.predictions_file.unlink()
    assert compare_samples(CLASSIFICATION, best, [other])[0].reason.endswith("test_predictions.pt is missing")


def test_the_bootstrap_is_sacrebleus(phrases: Path, group_of: Grouped) -> None:
    best, other = group_of(find_runs([phrases])).measured
    (test,) = compare_samples(TRANSLATION, best, [other])
    p_values, differences = [], []
    for seed in ("1", "2"):
        ours, theirs = read_translations(best.counted[seed]), read_translations(other.counted[seed])
        systems = [("best", ours.translations), ("other", theirs.translations)]
        _, scores = PairedTest(systems, {"BLEU": BLEU(force=True)}, [ours.references], "bs", 1000)()
        baseline, result = scores["BLEU"]
        p_values.append(result.p_value)
        differences.append(baseline.score - result.score)
    assert test.difference == pytest.approx(np.mean(differences))
    agree = differences[0] * differences[1] > 0
    assert test.p == pytest.approx(max(p_values) if agree else 1.0)


def with_tokenizer(run: Run, tokenizer: str, before: str = "13a") -> None:
    file = run.files.result_file
    text = file.read_text(encoding="utf-8")
    assert f"tok:{before}|" in text
    file.write_text(text.replace(f"tok:{before}|", f"tok:{tokenizer}|"), encoding="utf-8")


def test_the_bootstrap_uses_the_recorded_tokenizer(phrases: Path, tmp_path: Path, group_of: Grouped) -> None:
    copy = Path(shutil.copytree(phrases, tmp_path / "copy"))

    def test() -> PairedTestResult:
        best, other = group_of(find_runs([copy])).measured
        return compare_samples(TRANSLATION, best, [other])[0]

    over_words = test().difference
    runs = find_runs([copy])
    for run in runs:
        with_tokenizer(run, "char")
    assert test().difference not in (None, over_words)
    best, _ = group_of(find_runs([copy])).measured
    for run in best.runs:
        with_tokenizer(run, "zh", "char")
    assert test().reason in ("BLEU over other tokens (char, not zh)", "BLEU over other tokens (zh, not char)")
    for run in runs:
        with_tokenizer(run, "rm -rf", "zh" if run.path in [each.path for each in best.runs] else "char")
    assert "unknown tokenizer 'rm -rf'" in test().reason


def test_a_better_translator_is_found_by_the_bootstrap(phrases: Path, tmp_path: Path, group_of: Grouped) -> None:
    copy = Path(shutil.copytree(phrases, tmp_path / "copy"))
    for seed in (1, 2):
        file = copy / "jobs" / f"gru_{seed}" / "test_translations.jsonl"
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
        file.write_text(
            "".join(json.dumps(row | {"translation": row["reference"]}) + "\n" for row in rows), encoding="utf-8"
        )
        result = copy / "jobs" / f"gru_{seed}" / "result.json"
        content = json.loads(result.read_text(encoding="utf-8"))
        content["metrics"]["test/bleu"] = 100.0
        result.write_text(json.dumps(content), encoding="utf-8")
    best, other = group_of(find_runs([copy])).measured
    assert best.label == "gru"
    (test,) = compare_samples(TRANSLATION, best, [other])
    assert test.p == pytest.approx(1 / 1001)


def test_the_number_of_resamples_suffices_for_many_tests() -> None:
    assert num_resamples(0.05 / 3) == 1000
    for number in (60, 200):
        assert number / (num_resamples(0.05 / number) + 1) < 0.05
    few = Translations(["a b c d"] * 3, ["a b c d"] * 3, ["a b c d", "e", "f"])
    (test,) = few.compare([few], 0.05 / 253)
    assert test.reason == "so many settings need more than 5,000 resamples"


def test_verdicts(made: Made, group_of: Grouped) -> None:
    seeds = (1, 2, 3)
    runs = []
    for seed, jitter in zip(seeds, (0.0, 0.011, 0.004), strict=True):
        runs += [
            answered(made("best", seed, acc=0.95 + jitter / 2), ()),
            # Much worse, by nearly the same difference with every seed.
            answered(made("far", seed, acc=0.60 + jitter), range(40)),
            # Worse with every seed, but the difference is uncertain.
            answered(made("wild", seed, acc=0.90 - 20 * jitter), range(30)),
            # About equally good.
            answered(made("near", seed, acc=0.95 + 0.9 * jitter - 0.003), range(seed)),
        ]
    runs += [answered(made("lone", 1, acc=0.93), range(3))]
    comparisons = compare_with_best(group_of(runs))
    verdicts = {each.setting.label: each.verdict for each in comparisons}
    assert verdicts == {"best": BEST, "near": EVEN, "lone": UNTESTED, "wild": UNSURE, "far": WORSE}
    assert comparisons[0].seeds is None
    far = next(each for each in comparisons if each.setting.label == "far")
    assert far.seeds is not None
    assert far.seeds.p is not None
    # Four of the five settings have a test over seeds, and they have six pairs.
    tested = [each.setting for each in comparisons if each.setting.label != "lone"]
    p_values = {
        (one.label, other.label): paired_t(one.by_seed(one.main), other.by_seed(one.main)).p
        for one, other in combinations(tested, 2)
    }
    assert len(p_values) == 6
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    assert far.seeds_p == pytest.approx(adjusted["best", "far"])


@pytest.mark.parametrize(
    ("wrong", "verdict", "said"),
    [
        ({1: range(30)}, UNSURE_OF_ONE, f"1 other is {UNSURE_OF_ONE}."),
        (
            {1: range(30), 2: range(12)},
            UNSURE,
            "1 other is worse with each shared seed, with too few seeds for certainty.",
        ),
        ({1: range(30), 2: range(4)}, EVEN, "Not significantly worse: srn ("),
        ({1: range(4)}, UNTESTED, "Not tested: srn (too few shared seeds (1; at least 2))."),
    ],
)
def test_the_verdict_without_a_significant_test_over_seeds(
    made: Made, group_of: Grouped, wrong: dict[int, range], verdict: str, said: str
) -> None:
    group = pair(made, group_of, {seed: ((), of_srn) for seed, of_srn in wrong.items()})
    best, other = compare_with_best(group)
    assert (best.verdict, other.verdict) == (BEST, verdict)
    assert said in answer(group, [best, other])


def test_a_setting_is_not_worse_if_it_is_better_with_each_shared_seed(made: Made, group_of: Grouped) -> None:
    """The best has the higher mean by a seed that the other lacks."""
    runs = [
        answered(made("gru", seed, acc=acc), range(60)) for seed, acc in ((1, 0.40), (2, 0.41), (3, 0.42), (4, 1.0))
    ]
    runs += [answered(made("srn", seed, acc=acc), range(50)) for seed, acc in ((1, 0.50), (2, 0.512), (3, 0.515))]
    best, other = compare_with_best(group_of(runs))
    assert best.setting.label == "gru"
    assert other.seeds_p is not None
    assert other.samples_p is not None
    assert max(other.seeds_p, other.samples_p) < 0.05
    assert other.verdict == EVEN


def test_p_values_over_samples_are_corrected_for_all_pairs(
    made: Made, group_of: Grouped, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = []
    compare = PredictedClasses.compare

    def recorded(ours: PredictedClasses, others: Sequence[PredictedClasses], level: float) -> list[SampleTest]:
        levels.append(level)
        return compare(ours, others, level)

    monkeypatch.setattr(PredictedClasses, "compare", recorded)
    wrong = {"best": 0, "few": 3, "some": 7, "many": 9, "most": 12}
    group = group_of([answered(made(cell, acc=1 - number / 100), range(number)) for cell, number in wrong.items()])
    comparisons = compare_with_best(group)[1:]
    # The five settings have ten pairs.
    assert levels == [pytest.approx(0.05 / 10)]
    # Three disagreements can give no p-value, so four settings with six pairs are tested.
    few, *tested = comparisons
    assert (few.setting.label, few.samples_p, few.verdict) == ("few", None, UNTESTED)
    for each, cell, factor in zip(tested, ("some", "many", "most"), (4, 5, 6), strict=True):
        p = stats.binomtest(0, wrong[cell]).pvalue
        assert each.setting.label == cell
        assert each.samples is not None
        assert each.samples.p == pytest.approx(p)
        assert each.samples_p == pytest.approx(factor * p)
    # The p-value of "some" is below 0.05 only without the correction.
    assert [each.verdict for each in tested] == [UNTESTED, UNSURE_OF_ONE, UNSURE_OF_ONE]


def test_the_lead_is_also_positive_if_less_is_better(made: Made, group_of: Grouped) -> None:
    task = {"_target_": "elsewhere.TaggingTask"}
    losses = {"gru": (1.0, 1.1, 1.05), "srn": (2.0, 2.15, 2.06)}
    runs = [
        made(cell, seed, task=task, metrics={"test/loss": loss})
        for cell, values in losses.items()
        for seed, loss in enumerate(values)
    ]
    best, other = compare_with_best(group_of(runs))
    assert (best.setting.label, other.verdict) == ("gru", WORSE)
    assert other.seeds is not None
    assert other.seeds.difference == pytest.approx(1.02)
    assert other.samples is None


def test_without_measurements_nothing_is_compared(made: Made, group_of: Grouped) -> None:
    assert compare_with_best(group_of([made(status="failed")])) == []
