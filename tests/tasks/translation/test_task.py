"""Loss, translations and scores of the task under Lightning, compared with their definitions."""

import itertools
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch.nn.functional import cross_entropy

from rnnexp.core.errors import UserError
from rnnexp.data.corpora.parallel import ParallelFiles
from rnnexp.data.corpora.phrasebook.corpus import Phrasebook
from rnnexp.data.text.translation import TranslationDataModule
from rnnexp.decoding import beam_search, greedy_search
from rnnexp.models import Seq2Seq
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.schedules import constant
from rnnexp.tasks.translation.metrics import corpus_scores, literature_scores
from rnnexp.tasks.translation.multiply_adds import Work, multiply_adds
from rnnexp.tasks.translation.scoring import Translation, scores_by_length
from rnnexp.tasks.translation.task import TranslationTask
from rnnexp.tasks.translation.translator import Translator
from rnnexp.tasks.translation.workload import of_sentences
from rnnexp.text.vocabulary import EOS, PAD
from rnnexp.text.writing import describe_writing
from support.programs import write_pairs

# Lightning 2.6 calls torch.utils._pytree in a deprecated way.
pytestmark = pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")

BATCHING: dict[str, Any] = {
    "unit": "word",
    "vocab_size": 270,
    "min_frequency": 1,
    "joint": False,
    "max_length": 100,
    "max_eval_length": 1000,
    "batch_size": 8,
    "batch_unit": "sentences",
    "eval_batch_size": 7,
    "window": 3,
    "seed": 0,
    "cache": None,
}
FILES: dict[str, Any] = {"source_lang": "en", "target_lang": "fr", "columns": None, "max_line_bytes": 10_000}
NETWORK: dict[str, Any] = {"embedding_size": 6, "attention": "general"}
OPTIONS: dict[str, Any] = {
    "teacher_forcing": 1.0,
    "label_smoothing": 0.0,
    "beam_size": 3,
    "length_penalty": 1.0,
    "max_ratio": 1.0,
    "max_extra": 3,
    "val_sentences": 1000,
    "literature": False,
    "bleu_tokenizer": "auto",
}


def make_task(data: TranslationDataModule, network: Mapping[str, Any] | None = None, **changes: Any) -> TranslationTask:
    torch.manual_seed(0)
    return TranslationTask(
        make_stack=partial(RecurrentStack, "gru", hidden_size=5),
        make_optimizer=partial(torch.optim.SGD, lr=0.1),
        make_scheduler=constant,
        network=partial(Seq2Seq, **(NETWORK | dict(network or {}))),
        **TranslationTask.arguments_from(data),
        **(OPTIONS | changes),
    ).eval()


def make_trainer() -> Trainer:
    return Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, barebones=False
    )


@pytest.fixture
def data(tmp_path: Path) -> TranslationDataModule:
    return make_data(write_pairs(tmp_path / "train.tsv", 0, 60), write_pairs(tmp_path / "test.tsv", 60, 23))


def make_data(train: Path, held_out: Path) -> TranslationDataModule:
    made = TranslationDataModule(
        ParallelFiles,
        train=str(train),
        val=str(held_out),
        test=str(held_out),
        **FILES,
        **BATCHING,
    )
    made.setup()
    return made


def all_pairs(data: TranslationDataModule) -> Any:
    """Return the test split as one batch."""
    loader = data.test_dataloader()
    return loader.gather(torch.arange(len(data.references("test"))))


def validated(task: TranslationTask, data: TranslationDataModule) -> dict[str, float]:
    (metrics,) = make_trainer().validate(task, data, verbose=False)
    return dict(metrics)


def scored(task: TranslationTask, data: TranslationDataModule) -> dict[str, float]:
    (metrics,) = make_trainer().test(task, data, verbose=False)
    return dict(metrics)


def test_loss_is_the_mean_over_all_tokens_for_any_batches(data: TranslationDataModule) -> None:
    task = make_task(data)
    batch = all_pairs(data)
    logits = task.logits(task.model, batch)
    log_probs = logits.log_softmax(dim=2).gather(2, batch.target[:, 1:].unsqueeze(2)).squeeze(2)
    by_hand = -log_probs[batch.target[:, 1:] != PAD].mean().item()
    metrics = validated(task, data)
    assert metrics["val/loss"] == pytest.approx(by_hand, rel=1e-5)
    assert metrics["val/ppl"] == pytest.approx(2.718281828**by_hand, rel=1e-4)


