"""The content of the user's own files in the identity of a run."""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UserError
from rnnexp.runs.frozen.inputs import changed_inputs, require_same_inputs, require_unchanged, with_inputs
from rnnexp.tracking.config_file import read_config_file, write_config_file
from rnnexp.tracking.identity import SEEDS, config_hash, identity_of
from support.programs import write_dataset

Config = dict[str, Any]


def parallel(train: object, **data: object) -> Config:
    corpus = {"_target_": "rnnexp.data.corpora.parallel.ParallelFiles", "_partial_": True}
    node = {"_target_": "rnnexp.data.text.translation.TranslationDataModule", "corpus": corpus, "unit": "word"}
    return {"seed": 1, "data": node | {"source_lang": "source", "train": train} | data}


def images(root: Path, name: str = "Mine") -> Config:
    node = {"_target_": "rnnexp.data.images.mnist.MNISTDataModule", "root": str(root), "name": name}
    return {"seed": 1, "data": node}


def hash_of(config: Config) -> str:
    return config_hash(with_inputs(config))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with modules and a corpus of the user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine.tsv").write_text("a\tA\n", encoding="utf-8")
    return tmp_path


def test_the_spelling_of_a_path_does_not_change_the_experiment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place))
    (place / "link").symlink_to(place)
    (place / "other.tsv").symlink_to("mine.tsv")
    (place / "copy.tsv").write_bytes((place / "mine.tsv").read_bytes())
    spellings = ["mine.tsv", "./mine.tsv", str(place / "mine.tsv"), "~/mine.tsv", "link/mine.tsv"]
    assert len({hash_of(parallel(spelling)) for spelling in [*spellings, "other.tsv", "copy.tsv"]}) == 1


def test_changed_content_is_another_experiment_and_a_new_time_is_not(place: Path) -> None:
    before = hash_of(parallel("mine.tsv"))
    os.utime(place / "mine.tsv", (1, 1))
    assert hash_of(parallel("mine.tsv")) == before
    (place / "mine.tsv").write_text("a\tB\n", encoding="utf-8")
    os.utime(place / "mine.tsv", (1, 1))
    assert hash_of(parallel("mine.tsv")) != before


def test_each_file_of_a_pair_counts_in_its_place(place: Path) -> None:
    (place / "b.txt").write_text("B\n", encoding="utf-8")
    (place / "a.txt").write_text("A\n", encoding="utf-8")
    one, two = parallel(["a.txt", "b.txt"]), parallel(["b.txt", "a.txt"])
    assert len({hash_of(one), hash_of(two), hash_of(parallel("mine.tsv"))}) == 3


def test_a_word_that_is_also_the_name_of_a_file_is_a_word(place: Path) -> None:
    before = hash_of(parallel("mine.tsv"))
    for name in ("source", "word", "rows"):
        (place / name).write_text("here by chance", encoding="utf-8")
    config = with_inputs(parallel("mine.tsv"))
    assert config_hash(config) == before
    assert config["data"]["source_lang"] == "source"


def test_a_missing_file_is_left_to_its_reader(place: Path) -> None:
    config = with_inputs(parallel("nowhere.tsv", val=None, test=str(place)))
    assert config["inputs"] == []
    assert config["data"]["train"] == "nowhere.tsv"


def test_images_of_the_user_count_and_published_ones_do_not(tmp_path: Path) -> None:
    for name in ("Mine", "FashionMNIST"):
        write_dataset(tmp_path / name / "raw", seed=0)
    before = {name: hash_of(images(tmp_path, name)) for name in ("Mine", "FashionMNIST")}
    assert len(with_inputs(images(tmp_path))["inputs"]) == 4
    for name in before:
        (tmp_path / name / "raw" / "t10k-labels-idx1-ubyte").write_bytes(b"other")
    assert hash_of(images(tmp_path)) != before["Mine"]
    # A dataset that is fetched while the first run starts keeps its identity.
    assert hash_of(images(tmp_path, "FashionMNIST")) == before["FashionMNIST"]
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    moved.symlink_to(tmp_path)
    assert hash_of(images(moved)) == hash_of(images(tmp_path))


@pytest.mark.parametrize("key", ["path", "file"])
def test_any_key_of_a_data_module_of_the_user_may_name_a_file(place: Path, key: str) -> None:
    (place / "my_data.py").write_text("class Arrays: ...\n", encoding="utf-8")
    config = {"data": {"_target_": "my_data.Arrays", "nested": {key: "mine.tsv"}, "directory": "."}}
    before = hash_of(config)
    assert with_inputs(config)["data"]["directory"] == str(place.resolve())
    (place / "mine.tsv").write_text("other", encoding="utf-8")
    assert hash_of(config) != before


