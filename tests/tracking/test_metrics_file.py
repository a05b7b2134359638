"""metrics.csv is read from its end, also during training."""

import time
from pathlib import Path

import pytest

from rnnexp.tracking import metrics_file
from rnnexp.tracking.metrics_file import newest_metric, read_logged, read_rows

NAMES = ("val/acc", "val/bleu", "val/loss")


def test_a_long_file_is_not_read_as_a_whole(tmp_path: Path) -> None:
    """A sparse file of 64 GB, which would take minutes to read."""
    file = tmp_path / "metrics.csv"
    with file.open("wb") as written:
        written.write(b"epoch,step,val/acc\r\n")
        written.seek(1 << 36)
        written.write(b"\r\n1999,199999,0.875\r\n")
    start = time.monotonic()
    assert newest_metric(file, NAMES) == ("val/acc", 0.875)
    assert time.monotonic() - start < 5


def test_a_value_far_from_the_end_is_found(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    rows = [f"0,{step},,{'0' * 20}" for step in range(10_000)]
    file.write_text("\n".join(["epoch,step,val/loss,train/loss", "0,0,0.25,", *rows, ""]), encoding="utf-8")
    assert file.stat().st_size > 3 * metrics_file.BLOCK_SIZE
    assert newest_metric(file, NAMES) == ("val/loss", 0.25)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 16])
def test_the_size_of_a_block_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(metrics_file, "BLOCK_SIZE", size)
    file = tmp_path / "metrics.csv"
    file.write_bytes(b"epoch,step,val/bleu\r\n0,1,12.5\r\n1,2,13.5\r\n2,3,\r\n3,4,99")
    assert newest_metric(file, NAMES) == ("val/bleu", 13.5)
    file.write_bytes(b"epoch,step,val/bleu\n0,1,12.5\n")
    assert newest_metric(file, NAMES) == ("val/bleu", 12.5)


def test_a_long_header(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    names = [f"test/acc_class/{number}" for number in range(20_000)]
    header = ",".join(["epoch", "step", *names, "val/acc"])
    assert len(header) > 2 * metrics_file.BLOCK_SIZE
    file.write_text(f"{header}\n1,5{',' * 20_000},0.5\n", encoding="utf-8")
    assert newest_metric(file, NAMES) == ("val/acc", 0.5)


def test_columns_that_are_added_later(tmp_path: Path) -> None:
    """Lightning rewrites the file when a column is added, so rows may be shorter or longer than the header read."""
    file = tmp_path / "metrics.csv"
    file.write_text("epoch,step,val/acc,x\n0,1,0.1\n0,2,0.2,7\n0,3,9,0.9,8,7\n", encoding="utf-8")
    assert newest_metric(file, NAMES) == ("val/acc", 0.2)


def test_nothing_to_read(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    assert newest_metric(file, NAMES) is None
    for content in (b"", b"epoch,step,val/acc\n", b"epoch,step,val/acc\n0,1,", b"\xff\xfe\n1\n"):
        file.write_bytes(content)
        assert newest_metric(file, NAMES) is None
        assert read_logged(file, "val/acc")[0] == []


def test_a_file_is_read_up_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,val/loss\n" + "".join(f"0,{step},1.5\n" for step in range(100)), encoding="utf-8")
    (whole, _), (rows, _) = read_logged(path, "val/loss"), read_rows(path)
    assert (len(whole), len(rows)) == (100, 100)
    monkeypatch.setattr(metrics_file, "MOST_BYTES", 100)
    (first, is_damaged), (rows, are_damaged) = read_logged(path, "val/loss"), read_rows(path)
    assert (first, len(rows), is_damaged, are_damaged) == (whole[:10], 10, True, True)