def test_a_batch_without_a_finite_loss_is_not_left_out(
    data: TranslationDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(data)
    losses = task.sentence_losses(all_pairs(data))
    losses[0] = math.nan
    monkeypatch.setattr(task, "sentence_losses", lambda batch: losses[: len(batch.source)])
    assert math.isnan(validated(task, data)["val/loss"])


def test_smoothing_changes_only_the_training_loss(data: TranslationDataModule) -> None:
    plain, smooth = make_task(data), make_task(data, label_smoothing=0.3)
    assert validated(plain, data)["val/loss"] == validated(smooth, data)["val/loss"]
    batch = next(iter(data.train_dataloader()))
    losses = {}
    for name, task in (("plain", plain), ("smooth", smooth)):
        task.trainer = type("Steps", (), {"log_every_n_steps": 10**9, "global_step": 0, "is_last_batch": False})()  # type: ignore[assignment]
        task.trainer.max_steps = -1  # type: ignore[misc]
        losses[name] = task.training_step(batch, 0)
    logits = plain.logits(plain.model, batch).flatten(0, 1)
    target = batch.target[:, 1:].flatten()
    torch.testing.assert_close(losses["plain"], cross_entropy(logits[target != PAD], target[target != PAD]))
    expected = cross_entropy(logits[target != PAD], target[target != PAD], label_smoothing=0.3)
    torch.testing.assert_close(losses["smooth"], expected)


def test_validation_translates_greedily_and_the_test_with_the_beam(data: TranslationDataModule) -> None:
    task = make_task(data, length_penalty=0.3)
    batch = all_pairs(data)
    searches = {
        "val": greedy_search([task.model], batch.source, batch.source_lengths, 0.3, task.limits),
        "test": beam_search([task.model], batch.source, batch.source_lengths, 3, 1, 0.3, task.limits),
    }
    for split, found in searches.items():
        metrics = validated(task, data) if split == "val" else scored(task, data)
        texts = [data.tokenizers.target.decode(tokens) for tokens in found.tokens[:, 0].tolist()]
        assert [each.text for each in task.translations[split]] == texts
        scores = [each.score for each in task.translations[split]]
        assert scores == pytest.approx(found.scores[:, 0].tolist(), rel=1e-5)
        assert [each.pair for each in task.translations[split]] == list(range(len(texts)))
        for name, value in corpus_scores(texts, data.references(split)).items():
            assert metrics[f"{split}/{name}"] == pytest.approx(value, rel=1e-5)
    assert task.num_test_samples == len(data.references("test"))


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_translator_finds_and_scores_what_the_test_does(data: TranslationDataModule, beam_size: int) -> None:
    task = make_task(data, beam_size=beam_size, length_penalty=0.3)
    scored(task, data)
    translator = Translator([task.model], task.tokenizers, beam_size, 1, 0.3, task.limits)
    found = [each.candidates[0] for each in translator.translate(data.sources("test"))]
    assert [each.text for each in found] == [each.text for each in task.translations["test"]]
    scores = [each.score for each in task.translations["test"]]
    assert [each.score for each in found] == pytest.approx(scores, rel=1e-5)


def test_validation_translates_evenly_spaced_sentences_and_averages_all_losses(data: TranslationDataModule) -> None:
    task = make_task(data, val_sentences=5)
    assert validated(task, data)["val/loss"] == validated(make_task(data), data)["val/loss"]
    pairs = [each.pair for each in task.translations["val"]]
    assert len(pairs) == 5
    gaps = [after - before for before, after in itertools.pairwise(pairs)]
    assert set(gaps) <= {4, 5}, "of 23 sentences"


def test_sentences_that_no_batch_has(tmp_path: Path) -> None:
    """The longest sentences come first, and the first of these is the shortest."""
    held_out = write_pairs(tmp_path / "test.tsv", 60, 23)
    held_out.write_text("Yes.\tOui.\n" + held_out.read_text(encoding="utf-8"), encoding="utf-8")
    data = make_data(write_pairs(tmp_path / "train.tsv", 0, 60), held_out)
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, limit_val_batches=1
    )
    with pytest.raises(UserError, match=r"task\.val_sentences=1: none .* trainer\.limit_val_batches=1 leaves"):
        trainer.validate(make_task(data, val_sentences=1), data, verbose=False)


