"""Translation from the command line: the files of a run, evaluation, resuming, and bad input."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rnnexp import train
from rnnexp.core.files.atomic import read_json
from rnnexp.runs.checkpoints import average_checkpoints
from rnnexp.tracking.identity import config_hash
from support.programs import Outcome, Run, call, write_pairs

EPOCHS = 3
FILES = {
    *("config.yaml", "overrides.yaml", "status.json", "result.json", "metrics.csv", "train.log", "environment.json"),
    *("test_translations.jsonl", "samples.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"),
    "checkpoints/previous.ckpt",
    *("checkpoints/epoch-001.ckpt", "checkpoints/epoch-002.ckpt", "checkpoints/average.ckpt"),
    *("figures/learning_curves.png", "figures/exact_match_by_length.png"),
    *(f"figures/attention_{number}.png" for number in (1, 2, 3, 4)),
    *("figures/agreement.png", "figures/agreement_by_distance.png"),
}


@pytest.fixture(scope="session")
def phrases(translate_tiny: Callable[[str], list[str]]) -> list[str]:
    """Overrides of a small run on the phrasebook."""
    return ["task=translation", *translate_tiny("Phrasebook"), "trainer.max_epochs=1"]


@pytest.fixture(scope="session")
def translated(phrases: list[str], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run of three epochs that tests the mean of the last two; tests must not change it."""
    place = tmp_path_factory.mktemp("translated")
    averaging = ["callbacks=[averaging,translation]", "test_weights=average", "callbacks.kept_checkpoints.keep=2"]
    averaging += [
        "callbacks.kept_checkpoints.monitor=null",
        "task.literature=true",
        "callbacks.samples.num_sentences=4",
    ]
    arguments = [*phrases, f"trainer.max_epochs={EPOCHS}", *averaging, f"paths.outputs_dir={place}/outputs"]
    outcome = call(train.main, place, arguments, figures=True)
    assert outcome.exit_code == 0, outcome.stderr
    return outcome


def weights(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, weights_only=True)["state_dict"]
    return state


def test_exactly_the_documented_files_exist(translated: Outcome) -> None:
    found = {str(path.relative_to(translated.directory)) for path in translated.directory.rglob("*") if path.is_file()}
    assert found == FILES


def test_result_has_scores_and_their_signatures(translated: Outcome) -> None:
    result = translated.result
    assert result["task"] == "translation"
    assert {"bleu", "chrf", "literature/bleu"} == set(result["signatures"])
    metrics = result["metrics"]
    for split in ("val", "test"):
        assert {f"{split}/{name}" for name in ("loss", "ppl", "bleu", "chrf", "exact_match")} <= set(metrics)
    assert {"test/literature/bleu", "train/padding_share", "train/tokens_per_second"} <= set(metrics)
    assert 0 < metrics["train/padding_share"] < 0.3
    assert result["num_test_samples"] == result["data"]["num_test"] > 0
    assert result["model"]["cell"] == "gru"
    assert result["model"]["state_size"] == 8 + 8
    assert result["timing"]["tokens_per_second"] > result["timing"]["samples_per_second"] > 0


def test_every_translation_of_the_test_is_kept(translated: Outcome) -> None:
    rows = [
        json.loads(line)
        for line in (translated.directory / "test_translations.jsonl").read_text(encoding="utf-8").split("\n")
        if line
    ]
    assert [row["index"] for row in rows] == list(range(translated.result["num_test_samples"]))
    assert set(rows[0]) >= {"source", "reference", "translation", "score", "loss", "phenomenon", "distance", "place"}
    mean = sum(row["loss"] for row in rows) / sum(row["num_target_tokens"] for row in rows)
    assert mean == pytest.approx(translated.result["metrics"]["test/loss"], rel=1e-5)


