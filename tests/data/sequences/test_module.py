"""Splits, standardization, batches and the state of a user's sequences."""

import logging
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rnnexp.core.errors import UserError
from rnnexp.data.batches import NO_LABEL, MeasuredSequences, TaggedSequences
from rnnexp.data.sequences import preprocessing
from rnnexp.data.sequences.module import SequencesDataModule
from support.recording import loaders_of
from support.sequence_files import OPTIONS, make_data, rows_of, waves, write_csv, write_npz, write_ts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_npz(tmp_path / "waves.npz", waves())


def samples_of(data: SequencesDataModule) -> dict[str, list[int]]:
    return {split: samples.tolist() for split, samples in data._samples.items()}


def test_a_file_is_divided_by_the_seed_with_equal_shares_of_the_classes(path: Path) -> None:
    data = make_data(train=path)
    samples = samples_of(data)
    assert {split: len(each) for split, each in samples.items()} == {"train": 36, "val": 12, "test": 12}
    assert sorted(sample for each in samples.values() for sample in each) == list(range(60))
    for each in samples.values():
        assert len(set(Counter(sample % 3 for sample in each).values())) == 1
    assert samples_of(make_data(train=path)) == samples
    assert samples_of(make_data(train=path, split_seed=1)) != samples


@pytest.mark.parametrize("size", [0, 0.0])
def test_no_validation_takes_no_sequence(size: float, path: Path) -> None:
    samples = samples_of(make_data(train=path, val_size=size))
    assert samples["val"] == []
    assert len(samples["train"]) + len(samples["test"]) == 60


def test_a_group_is_in_one_split(path: Path) -> None:
    data = make_data(train=path, group="person", val_size=7, test_size=0.1)
    persons = {split: {sample // 5 for sample in each} for split, each in samples_of(data).items()}
    assert {split: len(each) for split, each in persons.items()} == {"train": 8, "val": 2, "test": 2}
    assert sum(len(each) for each in samples_of(data).values()) == 60
    assert len(set.union(*persons.values())) == 12


def test_a_group_of_two_files_is_refused(tmp_path: Path, path: Path) -> None:
    other = write_npz(tmp_path / "test.npz", waves(seed=1))
    with pytest.raises(UserError, match=r"its group '0' also has sequences in"):
        make_data(train=path, test=other, group="person")
    make_data(train=path, test=write_npz(other, waves(seed=1) | {"person": np.full(60, 99)}), group="person")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_size": 60}, "data.val_size=60 leaves none of its 60 sequences"),
        ({"val_size": 30, "test_size": 30}, "data.test_size=30 leaves none"),
        ({"test_size": 0}, "data.test_size=0: give one of them"),
        ({"val_size": 0.95, "group": "person"}, "data.val_size=0.95 leaves none of its 60 sequences in 12 groups"),
        ({"group": "city"}, "has no array 'city'"),
        ({"group": "x"}, r"'x' has shape \[60, 20, 2\]: data.group needs one value"),
        ({"predict": "waves.npz"}, "data.predict has no weights"),
    ],
)
def test_a_split_without_sequences_is_refused(options: dict[str, Any], message: str, path: Path) -> None:
    with pytest.raises(UserError, match=message):
        make_data(train=path, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"val_size": 1.5},
        {"test_size": -1},
        {"val_size": True},
        {"missing": "drop"},
        {"normalize": "minmax"},
        {"batch_size": 0},
        {"train": []},
        {"train": ["a.csv", "b.csv"]},
        {"train": 5},
        {"target": []},
        {"features": [1.5]},
        {"features": ["target"]},
        {"id": None},
    ],
)
def test_bad_values_are_refused_before_a_file_is_read(options: dict[str, Any]) -> None:
    (key,) = options
    with pytest.raises(ValueError, match=f"data.{key}|{key} must"):
        SequencesDataModule(**OPTIONS | options)