def test_a_sentence_without_words_has_an_empty_translation(data: TranslationDataModule) -> None:
    """The test and a run that translates text agree."""
    task, batch = make_task(data, max_extra=9), all_pairs(data)
    batch = batch._replace(source=batch.source.clone(), source_lengths=batch.source_lengths.clone())
    batch.source[0, 0], batch.source_lengths[0] = EOS, 1
    rows = torch.tensor([0, 1])
    searched = task._search(batch, rows, greedy=True)
    assert all(map(task.tokenizers.target.decode, searched.tokens[:, 0].tolist())), "the search finds words"
    translated = task._translated(batch, torch.zeros(len(batch.source)), rows, searched)
    assert [bool(each.text) for each in translated] == [False, True]


@pytest.mark.parametrize("decoder", ["fused", "stepwise"])
def test_the_size_of_the_state_is_that_of_its_tensors(data: TranslationDataModule, decoder: str) -> None:
    task, batch = make_task(data, {"decoder": decoder, "decoder_layers": 2}), all_pairs(data)
    _, state = task.model.encode(batch.source, batch.source_lengths)
    carried = sum(tensor[0].numel() for tensor in state)
    assert task.state_size == task.stack.state_size + carried


def test_scores_by_length_add_up(data: TranslationDataModule) -> None:
    task = make_task(data)
    metrics = scored(task, data)
    # All sentences of these data have seven words and a punctuation mark.
    assert {each.num_source_tokens for each in task.translations["test"]} == {8}
    assert {name.rpartition("/")[2] for name in metrics if "_length/" in name} == {"06-10"}
    assert metrics["test/loss_length/06-10"] == pytest.approx(metrics["test/loss"], rel=1e-5)
    assert metrics["test/exact_match_length/06-10"] == metrics["test/exact_match"]


def test_scores_of_a_length_are_those_of_its_sentences() -> None:
    """The loss is a mean over tokens, so a long reference has more weight than a short one."""
    rows = [("one", 2.0, 5, 2), ("two", 4.0, 6, 8), ("3", 30.0, 10, 12), ("four", 5.0, 60, 50)]
    translations = [Translation(pair, text, 0.0, *numbers) for pair, (text, *numbers) in enumerate(rows)]
    assert scores_by_length(translations, ["one", "two", "three", "4"]) == pytest.approx(
        {
            "exact_match_length/01-05": 1.0,
            "exact_match_length/06-10": 0.5,
            "exact_match_length/51+": 0.0,
            "loss_length/01-05": 2 / 2,
            "loss_length/06-10": (4 + 30) / (8 + 12),
            "loss_length/51+": 5 / 50,
        }
    )