def test_the_table_of_samples_grows_over_epochs(translated: Outcome) -> None:
    with (translated.directory / "samples.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [epoch for epoch in range(1, EPOCHS + 1) for _ in range(4)]
    assert len({row["source"] for row in rows}) == 4


def test_the_average_is_that_of_the_epochs_that_were_kept(translated: Outcome) -> None:
    checkpoints = translated.directory / "checkpoints"
    kept = [weights(checkpoints / f"epoch-{epoch:03d}.ckpt") for epoch in (1, 2)]
    expected, average = average_checkpoints(kept), weights(checkpoints / "average.ckpt")
    assert expected.keys() == average.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, average[name]), name
    assert any(not torch.equal(kept[0][name], kept[1][name]) for name in average)


@pytest.fixture
def copied(translated: Outcome, tmp_path: Path) -> Path:
    """A copy of the translation run, to be evaluated."""
    return Path(shutil.copytree(translated.directory, tmp_path / "copied"))


def test_evaluation_reproduces_the_scores(translated: Outcome, copied: Path, score: Run) -> None:
    outcome = score(f"run={copied}")
    assert outcome.exit_code == 0, outcome.stderr
    (file,) = (copied / "evaluations").glob("*.json")
    record = read_json(file)
    assert record["weights"] == "checkpoints/average.ckpt"
    assert record["metrics"] == {
        name: value for name, value in translated.result["metrics"].items() if name.startswith("test/")
    }


@pytest.fixture
def pairs(tmp_path: Path) -> list[str]:
    """Overrides for a corpus in files of the user."""
    files = {"train": (0, 100), "val": (100, 20), "test": (120, 20)}
    paths = {split: write_pairs(tmp_path / f"{split}.tsv", *numbers) for split, numbers in files.items()}
    return ["data=parallel", *(f"data.{split}={path}" for split, path in paths.items()), "data.unit=word"]


def test_another_test_set_is_encoded_by_the_tokenizers_of_the_run(
    run: Run, score: Run, phrases: list[str], pairs: list[str], tmp_path: Path
) -> None:
    own = [part for part in phrases if not part.startswith("data.num_pairs")]
    first = run(*pairs, data=own)
    assert first.exit_code == 0, first.stderr
    train = tmp_path / "other_train.tsv"
    train.write_text("other words\tautres mots\n" * 3, encoding="utf-8")
    other = tmp_path / "other.tsv"
    other.write_text("He is at one zero.\tIl est à un zéro.\nunheard of\tinouï\n", encoding="utf-8")
    outcome = score(f"run={first.directory}", f"data.train={train}", f"data.test={other}", "task.beam_size=1")
    assert outcome.exit_code == 0, outcome.stderr
    (file,) = (first.directory / "evaluations").glob("*.json")
    record = read_json(file)
    assert record["num_test_samples"] == 2
    assert record["data"]["source_vocab_size"] == first.result["data"]["source_vocab_size"]


def test_a_key_that_the_data_do_not_have_is_an_error(copied: Path, score: Run) -> None:
    outcome = score(f"run={copied}", "data.name=Other")
    assert outcome.exit_code == 2
    assert "data: unknown key of this run 'name': choose one of" in outcome.line