MODULES: dict[str, Config] = {
    "callback": {"callbacks": {"mine": {"_target_": "my_module.Mine"}}},
    "cell": {"model": {"_target_": "rnnexp.recurrent.RecurrentStack", "cell": "my_module.mgu"}},
    "object": {"model": {"cell": {"_target_": "hydra.utils.get_object", "path": "my_module.mgu"}}},
    "optimizer": {"optimizer": {"_target_": "my_module.Adam", "_partial_": True}},
    "corpus": {"data": {"corpus": {"_target_": "my_module.Corpus", "_partial_": True}}},
}


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("edited", ["my_module.py", "my_helper.py", "my_package/__init__.py", "my_package/deep.py"])
def test_the_source_of_the_user_counts_with_what_it_imports(place: Path, kind: str, edited: str) -> None:
    (place / "my_package").mkdir()
    sources = {
        "my_module.py": "import torch\nfrom my_helper import f\ndef g():\n    from my_package import deep\n",
        "my_helper.py": "import os, json\nimport my_module\n",
        "my_package/__init__.py": "",
        "my_package/deep.py": "from . import nothing\nfrom .. import beyond\n",
        "my_other.py": "",
    }
    for name, source in sources.items():
        (place / name).write_text(source, encoding="utf-8")
    before = with_inputs(MODULES[kind])
    assert [file["key"] for file in before["inputs"]] == [
        *("module:my_helper", "module:my_module", "module:my_package", "module:my_package.deep"),
    ]
    assert not {"my_module", "my_helper", "my_package"} & set(sys.modules)
    (place / "my_other.py").write_text("x = 1\n", encoding="utf-8")
    assert hash_of(MODULES[kind]) == config_hash(before)
    (place / edited).write_text("x = 1\n", encoding="utf-8")
    assert hash_of(MODULES[kind]) != config_hash(before)


def test_code_that_only_records_does_not_count(place: Path) -> None:
    (place / "my_module.py").write_text("x = 1\n", encoding="utf-8")
    recording = MODULES["callback"] | {"run_only": ["callbacks.mine"], "logger": {"mine": {"_target_": "my_module.L"}}}
    assert with_inputs(recording)["inputs"] == []


def test_installed_code_does_not_count(place: Path) -> None:
    (place / "broken.py").write_text("def (", encoding="utf-8")
    targets = ["torch.optim.Adam", "rnnexp.tasks.base.Task", "json.dumps", "broken.X", "nowhere.X", "__main__.X"]
    config = {"callbacks": {str(number): {"_target_": target} for number, target in enumerate(targets)}}
    assert [file["key"] for file in with_inputs(config)["inputs"]] == ["module:broken"]


def test_a_package_without_init_within_another_counts(place: Path) -> None:
    (place / "outer" / "inner").mkdir(parents=True)
    (place / "outer" / "inner" / "cells.py").write_text("x = 1\n", encoding="utf-8")
    config = {"callbacks": {"mine": {"_target_": "outer.inner.cells.Mine"}}}
    assert [file["key"] for file in with_inputs(config)["inputs"]] == ["module:outer.inner.cells"]


def test_packages_in_a_directory_of_their_own_are_installed_code(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = place / "packages"
    (packages / "other-1.0.dist-info").mkdir(parents=True)
    (packages / "other.py").write_text("x = 1\n", encoding="utf-8")
    (place / "mine.py").write_text("import other\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(packages))
    config = {"callbacks": {"mine": {"_target_": "mine.Mine"}}}
    assert [file["key"] for file in with_inputs(config)["inputs"]] == ["module:mine"]


@pytest.mark.parametrize("make", [parallel, lambda train: images(Path(train).parent)])
def test_the_hash_follows_from_the_frozen_file(place: Path, make: Callable[[str], Config]) -> None:
    write_dataset(place / "Mine" / "raw", seed=0)
    frozen = with_inputs(make(str(place / "mine.tsv")))
    write_config_file(place / "config.yaml", frozen)
    assert config_hash(read_config_file(place / "config.yaml")) == config_hash(frozen)
    assert config_hash(with_inputs(frozen)) == config_hash(frozen)
    assert str(place) not in str(identity_of(frozen, *SEEDS))


def test_a_file_that_changed_is_named(place: Path) -> None:
    frozen = with_inputs(parallel("mine.tsv"))
    os.utime(place / "mine.tsv", (1, 1))
    require_unchanged(frozen)
    require_same_inputs(frozen, frozen, "last.ckpt")
    (place / "mine.tsv").write_text("b\tB\n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"{place}/mine\.tsv has changed since this run began: restore it, or"):
        require_unchanged(frozen)
    with pytest.raises(UserError, match=rf"{place}/mine\.tsv has changed since last\.ckpt was saved"):
        require_same_inputs(with_inputs(parallel("mine.tsv")), frozen, "last.ckpt")
    (place / "mine.tsv").unlink()
    require_unchanged(frozen)


def test_a_file_that_an_evaluation_replaces_may_have_changed(place: Path) -> None:
    write_dataset(place / "Mine" / "raw", seed=0)
    frozen = with_inputs(images(place))
    (place / "Mine" / "raw" / "train-labels-idx1-ubyte").write_bytes(b"other")
    assert [key for key, _ in changed_inputs(frozen)] == ["data.root/train-labels-idx1-ubyte"]
    for replaced in ("root", "name"):
        assert list(changed_inputs(frozen, without=[replaced])) == []
    assert list(changed_inputs(frozen, without=["val_size"])) != []


def test_a_file_is_read_once_for_all_jobs_of_a_command(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    reads = []

    def digest(*given: Any) -> Any:
        reads.append(given)
        return file_digest(*given)

    file_digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", digest)
    for config in [with_inputs(parallel("mine.tsv", batch_size=size)) for size in range(100)]:
        require_unchanged(config)
    assert len(reads) == 1
