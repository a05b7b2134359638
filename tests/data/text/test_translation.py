"""The data module on a small corpus of files, used alone and by Lightning."""

import json
import logging
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnexp.core.errors import UserError
from rnnexp.data.batches import TranslationBatch
from rnnexp.data.corpora.parallel import ParallelFiles
from rnnexp.data.text.parallel_text import CorpusContent, ParallelText
from rnnexp.data.text.translation import TranslationDataModule
from rnnexp.text.vocabulary import BOS, EOS, PAD
from support.recording import MAX_EPOCHS, Recorder, StopAt, Stopped, loaders_of, make_trainer

# Lightning 2.6 calls torch.utils._pytree in a deprecated way.
pytestmark = pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")

SIZES = {"train": 61, "val": 9, "test": 7}
WORDS = ["un", "deux", "trois,", "Quatre", "l'été"]
BATCHING: dict[str, Any] = {
    "unit": "word",
    "vocab_size": 270,
    "min_frequency": 1,
    "joint": False,
    "max_length": 100,
    "max_eval_length": 1000,
    "batch_size": 8,
    "batch_unit": "sentences",
    "eval_batch_size": 4,
    "window": 3,
    "seed": 0,
    "cache": None,
}

MakeData = Callable[..., TranslationDataModule]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    generator = random.Random(0)
    for split, size in SIZES.items():
        sources = [" ".join(generator.choices(WORDS, k=generator.randint(1, 12))) for _ in range(size)]
        rows = [f"{source}\t{source.upper()} {number % 7}" for number, source in enumerate(sources)]
        (tmp_path / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def make_data(root: Path) -> MakeData:
    files = {split: str(root / f"{split}.tsv") for split in SIZES}
    languages = {"source_lang": "fr", "target_lang": "FR", "columns": None, "max_line_bytes": 100_000}
    return lambda **changes: TranslationDataModule(ParallelFiles, **(languages | files | BATCHING | changes))


@pytest.fixture
def data(make_data: MakeData) -> TranslationDataModule:
    made = make_data()
    made.setup()
    return made


def test_batches_hold_the_sentences_of_their_indices(data: TranslationDataModule) -> None:
    for split, loader in loaders_of(data).items():
        seen: list[int] = []
        batches = list(loader)
        assert len(batches) == len(loader)
        for batch in batches:
            assert isinstance(batch, TranslationBatch)
            assert {tensor.dtype for tensor in batch} == {torch.int64}
            assert batch.source.shape == (len(batch.indices), int(batch.source_lengths.max()))
            assert batch.target.shape == (len(batch.indices), int(batch.target_lengths.max()))
            for row, index in enumerate(batch.indices.tolist()):
                source = batch.source[row, : batch.source_lengths[row]].tolist()
                target = batch.target[row, : batch.target_lengths[row]].tolist()
                assert source == [*data.tokenizers.source.encode(data.sources(split)[index]), EOS]
                assert target == [BOS, *data.tokenizers.target.encode(data.references(split)[index]), EOS]
                assert (batch.source[row, batch.source_lengths[row] :] == PAD).all()
                assert (batch.target[row, batch.target_lengths[row] :] == PAD).all()
                assert data.tokenizers.target.decode(batch.target[row].tolist()) == data.references(split)[index]
            seen += batch.indices.tolist()
        assert sorted(seen) == list(range(SIZES[split]))


def test_a_batch_is_a_copy(data: TranslationDataModule) -> None:
    loader = data.val_dataloader()
    first = next(iter(loader))
    before = first.source.clone()
    first.source.zero_()
    assert torch.equal(next(iter(loader)).source, before)


@pytest.mark.parametrize("unit", ["bpe", "word", "char"])
@pytest.mark.parametrize("joint", [True, False])
def test_description_is_flat_and_correct(make_data: MakeData, unit: str, joint: bool) -> None:
    data = make_data(unit=unit, joint=joint)
    data.setup()
    description = data.data_info
    assert all(value is None or isinstance(value, str | int | float) for value in description.values())
    assert (
        description
        | {
            "name": "parallel",
            "source_lang": "fr",
            "target_lang": "FR",
            "unit": unit,
            "joint": joint,
            "source_vocab_size": len(data.tokenizers.source),
            "target_vocab_size": len(data.tokenizers.target),
            "num_train": 61,
            "num_val": 9,
            "num_test": 7,
            "num_train_too_long": 0,
        }
        == description
    )
    assert len(str(description["digest"])) == 64
    assert (data.tokenizers.source is data.tokenizers.target) == joint


def test_the_test_digest_depends_only_on_the_test_split(root: Path, make_data: MakeData) -> None:
    def digest(**changes: Any) -> object:
        data = make_data(**changes)
        data.setup()
        return data.data_info["test_digest"]

    first = digest()
    (root / "train.tsv").write_text("un deux\tUN\n" * 20, encoding="utf-8")
    assert digest(unit="char", max_length=50) == first
    swapped = [line.split("\t") for line in (root / "test.tsv").read_text(encoding="utf-8").split("\n") if line]
    for column, name in enumerate(("source", "target")):
        (root / name).write_text("\n".join(row[column] for row in swapped), encoding="utf-8")
    assert digest(test=[str(root / "source"), str(root / "target")]) == first
    assert digest(test=[str(root / "target"), str(root / "source")]) != first
    (root / "target").write_text("\n".join([*(row[1] for row in swapped[:-1]), "x"]), encoding="utf-8")
    assert digest(test=[str(root / "source"), str(root / "target")]) != first


def test_long_sentences_are_counted_and_excluded_only_from_training(
    make_data: MakeData, caplog: pytest.LogCaptureFixture
) -> None:
    data = make_data(max_length=9)
    with caplog.at_level(logging.INFO):
        data.setup()
    is_long = {
        split: [
            index
            for index, (source, target) in enumerate(zip(data.sources(split), data.references(split), strict=True))
            if max(len(data.tokenizers.source.encode(source)), len(data.tokenizers.target.encode(target))) > 9
        ]
        for split in SIZES
    }
    counts = {split: len(indices) for split, indices in is_long.items()}
    assert all(counts.values())
    assert {split: data.data_info[f"num_{split}_too_long"] for split in SIZES} == counts
    assert data.data_info["num_train"] == 61 - counts["train"]
    seen = [index for batch in data.train_dataloader() for index in batch.indices.tolist()]
    assert sorted(seen) == sorted(set(range(61)) - set(is_long["train"]))
    assert sum(len(batch.indices) for batch in data.val_dataloader()) == 9
    assert caplog.messages == [
        "parallel fr-FR: 61 train, 9 val, 7 test pairs",
        f"longer than data.max_length=9 tokens: {counts['train']} training pairs, which are left out, and "
        f"{counts['val'] + counts['test']} validation and test pairs, which are kept",
    ]


def test_a_limit_below_every_sentence(root: Path, make_data: MakeData) -> None:
    (root / "train.tsv").write_text("un deux\tUN DEUX\n" * 5, encoding="utf-8")
    with pytest.raises(
        UserError,
        match=r"each of the 5 training pairs has a side of more than data\.max_length=1 tokens: choose a larger one",
    ):
        make_data(max_length=1).setup()


def test_an_empty_sentence_survives(root: Path, make_data: MakeData) -> None:
    (root / "val.tsv").write_text("un\tdeux\nun\t \n", encoding="utf-8")
    (root / "test.txt").write_text("\nun\n", encoding="utf-8")
    (root / "test.target").write_text("\nUN\n", encoding="utf-8")
    data = make_data(test=[str(root / "test.txt"), str(root / "test.target")])
    data.setup()
    assert {name: data.data_info[f"num_{name}_empty"] for name in SIZES} == {"train": 0, "val": 1, "test": 1}
    batch = next(iter(data.test_dataloader()))
    assert batch.source[batch.indices == 0].tolist() == [[EOS, PAD]]
    assert batch.target[batch.indices == 0].tolist() == [[BOS, EOS, PAD]]


def test_pairs_with_an_empty_side_are_left_out_of_training(
    root: Path, make_data: MakeData, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ["un deux\tUN", "\tUN", "un\t", "\t", "deux\tDEUX"]
    (root / "train.tsv").write_text("\n".join(rows), encoding="utf-8")
    data = make_data(batch_size=2)
    data.setup()
    assert data.data_info["num_train"] == 2
    seen = [index for batch in data.train_dataloader() for index in batch.indices.tolist()]
    assert sorted(seen) == [0, 4]
    assert "parallel fr-FR: 3 of 5 train pairs have an empty side, and are left out" in caplog.messages
    (root / "train.tsv").write_text("un\t\n" * 3, encoding="utf-8")
    with pytest.raises(UserError, match=r"each of the 3 training pairs has an empty side"):
        make_data().setup()


@pytest.mark.parametrize(
    ("rows", "remark"),
    [
        (["un deux\tHallo , du .", "trois\tJa ."], "the train references look tokenized, 100% of their full stops"),
        (["1\tUN", "2\tDEUX"], "the training sources are all numbers: is that the column of the sentences?"),
        (["un deux\tHallo, du.", "trois\tJa !", "un\tOui ?", "deux\tM. X."], None),
    ],
)
def test_remarks_about_a_corpus(
    root: Path, make_data: MakeData, caplog: pytest.LogCaptureFixture, rows: list[str], remark: str | None
) -> None:
    (root / "train.tsv").write_text("\n".join(rows), encoding="utf-8")
    make_data().setup()
    found = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert [remark in message for message in found] == [True] if remark else not found


def test_pairs_in_two_splits_are_counted(root: Path, make_data: MakeData, caplog: pytest.LogCaptureFixture) -> None:
    make_data(test=str(root / "train.tsv")).setup()
    assert any("61 of 61 test pairs are training pairs, too" in message for message in caplog.messages)


def test_the_validation_split_as_the_test_is_remarked_on(
    root: Path, make_data: MakeData, caplog: pytest.LogCaptureFixture
) -> None:
    make_data(val=str(root / "train.tsv"), test=str(root / "train.tsv")).setup()
    assert any(message.endswith("no score is of new sentences") for message in caplog.messages)


def test_the_first_pair_is_shown(root: Path, make_data: MakeData) -> None:
    (root / "train.tsv").write_text("\x1b[31m[/b] un" + "!" * 90 + "\tUN\n", encoding="utf-8")
    data = make_data()
    data.setup()
    source, target = data.example.split(" -> ")
    assert source.startswith(r"'\x1b[31m[/b] un!!")
    assert source.endswith("!...'")
    assert len(source) < 70
    assert target == "'UN'"


class Tagged:
    name, source_lang, target_lang = "tagged", "a", "b"

    def __init__(self, num_test: int) -> None:
        self.num_test = num_test

    def prepare(self) -> None:
        pass

    def read(self) -> CorpusContent:
        text = ParallelText(["a b", "b"], ["c", "d"], {"phenomenon": ["number", "tense"], "distance": [0, 3]})
        test = ParallelText(["a"] * self.num_test, ["c"] * self.num_test)
        return CorpusContent({"train": text, "val": text, "test": test}, {"grammar": 1})


def test_tags_and_details_of_a_corpus_are_passed_on() -> None:
    data = TranslationDataModule(Tagged, num_test=1, **BATCHING)
    data.setup()
    assert data.tags("val") == {"phenomenon": ["number", "tense"], "distance": [0, 3]}
    assert data.tags("test") == {}
    assert data.data_info["grammar"] == 1
    with pytest.raises(ValueError, match="unknown split 'valid': choose one of train, val, test; did you mean 'val'"):
        data.tags("valid")


def test_an_empty_test_set() -> None:
    with pytest.raises(UserError, match="the test split of the corpus 'tagged' is empty: it needs one pair"):
        TranslationDataModule(Tagged, num_test=0, **BATCHING).setup()


@pytest.mark.parametrize(
    "name", ["max_length", "batch_size", "eval_batch_size", "window", "vocab_size", "min_frequency"]
)
def test_sizes_must_be_positive(make_data: MakeData, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} .* not 0$"):
        make_data(**{name: 0})


def test_choices_are_checked_before_anything_is_read(make_data: MakeData) -> None:
    with pytest.raises(ValueError, match=r"unknown data\.unit 'bpee': .*; did you mean 'bpe'"):
        make_data(unit="bpee")
    with pytest.raises(ValueError, match=r"unknown data\.batch_unit 'sentence': .*; did you mean 'sentences'"):
        make_data(batch_unit="sentence")


def test_only_token_ids_move_to_the_device(data: TranslationDataModule) -> None:
    batch = next(iter(data.val_dataloader()))
    moved = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert [tensor.device.type for tensor in moved] == ["meta", "cpu", "meta", "cpu", "cpu"]


def indices_of(batch: TranslationBatch) -> list[int]:
    indices: list[int] = batch.indices.tolist()
    return indices


def uninterrupted(data: TranslationDataModule, **options: Any) -> list[list[int]]:
    model = Recorder(indices_of)
    make_trainer(**options).fit(model, datamodule=data)
    return model.seen


@pytest.mark.parametrize("units", [{}, {"batch_unit": "tokens", "batch_size": 120}], ids=["sentences", "tokens"])
def test_resume_after_any_batch(make_data: MakeData, tmp_path: Path, units: dict[str, Any]) -> None:
    expected = uninterrupted(make_data(**units))
    num_batches = len(expected) // MAX_EPOCHS
    assert num_batches > 5
    for epoch in range(MAX_EPOCHS):
        of_epoch = expected[epoch * num_batches : (epoch + 1) * num_batches]
        assert sorted(pair for batch in of_epoch for pair in batch) == list(range(61))
    for stop in range(1, len(expected)):
        first, second = Recorder(indices_of), Recorder(indices_of)
        path = tmp_path / f"{stop}.ckpt"
        with pytest.raises(Stopped):
            make_trainer(StopAt("on_train_batch_end", stop, path)).fit(first, datamodule=make_data(**units))
        make_trainer(
            max_epochs=MAX_EPOCHS,
        ).fit(second, datamodule=make_data(**units), ckpt_path=path, weights_only=True)
        assert first.seen + second.seen == expected


@pytest.mark.parametrize(
    "change",
    [{"batch_size": 40}, {"batch_unit": "tokens"}, {"window": 5}, {"seed": 1}],
    ids=lambda change: next(iter(change)),
)
def test_an_epoch_cannot_be_continued_in_another_order(make_data: MakeData, change: dict[str, Any]) -> None:
    first, second = make_data(batch_size=50), make_data(**{"batch_size": 50} | change)
    first.setup()
    second.setup()
    iterator = iter(first.train_dataloader())
    next(iterator)
    loader = first.train_dataloader()
    state = {**loader.state_dict(), "batch": 1}
    other = second.train_dataloader()
    other.load_state_dict(state)
    name, now = next(iter(change.items()))
    with pytest.raises(
        UserError, match=f"middle of an epoch with {name}={state[name]}, now it is {now}: continue with"
    ):
        next(iter(other))


def test_validation_sees_every_pair_once(make_data: MakeData) -> None:
    model = Recorder(indices_of)
    make_trainer(num_sanity_val_steps=0).fit(model, datamodule=make_data())
    assert sorted(model.seen_in_validation) == sorted(MAX_EPOCHS * list(range(9)))


def test_overfitting_repeats_the_same_batches(make_data: MakeData) -> None:
    seen = uninterrupted(make_data(), overfit_batches=2)
    assert len(seen) == 2 * MAX_EPOCHS
    assert seen[:2] == seen[2:4] == seen[4:]


def test_fetching_needs_no_lightning() -> None:
    code = """
import sys
from rnnexp.data.corpora import multi30k, parallel, tatoeba
from rnnexp.data.corpora.phrasebook import corpus
from rnnexp.data.images import fetch
from rnnexp.text import tokenizers
print(sorted({"torch", "lightning"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "[]\n"


DISTRIBUTED = """
import json
import sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from rnnexp.data.corpora.parallel import ParallelFiles
from rnnexp.data.text.translation import TranslationDataModule
from support.recording import Recorder, make_trainer
from test_translation import BATCHING, indices_of

files = {split: f"{sys.argv[3]}/{split}.tsv" for split in ("train", "val", "test")}
model = Recorder(indices_of)
trainer = make_trainer(devices=2, strategy="ddp", num_sanity_val_steps=0)
lines = {"columns": None, "max_line_bytes": 100_000}
data = TranslationDataModule(ParallelFiles, source_lang="fr", target_lang="FR", **lines, **files, **BATCHING)
trainer.fit(model, datamodule=data)
seen = json.dumps([model.seen, model.seen_in_validation])
Path(sys.argv[3], f"{trainer.global_rank}.json").write_text(seen, encoding="utf-8")
"""


@pytest.mark.slow
def test_two_processes_share_each_epoch(root: Path) -> None:
    script = root / "distributed.py"
    script.write_text(DISTRIBUTED, encoding="utf-8")
    here = Path(__file__).parent
    command = [sys.executable, str(script), str(here.parents[1]), str(here), str(root)]
    subprocess.run(command, check=True, timeout=200, capture_output=True)
    (first, first_val), (second, second_val) = (
        json.loads((root / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)
    )
    assert sorted(first_val + second_val) == sorted(MAX_EPOCHS * list(range(9)))
    assert len(first) == len(second) == MAX_EPOCHS * 4
    for start in range(0, len(first), 4):
        both = first[start : start + 4] + second[start : start + 4]
        assert sorted(pair for batch in both for pair in batch) == list(range(61))


@pytest.mark.parametrize("split", ["val", "test"])
def test_very_long_sentences_are_refused_before_they_take_memory(root: Path, make_data: MakeData, split: str) -> None:
    (root / f"{split}.tsv").write_text("un\tUN\nun\t" + "UN " * 1001 + "\n", encoding="utf-8")
    message = rf"sentence pair 2 of the {split} split has 1,001 tokens, more than data\.max_eval_length=1000: divide"
    with pytest.raises(UserError, match=message):
        make_data().setup()
    make_data(max_eval_length=1001).setup()


def test_more_tokens_than_the_text_supports(
    make_data: MakeData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):  # also with the corpus from the cache
        caplog.clear()
        data = make_data(unit="bpe", vocab_size=10_000, cache=str(tmp_path / "cache"))
        data.setup()
        size = len(data.tokenizers.source)
        assert 260 < size < 1000
        assert any(
            message.startswith("data.vocab_size=10000 is more than") and f" make {size} tokens" in message
            for message in caplog.messages
        )


@pytest.mark.parametrize("side", ["source", "target"])
def test_words_need_spaces(root: Path, make_data: MakeData, side: str) -> None:
    pair = ["我今天早上在公园里看到两只狗在跳。", "This morning I saw two dogs."]
    rows = pair if side == "source" else pair[::-1]
    (root / "train.tsv").write_text("\t".join(rows) + "\n", encoding="utf-8")
    language = {"source": "fr", "target": "FR"}[side]
    with pytest.raises(UserError, match=rf"data\.unit=word needs spaces .* '{language}' .*\(Chinese script\): use"):
        make_data().setup()
    for unit in ("bpe", "char"):
        data = make_data(unit=unit, min_frequency=1)
        data.setup()
        assert data.tokenizers.source.decode(data.tokenizers.source.encode(rows[0])) == rows[0]