def test_a_class_only_in_test_is_refused(tmp_path: Path, path: Path) -> None:
    arrays = waves(seed=1)
    arrays["y"] = np.where(np.arange(60) == 7, "stand", arrays["y"])
    with pytest.raises(UserError, match="sequence '7': the class 'stand' does not occur in training, which has run"):
        make_data(train=path, test=write_npz(tmp_path / "test.npz", arrays))


def test_a_feature_missing_in_test_is_refused(tmp_path: Path, path: Path) -> None:
    rows = rows_of(waves())
    train = write_csv(tmp_path / "train.csv", rows)
    test = write_csv(tmp_path / "test.csv", [[*row[:3], *row[4:]] for row in rows])
    with pytest.raises(UserError, match=r"test.csv: has no column 'weight', a feature: it has id"):
        make_data(train=train, test=test)
    fewer = write_npz(tmp_path / "test.npz", waves() | {"x": np.zeros((60, 20, 1))})
    with pytest.raises(UserError, match=r"test.npz: has 1 features, and training 2"):
        make_data(train=path, test=fewer)


def test_other_columns_of_a_test_file_are_left_out(tmp_path: Path) -> None:
    rows = rows_of(waves())
    train = write_csv(tmp_path / "train.csv", rows)
    more = write_csv(tmp_path / "test.csv", [["note", *row] for row in rows])
    expected, data = make_data(train=train, test=train), make_data(train=train, test=more)
    assert data.data_info["test_digest"] == expected.data_info["test_digest"]


def test_inputs_are_standardized_with_the_training_split_alone(tmp_path: Path, path: Path) -> None:
    far = waves(seed=1)
    far["x"] = far["x"] + 1000
    data = make_data(train=path, test=write_npz(tmp_path / "test.npz", far))
    inputs = data._encoded["train"].inputs
    is_train = np.isin(np.repeat(np.arange(60), waves()["lengths"]), data._samples["train"])
    torch.testing.assert_close(inputs[is_train].mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(inputs[is_train].std(0, correction=0), torch.ones(2), atol=1e-5, rtol=0)
    assert data._encoded["test"].inputs.mean() > 100
    assert make_data(train=path, normalize="none").preprocessing.mean == [0, 0]


@pytest.mark.parametrize("chunk_size", [1, 7, 64])
def test_standardization_in_parts_is_that_over_all_steps_at_once(
    chunk_size: int, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preprocessing, "CHUNK_SIZE", chunk_size)
    data = make_data(train=path, test=write_npz(tmp_path / "test.npz", waves(seed=1)))
    arrays = waves()
    steps = arrays["x"][np.arange(20) < arrays["lengths"][:, None]]
    assert len(steps) > 5 * chunk_size
    assert len(steps) % chunk_size or chunk_size == 1, "the last part is short"
    is_train = np.isin(np.repeat(np.arange(60), arrays["lengths"]), data._samples["train"])
    mean, std = steps[is_train].mean(axis=0), steps[is_train].std(axis=0)
    assert data.preprocessing.mean == pytest.approx(mean)
    assert data.preprocessing.std == pytest.approx(std)
    expected = torch.from_numpy((steps - mean) / std).float()
    torch.testing.assert_close(data._encoded["train"].inputs, expected)


def test_large_offsets_keep_their_precision(tmp_path: Path) -> None:
    arrays = waves()
    expected = make_data(train=write_npz(tmp_path / "a.npz", arrays))
    arrays["x"] = arrays["x"] + 1.7e9  # seconds since 1970, of which float32 keeps only every 128th
    shifted = make_data(train=write_npz(tmp_path / "b.npz", arrays))
    torch.testing.assert_close(shifted._encoded["train"].inputs, expected._encoded["train"].inputs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("missing", ["refuse", "mask"])
def test_a_value_too_large_for_the_network_is_refused(missing: str, tmp_path: Path) -> None:
    arrays = waves()
    arrays["x"][3, 1, 1] = -1e300
    path = write_npz(tmp_path / "a.npz", arrays)
    with pytest.raises(UserError, match="sequence '3', step 1: feature 1: is too large"):
        make_data(train=path, normalize="none", missing=missing)


def test_a_constant_feature_is_zero_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arrays = waves()
    arrays["x"][:, :, 1] = 0.1
    with caplog.at_level(logging.WARNING):
        data = make_data(train=write_npz(tmp_path / "a.npz", arrays))
    assert "feature 1 is constant in training" in caplog.text
    assert data._encoded["train"].inputs[:, 1].abs().max() < 1e-6


def test_missing_values_are_masked(tmp_path: Path) -> None:
    arrays = waves()
    arrays["x"][:, 2, 0] = np.nan
    data = make_data(train=write_npz(tmp_path / "a.npz", arrays), missing="mask")
    assert data.input_size == 4
    batch = next(iter(data.train_dataloader()))
    assert batch.inputs[:, 2].tolist() == [[0, each[1], 1, 0] for each in batch.inputs[:, 2].tolist()]
    assert batch.inputs.isfinite().all()
    arrays["x"][:, :, 0] = np.nan
    with pytest.raises(UserError, match="feature 0: is missing in all training sequences"):
        make_data(train=write_npz(tmp_path / "a.npz", arrays), missing="mask")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array([2, -1, 10]), [-1, 2, 10]),
        (np.array([2.0, -1.0, 10.0]), [-1, 2, 10]),
        (np.array(["2", "-1", "10"]), [-1, 2, 10]),
        (np.array(["2.0", "1", "1.0"]), [1, 2]),
        (np.array(["10.0", "2.0", "0.0"]), [0, 2, 10]),
        (np.array(["02", "1", "b"]), ["02", "1", "b"]),
        (np.array(["9" * 20, "1", "2"]), ["1", "2", "9" * 20]),
        (np.array([True, False, True]), ["False", "True"]),
        (np.array(["none", "NA", "some"]), ["NA", "none", "some"]),
    ],
)
def test_class_names_are_kept(labels: Any, classes: list[Any], tmp_path: Path) -> None:
    arrays = waves() | {"y": np.tile(labels, 20)}
    assert make_data(train=write_npz(tmp_path / "a.npz", arrays)).classes == classes