@pytest.mark.parametrize("decoder", ["fused", "stepwise"])
def test_a_run_that_is_continued_ends_with_the_same_weights(run: Run, phrases: list[str], decoder: str) -> None:
    options = [
        f"task.network.decoder={decoder}",
        "task.network.embedding_dropout=0.3",
        "task.network.output_dropout=0.3",
        "test_weights=none",
    ]
    options += ["task.network.word_dropout=0.1"]
    options += ["callbacks=[averaging,translation]", "callbacks.kept_checkpoints.keep=2"]
    options += ["callbacks.kept_checkpoints.monitor=val/loss", "callbacks.kept_checkpoints.mode=min"]
    options += ["scheduler=constant"]
    options += ["task.teacher_forcing=0.5"] if decoder == "stepwise" else []
    whole = run(*options, "trainer.max_epochs=5", data=phrases)
    half = run(*options, "trainer.max_epochs=3", data=phrases)
    checkpoint = half.directory / "checkpoints" / "last.ckpt"
    resumed = run(*options, "trainer.max_epochs=5", f"ckpt_path={checkpoint}", data=phrases)
    assert (whole.exit_code, half.exit_code, resumed.exit_code) == (0, 0, 0), resumed.stderr
    expected, found = (weights(each.directory / "checkpoints" / "last.ckpt") for each in (whole, resumed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    kept = [{path.name for path in (each.directory / "checkpoints").glob("epoch-*.ckpt")} for each in (whole, resumed)]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 2
    with (resumed.directory / "samples.csv").open(encoding="utf-8", newline="") as file:
        assert {row["epoch"] for row in csv.DictReader(file)} == {"1", "2", "3", "4", "5"}


@pytest.mark.parametrize("cell", ["srn", "lstm"])
@pytest.mark.parametrize("attention", ["additive", "none"])
def test_every_cell_deep_and_bidirectional(run: Run, phrases: list[str], cell: str, attention: str) -> None:
    options = [f"model={cell}", "model.num_layers=2", "model.bidirectional=true", f"task.network.attention={attention}"]
    outcome = run(*options, "trainer.max_steps=2", data=phrases, figures=True)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.result["model"]["decoder_layers"] == 2
    has_map = (outcome.directory / "figures" / "attention_1.png").exists()
    assert has_map == (attention != "none")


def test_a_checkpoint_of_the_other_task_is_refused(run: Run, phrases: list[str], finished: Outcome) -> None:
    outcome = run(f"ckpt_path={finished.directory}/checkpoints/last.ckpt", data=phrases)
    assert outcome.exit_code == 2
    assert "last.ckpt is of another experiment: " in outcome.line


def test_a_checkpoint_with_other_tokenizers_is_refused(
    run: Run, phrases: list[str], translated: Outcome, tmp_path: Path
) -> None:
    checkpoint = shutil.copy(translated.directory / "checkpoints" / "last.ckpt", tmp_path / "without_its_config.ckpt")
    outcome = run("data.generator_seed=1", f"ckpt_path={checkpoint}", data=phrases)
    assert outcome.exit_code == 2
    assert "is of another experiment: " in outcome.line
    assert "source_tokenizer=" in outcome.line


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data.source_lang=en", "data.target_lang=de"],
            "data: unknown data.target_lang of phrasebook 'de': choose one of en, fr",
        ),
        (
            ["data.source_lang=fr"],
            "data: data.source_lang and data.target_lang are both 'fr': choose two of en, fr",
        ),
        (["data.unit=bpe", "data.vocab_size=100"], "data.vocab_size=100 is too small: 256 bytes and 4 special tokens"),
        (["data.max_eval_length=1"], "tokens, more than data.max_eval_length=1: divide it or leave it out"),
        (["data.unit=wrod"], "data: unknown data.unit 'wrod': choose one of bpe, word, char; did you mean 'word'?"),
        (["data.test_share=0"], "the test split of the corpus 'phrasebook' is empty: it needs one pair"),
        (
            ["data=mnist"],
            "data: TranslationTask consumes TranslationBatch, and MNISTDataModule produces Labeled",
        ),
        (["task.teacher_forcing=0.5"], "task: teacher_forcing=0.5 needs a step-by-step decoder"),
        (["task.network.tied_embeddings=all"], "task: tied_embeddings=all needs one vocabulary for both sides"),
        (["task.network.decoder=fusedd"], "task: unknown decoder 'fusedd': choose one of fused, stepwise"),
        (["test_weights=average"], "test_weights=average has no epochs to average: set callbacks.kept_checkpoints"),
        (
            ["callbacks=default"],
            "callbacks: PredictionWriter does not fit TranslationTask: choose callbacks=",
        ),
        (
            ["callbacks=[averaging,translation]", "callbacks.kept_checkpoints.keep=0"],
            "kept_checkpoints.keep must be a whole number of at",
        ),
    ],
)
def test_bad_input_is_a_one_line_error(run: Run, phrases: list[str], overrides: list[str], message: str) -> None:
    if "data=mnist" in overrides:
        phrases = [part for part in phrases if not part.startswith("data.")]
        overrides = [*overrides, "data.download_from=[]"]
    outcome = run(*overrides, data=phrases)
    assert outcome.exit_code == 2
    assert message in outcome.line