def test_literature_scores_split_words_by_the_rules_of_the_target_language(
    data: TranslationDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, number = make_task(data, literature=True), len(data.references("test"))
    text, reference = "l' ami d' un homme dort ici.", "l'ami d'un homme dort ici."
    monkeypatch.setattr(data, "references", lambda _: [reference] * number)
    translated = partial(TranslationTask._translated, task)
    monkeypatch.setattr(task, "_translated", lambda *args: [each._replace(text=text) for each in translated(*args)])
    french, english = (
        literature_scores([text] * number, [reference] * number, language)["bleu"] for language in ("fr", "en")
    )
    assert french != pytest.approx(english, rel=0.01)
    assert scored(task, data)["test/literature/bleu"] == pytest.approx(french)


def test_literature_scores_are_a_separate_track(data: TranslationDataModule) -> None:
    without, with_it = make_task(data), make_task(data, literature=True)
    assert not {name for name in scored(without, data) if "literature" in name}
    assert "test/literature/bleu" in scored(with_it, data)
    assert set(with_it.metric_signatures) - set(without.metric_signatures) == {"literature/bleu"}
    assert "tok:13a" in with_it.metric_signatures["bleu"]
    assert "tok:none" in with_it.metric_signatures["literature/bleu"]


def test_chinese_is_scored_by_its_characters(data: TranslationDataModule) -> None:
    data.target_writing = describe_writing(["我今天早上在公园里看到两只狗在跳。"])
    assert "tok:zh" in make_task(data).metric_signatures["bleu"]
    assert "tok:13a" in make_task(data, bleu_tokenizer="13a").metric_signatures["bleu"]
    with pytest.raises(UserError, match=r"task\.literature=true needs spaces .*Chinese script"):
        make_task(data, literature=True)


@pytest.mark.parametrize(("source", "target"), [("en", "fr"), ("fr", "en")])
def test_phenomena_are_scored_by_the_word_that_agrees(source: str, target: str) -> None:
    data = TranslationDataModule(
        Phrasebook,
        source_lang=source,
        target_lang=target,
        num_pairs=400,
        generator_seed=0,
        held_out="sentence",
        val_share=0.1,
        test_share=0.2,
        **BATCHING,
    )
    data.setup()
    task = make_task(data)
    references, tags = data.references("test"), data.tags("test")
    # Every reference, except for the agreeing word of the sentences on number.
    spoilt = []
    for reference, phenomenon, place in zip(references, tags["phenomenon"], tags["place"], strict=True):
        words = reference.split()
        if phenomenon == "number":
            words[int(place)] = "faux"
        spoilt.append(" ".join(words))
    task._translated = lambda batch, losses, rows, found: [  # type: ignore[method-assign, assignment]
        each._replace(text=spoilt[each.pair]) for each in TranslationTask._translated(task, batch, losses, rows, found)
    ]
    metrics = scored(task, data)
    for name in set(tags["phenomenon"]):
        assert metrics[f"test/acc_phenomenon/{name}"] == (0 if name == "number" else 1)
        assert metrics[f"test/exact_match_phenomenon/{name}"] == (0 if name == "number" else 1)
    wrong = {distance for distance, name in zip(tags["distance"], tags["phenomenon"], strict=True) if name == "number"}
    for distance in set(tags["distance"]):
        assert (metrics[f"test/acc_distance/{distance:02d}"] < 1) == (distance in wrong)


def test_a_checkpoint_carries_the_tokenizers_as_plain_data(data: TranslationDataModule) -> None:
    task = make_task(data)
    task.trainer = Trainer(barebones=True)
    checkpoint: dict[str, Any] = {}
    task.on_save_checkpoint(checkpoint)
    other = TranslationDataModule(ParallelFiles, train="a", val="b", test="c", **FILES, **BATCHING)
    other.use_preprocessing_of(checkpoint)
    assert other._checkpoint_tokenizers is not None
    assert [each.digest for each in other._checkpoint_tokenizers] == [each.digest for each in data.tokenizers]
    assert checkpoint["rnnexp"]["source_tokenizer"] == data.tokenizers.source.digest[:12]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher_forcing": 1.5}, r"teacher_forcing must lie in \[0, 1\], not 1.5"),
        (
            {"teacher_forcing": 0.5},
            "teacher_forcing=0.5 needs a step-by-step decoder: use task.network.decoder=",
        ),
        ({"beam_size": 0}, "beam_size .* not 0$"),
        ({"val_sentences": 0}, "val_sentences must be a whole number of at least 1, not 0"),
        ({"length_penalty": -1.0}, r"length_penalty .* not -1\.0$"),
        ({"max_ratio": -1.0}, "max_ratio must not be negative, not -1.0"),
        ({"label_smoothing": 1.0}, r"label_smoothing must lie in \[0, 1\), not 1.0"),
        ({"network": {"attention": "aditive"}}, "unknown attention 'aditive': .*; did you mean 'additive'?"),
        ({"network": {"tied_embeddings": "all"}}, "tied_embeddings=all needs one vocabulary for both sides"),
    ],
)
def test_bad_values_are_refused(data: TranslationDataModule, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(data, **changes)


def test_the_timed_calls_translate_a_sentence_and_count_its_words(data: TranslationDataModule) -> None:
    task = make_task(data, length_penalty=0.3)
    workload = of_sentences(task, data, task.model)
    assert set(workload.calls) == {"latency", "beam5_latency"}
    assert len(workload.lengths) == len(data.sources("test")) == 23
    (first,) = workload.batches[1]()
    assert workload.calls["latency"][0]() == len(first.candidates[0].text.split())
    translator = Translator([task.model], task.tokenizers, 1, 1, 0.3, task.limits)
    assert first.candidates == translator.translate(data.sources("test")[:1])[0].candidates
    assert len(workload.batches[128]()) == 128
    assert set(workload.reasons) == {"step_latency"}
    # Two operations per multiply-add of one target token, for sources of eight tokens and EOS.
    of_a_token = multiply_adds(task.model, Work(source=0, target=1, pairs=9, sentences=0))
    assert workload.flops_per_step == 2 * sum(of_a_token.values())