def test_numbers_are_standardized_and_named(tmp_path: Path) -> None:
    arrays = waves() | {"y": np.stack([np.arange(60) * 10.0, np.full(60, 3.0)], axis=1)}
    data = make_data(MeasuredSequences, train=write_npz(tmp_path / "a.npz", arrays))
    samples = data._samples["train"]
    assert list(data.units.names) == ["y0", "y1"]
    assert data.units.mean == pytest.approx([float(samples.double().mean()) * 10, 3])
    assert data.units.std[1] == 1
    batch = next(iter(data.test_dataloader()))
    restored = batch.targets.double() * torch.tensor(data.units.std) + torch.tensor(data.units.mean)
    torch.testing.assert_close(restored[:, 0], data._samples["test"].double() * 10, atol=1e-3, rtol=0)
    rows = [[*row[:4], "temp" if row[0] == "id" else float(row[1]), row[5]] for row in rows_of(waves())]
    per_step = make_data(MeasuredSequences, train=write_csv(tmp_path / "a.csv", rows), target="temp", per_step=True)
    assert list(per_step.units.names) == ["temp"]
    batch = next(iter(per_step.test_dataloader()))
    assert batch.targets.shape == (*batch.inputs.shape[:2], 1)


def test_a_constant_target_is_zero_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # The deviation of this constant is 1e-17 by rounding.
    targets = np.full(60, 0.1)
    with caplog.at_level(logging.WARNING):
        data = make_data(MeasuredSequences, train=write_npz(tmp_path / "a.npz", waves() | {"y": targets}))
    assert "data.target: 'y' is the same in all training sequences, 0.1" in caplog.text
    assert data.units.std == [1.0]
    targets[data._samples["test"][0]] = 0.2
    data = make_data(MeasuredSequences, train=write_npz(tmp_path / "a.npz", waves() | {"y": targets}))
    assert next(iter(data.test_dataloader())).targets.abs().max() == pytest.approx(0.1)