def test_classification_refuses_sentence_pairs(run: Run) -> None:
    outcome = run("data=phrasebook", data=["trainer=cpu"])
    assert outcome.exit_code == 2
    assert "data: ClassificationTask consumes LabeledSequences, and TranslationDataModule produces" in outcome.line


def test_long_sentences_are_counted_and_excluded_only_from_training(run: Run, phrases: list[str]) -> None:
    outcome = run("data.max_length=12", "trainer.max_steps=2", data=phrases)
    assert outcome.exit_code == 0, outcome.stderr
    data = outcome.result["data"]
    assert data["num_train_too_long"] > 0
    assert data["num_test_too_long"] > 0
    assert outcome.result["num_test_samples"] == data["num_test"]
    assert "longer than data.max_length=12 tokens" in (outcome.directory / "train.log").read_text(encoding="utf-8")


def test_a_beam_wider_than_the_vocabulary_finds_translations(run: Run, phrases: list[str]) -> None:
    tiny = ["data.unit=char", "task.beam_size=150", "task.max_ratio=0.1", "task.max_extra=1", "trainer.max_steps=1"]
    outcome = run(*tiny, "trainer.limit_test_batches=1", "data.eval_batch_size=5", data=phrases)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.result["data"]["target_vocab_size"] < 150


def test_the_hash_depends_on_averaging_and_not_on_corpus_paths(translated: Outcome) -> None:
    config = yaml.safe_load((translated.directory / "config.yaml").read_text(encoding="utf-8"))
    plain = config_hash(config)
    config["data"]["cache"] = "elsewhere"
    config["callbacks"]["kept_checkpoints"]["dirpath"] = "elsewhere"
    assert config_hash(config) == plain
    config["callbacks"]["kept_checkpoints"]["keep"] += 1
    assert config_hash(config) != plain


def test_weights_without_training_state_are_not_continued(
    run: Run, phrases: list[str], translated: Outcome, tmp_path: Path
) -> None:
    checkpoint = shutil.copy(translated.directory / "checkpoints" / "average.ckpt", tmp_path / "average.ckpt")
    outcome = run(f"ckpt_path={checkpoint}", data=phrases)
    assert outcome.exit_code == 2
    assert "average.ckpt holds only weights: continue from last.ckpt or best.ckpt" in outcome.line


def test_kept_epochs_are_averaged_on_request(run: Run, score: Run, phrases: list[str]) -> None:
    averaging = ["callbacks=[averaging,translation]", "callbacks.kept_checkpoints.monitor=null", "trainer.max_epochs=2"]
    trained = run(*averaging, data=phrases)
    assert trained.exit_code == 0, trained.stderr
    outcome = score(f"run={trained.directory}", "weights=average", "task.beam_size=1")
    assert outcome.exit_code == 0, outcome.stderr
    (file,) = (trained.directory / "evaluations").glob("*.json")
    record = read_json(file)
    assert record["weights"] == "checkpoints/average.ckpt"
    assert record["changed"] == {"task.beam_size": 1}
    assert "tok:13a" in record["signatures"]["bleu"]


def test_unicode_line_separators_in_a_sentence_are_kept(run: Run, phrases: list[str], pairs: list[str]) -> None:
    test = next(part for part in pairs if part.startswith("data.test=")).partition("=")[2]
    Path(test).write_text(
        "He is\u2028at one.\tIl est\u2028à un.\nHe is at two.\tIl est à\u0085deux.\n", encoding="utf-8"
    )
    own = [part for part in phrases if not part.startswith("data.num_pairs")]
    outcome = run(*pairs, data=own)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.result["num_test_samples"] == 2


def test_classification_refuses_callbacks_of_translation(run: Run) -> None:
    outcome = run("callbacks=translation")
    assert outcome.exit_code == 2
    assert outcome.line == (
        "rnnexp: callbacks: TranslationWriter does not fit ClassificationTask: "
        "choose callbacks=default, averaging or gradient_flow"
    )
