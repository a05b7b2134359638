"""The canary of torch's file format, and files that are not what the reader expects."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnnexp.compat import torch_file
from rnnexp.compat.torch_file import read_tensors
from rnnexp.core.files.bounded import TooLargeError

TENSORS = {
    "labels": torch.arange(1000),
    "predicted": torch.arange(1000, dtype=torch.int32),
    "confidence": torch.rand(1000),
    "many": torch.rand(10, 3, dtype=torch.float64),
    "flags": torch.tensor([True, False]),
    "none": torch.empty(0, dtype=torch.int64),
}


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def test_the_tensors_that_torch_saved(tmp_path: Path) -> None:
    found = read_tensors(saved(TENSORS, tmp_path / "a.pt"))
    assert list(found) == list(TENSORS)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
        assert found[name].dtype == tensor.numpy().dtype


def test_the_texts_that_torch_saved(tmp_path: Path) -> None:
    found = read_tensors(saved({"labels": torch.arange(3), "ids": ["a", "b\n", "ü" * 99]}, tmp_path / "a.pt"))
    assert found["ids"].tolist() == ["a", "b\n", "ü" * 99]
    assert read_tensors(saved({"ids": []}, tmp_path / "a.pt"))["ids"].tolist() == []


@pytest.mark.parametrize(
    "content",
    [
        [torch.ones(2)],
        {"a": 1},
        {"a": Path("x")},
        {"a": ["text", 1]},
        {"a": print},
        {"a": torch.arange(9).expand(1000, 9)},
        {"a": torch.arange(9)[2:]},
        {"a": torch.nn.Linear(2, 2)},
    ],
    ids=["list", "number", "path", "mixed", "function", "expanded", "part", "module"],
)
def test_anything_else_is_refused(content: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the messages differ)
        read_tensors(saved(content, tmp_path / "a.pt"))


def test_every_cut_and_many_flipped_bytes_are_values_or_errors(tmp_path: Path) -> None:
    path = saved({"labels": torch.arange(20)}, tmp_path / "a.pt")
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        for damaged in (content[:place], content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]):
            path.write_bytes(damaged)
            try:
                found = read_tensors(path)
            except (OSError, ValueError, TooLargeError):
                continue
            assert all(isinstance(values, np.ndarray) for values in found.values())


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


def test_a_pickle_executes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("a.pt", "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"labels": Harmful()}))
    with pytest.raises(ValueError, match="which is no tensor"):
        read_tensors(Path("a.pt"))
    assert not Path("executed").exists()


def test_an_archive_that_expands_to_more_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_file, "MOST_BYTES", 1 << 20)
    buffer = io.BytesIO()
    torch.save({"labels": torch.zeros(1 << 20, dtype=torch.int64)}, buffer)
    with zipfile.ZipFile(buffer) as archive, zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    assert (tmp_path / "a.pt").stat().st_size < 1 << 15
    with pytest.raises(TooLargeError, match="at most 1,048,576 are read"):
        read_tensors(tmp_path / "a.pt")