def test_a_target_that_is_too_far_away_is_refused(tmp_path: Path, path: Path) -> None:
    targets = np.arange(60.0)
    test = int(samples_of(make_data(train=path))["test"][0])
    targets[test] = 1e300
    far = write_npz(tmp_path / "far.npz", waves() | {"y": targets})
    near = write_npz(tmp_path / "near.npz", waves() | {"y": np.arange(60.0)})
    with pytest.raises(UserError, match="a value of 'y' is too far from those of training"):
        make_data(MeasuredSequences, train=near, test=far)


def test_steps_have_tags_and_steps_past_the_end_none(tmp_path: Path) -> None:
    arrays = waves() | {"y": np.where(np.arange(20) % 2, "odd", np.where(np.arange(20) == 4, "", "even"))}
    arrays["y"] = np.broadcast_to(arrays["y"], (60, 20))
    path = write_npz(tmp_path / "a.npz", arrays)
    with pytest.raises(UserError, match=r"sequence .0., step 4: has no class: give it one, or use data.missing=mask"):
        make_data(TaggedSequences, train=path)
    data = make_data(TaggedSequences, train=path, missing="mask")
    assert data.classes == ["even", "odd"]
    for batch in data.train_dataloader():
        lengths = (
            batch.lengths if batch.lengths is not None else torch.full((len(batch.labels),), batch.labels.shape[1])
        )
        for labels, length in zip(batch.labels, lengths, strict=True):
            expected = [NO_LABEL if step == 4 else step % 2 for step in range(length)]
            assert labels.tolist() == expected + [NO_LABEL] * (len(labels) - int(length))


def test_evaluation_is_in_the_order_of_the_file_and_training_in_buckets(path: Path) -> None:
    data = make_data(train=path, test=path)
    lengths = [each for batch in data.test_dataloader() for each in batch.lengths.tolist()]
    assert lengths == waves()["lengths"].tolist()
    loader = data.train_dataloader()
    spread = [np.ptp(lengths) for batch in loader.batches() for lengths in [waves()["lengths"][batch]]]
    assert np.mean(spread) < 8
    assert sorted(torch.cat(list(loader.batches())).tolist()) == samples_of(data)["train"]


def test_equal_lengths_need_no_lengths(tmp_path: Path) -> None:
    arrays = waves()
    arrays["x"] = np.nan_to_num(arrays["x"])
    data = make_data(train=write_npz(tmp_path / "a.npz", {name: arrays[name] for name in ("x", "y")}))
    assert data.seq_len == 20
    assert all(batch.lengths is None for batch in data.train_dataloader())
    assert make_data(train=write_npz(tmp_path / "b.npz", waves())).seq_len is None


def inputs_of(loader: Any) -> list[Any]:
    return [batch.inputs.tolist() for batch in loader]


def test_the_order_depends_on_seed_and_epoch_and_continues_within_an_epoch(path: Path) -> None:
    first, second = make_data(train=path).train_dataloader(), make_data(train=path).train_dataloader()
    for loader in (first, second):
        loader.set_epoch(3)
    whole = inputs_of(first)
    assert inputs_of(second) == whole
    interrupted = make_data(train=path).train_dataloader()
    interrupted.set_epoch(3)
    batches = iter(interrupted)
    begun = [next(batches).inputs.tolist() for _ in range(2)]
    continued = make_data(train=path).train_dataloader()
    continued.load_state_dict(interrupted.state_dict())
    continued.set_epoch(3)
    assert begun + inputs_of(continued) == whole
    first.set_epoch(4)
    assert inputs_of(first) != whole
    assert inputs_of(make_data(train=path, seed=2).train_dataloader()) != inputs_of(
        make_data(train=path).train_dataloader()
    )


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_the_samples(world_size: int, path: Path) -> None:
    seen: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    sizes = set()
    for rank in range(world_size):
        data = make_data(train=path)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, overfit_batches=0)
        loaders = loaders_of(data)
        sizes.add(len(loaders["train"]))
        for split, loader in loaders.items():
            seen[split] += [sample for batch in loader.batches() for sample in batch.tolist()]
    assert len(sizes) == 1
    assert {split: sorted(samples) for split, samples in seen.items()} == samples_of(make_data(train=path))


def test_the_state_is_plain_and_is_used_for_other_files(tmp_path: Path, path: Path) -> None:
    trained = make_data(train=path)
    state = trained.state_dict()
    torch.save(state, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    checkpoint = {"SequencesDataModule": saved, "state_dict": {"head.bias": torch.zeros(3)}}
    other = SequencesDataModule(**OPTIONS | {"test": str(write_ts(tmp_path / "b.ts", waves(seed=5)))})
    other.use_preprocessing_of(checkpoint)
    other.setup()
    assert other.preprocessing == trained.preprocessing
    assert other.data_info["num_train"] == 36
    assert other.data_info["num_test"] == 60
    trained.load_state_dict(state)
    with pytest.raises(UserError, match="on other sequences"):
        make_data(train=path, split_seed=1).load_state_dict(state)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean", [float("nan"), 0.0]),
        ("std", [1.0]),
        ("std", [0.0, 1.0]),
        ("std", [1.0, -1.0]),
        ("classes", ["run", "run", "walk"]),
        ("classes", [True, False]),
        ("classes", ["", "run"]),
        ("features", ["one", "one"]),
        ("num_train", -1),
        ("units", {"names": ["y"], "mean": [0.0], "std": [0.0]}),
        ("mean", "two"),
        ("features", ["one"]),
        ("classes", [None, 1]),
        ("classes", None),
        ("classes", ["run", "sit", "stand", "walk"]),
        ("units", {"names": ["y"], "mean": [0.0], "std": [1.0]}),
        ("num_train", None),
        ("units", {"names": ["y"], "mean": [0.0], "std": []}),
    ],
)
def test_a_damaged_state_is_refused(key: str, value: Any, path: Path) -> None:
    state = make_data(train=path).state_dict() | {key: value}
    data = SequencesDataModule(**OPTIONS | {"test": str(path)})
    with pytest.raises((TypeError, ValueError)):
        data.use_preprocessing_of({"SequencesDataModule": state, "state_dict": {"head.bias": torch.zeros(3)}})


def test_common_sequences_are_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        make_data(train=path, test=path)
    assert "48 of 60 test sequences are also in training" in caplog.text


def test_a_header_of_an_array_larger_than_memory_is_refused(tmp_path: Path) -> None:
    header = np.lib.format.header_data_from_array_1_0(np.empty((0,)))
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": (10**9, 1000, 25)})
    np.save(tmp_path / "y.npy", np.zeros(1))
    with pytest.raises(UserError, match=r"x.npy: takes 100,000.0 GB of memory, and .* keeps all sequences in memory"):
        make_data(train=[str(tmp_path / "x.npy"), str(tmp_path / "y.npy")])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of the address space")
def test_data_larger_than_memory_are_refused_before_they_are_read(tmp_path: Path) -> None:
    num_samples = 100_000
    header = np.lib.format.header_data_from_array_1_0(np.empty((0,)))
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": (num_samples, 1000, 25)})
        file.truncate(file.tell() + num_samples * 1000 * 25 * 8)  # 20 GB that take no room on the disk
    np.save(tmp_path / "y.npy", np.arange(num_samples) % 2)
    script = (
        "import resource, sys; from support.sequence_files import make_data; "
        "resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)); make_data(train=sys.argv[1:])"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert "x.npy: takes 10.0 GB of memory, and" in done.stderr
    assert "GB are free: data=sequences keeps all sequences in memory" in done.stderr


def test_another_test_file_needs_neither_the_others_nor_groups() -> None:
    overrides = SequencesDataModule.evaluation_overrides
    assert overrides({"test"}) == {"train": None, "val": None, "group": None}
    assert overrides({"batch_size"}) == {}
    assert set(overrides({"predict"})) == {"train", "val", "test", "group"}
