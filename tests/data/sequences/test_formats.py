"""The formats of sequences have the same content, and each kind of bad file is refused with a line."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnexp.core.errors import UserError
from rnnexp.data.batches import LabeledSequences, MeasuredSequences, TaggedSequences
from support.sequence_files import make_data, rows_of, waves, write_csv, write_npz, write_ts


def write_npy(directory: Path, arrays: dict[str, Any]) -> list[str]:
    for name in ("x", "y", "lengths"):
        np.save(directory / f"{name}.npy", arrays[name])
    return [str(directory / f"{name}.npy") for name in ("x", "y", "lengths")]


def write_gzip(path: Path, arrays: dict[str, Any]) -> Path:
    plain = write_ts(path.with_suffix(""), arrays)
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


FORMATS: dict[str, Callable[[Path, dict[str, Any]], Any]] = {
    "npz": lambda place, arrays: write_npz(place / "a.npz", arrays),
    "npy": write_npy,
    "csv": lambda place, arrays: write_csv(place / "a.csv", [row[:-1] for row in rows_of(arrays)]),
    "ts": lambda place, arrays: write_ts(place / "a.ts", arrays),
    "ts.gz": lambda place, arrays: write_gzip(place / "a.ts.gz", arrays),
}


def everything(data: Any) -> list[tuple[Any, ...]]:
    """Return inputs and labels of each test sequence."""
    batches = [(batch.inputs, batch.labels, batch.lengths) for batch in data.test_dataloader()]
    return [
        (inputs[row, : lengths[row]].numpy().round(4).tolist(), int(labels[row]))
        for inputs, labels, lengths in batches
        for row in range(len(labels))
    ]


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "npz"])
def test_formats_have_the_same_content(kind: str, tmp_path: Path) -> None:
    arrays = waves()
    expected = make_data(train=write_npz(tmp_path / "expected.npz", arrays))
    data = make_data(train=FORMATS[kind](tmp_path, arrays))
    assert everything(data) == everything(expected)
    assert data.classes == ["run", "sit", "walk"]
    assert data.data_info["test_digest"] == expected.data_info["test_digest"]


def test_parquet_has_the_same_content(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    arrays = waves()
    header, *rows = rows_of(arrays)
    table = pyarrow.table(dict(zip(header[:-1], list(map(list, zip(*rows, strict=True)))[:-1], strict=True)))
    parquet.write_table(table, tmp_path / "a.parquet")
    expected = make_data(train=write_npz(tmp_path / "expected.npz", arrays))
    assert everything(make_data(train=tmp_path / "a.parquet")) == everything(expected)


def test_rows_of_a_table_may_be_in_any_order_and_times_may_be_dates(tmp_path: Path) -> None:
    header, *rows = rows_of(waves())
    expected = make_data(train=write_csv(tmp_path / "a.csv", [header, *rows]), group="person")
    dated = [
        [row[0], f"2024-02-28T23:59:{50 + row[1]}" if row[1] < 10 else f"2024-02-29T00:00:{row[1] - 10:02}", *row[2:]]
        for row in rows
    ]
    first = [
        min(index for index, row in enumerate(rows) if row[0] == name) for name in dict.fromkeys(r[0] for r in rows)
    ]
    others = [index for index in reversed(range(len(rows))) if index not in first]
    mixed = [dated[index] for index in [*first, *others]]
    data = make_data(train=write_csv(tmp_path / "b.csv", [header, *mixed]), group="person")
    assert everything(data) == everything(expected)


FINE_TIMES: dict[str, Callable[[int], str]] = {
    "nanoseconds since 1970": lambda step: str(1_700_000_000_000_000_000 + 100 * step),
    "dates with nanoseconds": lambda step: f"2023-11-14T22:13:20.0000{100 * step:05}",
    "dates with tenths of microseconds": lambda step: f"2023-11-14T22:13:20.0000{step:03}",
    "years before nanoseconds": lambda step: f"{1001 + step}-01-01",
    "fractions": lambda step: f"{step / 8}",
    "below zero": lambda step: str(step - 10),
}


@pytest.mark.parametrize("time_of", FINE_TIMES.values(), ids=FINE_TIMES)
def test_times_that_differ_little_are_told_apart(time_of: Callable[[int], str], tmp_path: Path) -> None:
    header, *rows = (row[:-1] for row in rows_of(waves()))
    expected = make_data(train=write_csv(tmp_path / "a.csv", [header, *rows]))
    fine = [[row[0], time_of(row[1]), *row[2:]] for row in rows]
    backwards = sorted(fine, key=lambda row: row[1], reverse=True)
    # The ids are in the order of their first rows.
    first = [next(row for row in fine if row[0] == name) for name in dict.fromkeys(row[0] for row in fine)]
    mixed = [*first, *(row for row in backwards if row not in first)]
    assert everything(make_data(train=write_csv(tmp_path / "b.csv", [header, *mixed]))) == everything(expected)


def test_columns_are_chosen_by_name_and_time_may_be_missing(tmp_path: Path) -> None:
    header, *rows = rows_of(waves())
    renamed = [["name", "t", "speed", "weight", "kind", "person"], *rows]
    options: dict[str, Any] = {"id": "name", "time": "t", "target": "kind", "features": ["speed", "weight"]}
    expected = make_data(train=write_csv(tmp_path / "a.csv", [header, *rows]), features=["speed", "weight"])
    data = make_data(train=write_csv(tmp_path / "b.csv", renamed), **options)
    assert everything(data) == everything(expected)
    without = write_csv(tmp_path / "c.csv", [row[:1] + row[2:] for row in renamed])
    assert everything(make_data(train=without, **options | {"time": None})) == everything(expected)


def test_other_arrays_and_column_names_of_digits_are_accepted(tmp_path: Path) -> None:
    expected = make_data(train=write_npz(tmp_path / "a.npz", waves()))
    more = waves() | {"notes": np.array([None, "text"], dtype=object)}
    assert everything(make_data(train=write_npz(tmp_path / "b.npz", more))) == everything(expected)
    rows = [["0", "1", "2", "3", "4"], *(row[:-1] for row in rows_of(waves())[1:])]
    data = make_data(train=write_csv(tmp_path / "c.csv", rows), id=0, time=1, target=4)
    assert everything(data) == everything(expected)


def test_tables_of_other_programs_are_read(tmp_path: Path) -> None:
    rows = [row[:-1] for row in rows_of(waves())]
    expected = make_data(train=write_csv(tmp_path / "a.csv", rows))
    lines = [";".join(f'"{cell}"' for cell in row) for row in rows]
    (tmp_path / "b.csv").write_bytes(("\ufeff" + "\r\n".join([*lines, "", ""])).encode())
    assert everything(make_data(train=tmp_path / "b.csv")) == everything(expected)
    (tmp_path / "c.tsv").write_bytes("\n".join("\t".join(map(str, row)) for row in rows).encode("utf-16"))
    assert everything(make_data(train=tmp_path / "c.tsv")) == everything(expected)


def test_the_archive_format_has_regression_targets_and_missing_values(tmp_path: Path) -> None:
    lines = ["@targetLabel true", "@missing true", "@data", *(f"1,2,{i}:4,?,6:{i / 2}" for i in range(20))]
    (tmp_path / "a.ts").write_text("\n".join(lines), encoding="utf-8")
    data = make_data(MeasuredSequences, train=tmp_path / "a.ts", missing="mask", val_size=0)
    (batch,) = data.test_dataloader()
    assert batch.inputs.shape == (4, 3, 4)
    assert batch.inputs[0, :, 3].tolist() == [0, 1, 0]
    assert data.units.names == ["y"]
    assert data.val_dataloader() == []


Change = Callable[[dict[str, Any]], dict[str, Any]]


def with_value(name: str, index: Any, value: Any) -> Change:
    def change(arrays: dict[str, Any]) -> dict[str, Any]:
        array = arrays[name].copy()
        array[index] = value
        return arrays | {name: array}

    return change


BAD_ARRAYS: dict[str, tuple[Change, str]] = {
    "ragged": (
        lambda arrays: arrays | {"x": np.array([np.zeros((3, 2)), np.zeros((4, 2))], dtype=object)},
        "array 'x' holds Python objects, such as rows of different lengths: pad",
    ),
    "classes of objects": (
        lambda arrays: arrays | {"y": arrays["y"].astype(object)},
        r"array 'y' holds Python objects: convert it to numbers or text, as y.astype\(str\)",
    ),
    "nan": (with_value("x", (3, 1, 1), np.nan), "sequence '3', step 1: feature 1: is missing"),
    "infinite": (with_value("x", (3, 1, 1), np.inf), "sequence '3', step 1: feature 1: is infinite"),
    "length over the array": (
        with_value("lengths", 4, 21),
        "the length of sequence 4 is 21: .* from 1 to the 20 steps",
    ),
    "length of zero": (with_value("lengths", 4, 0), "the length of sequence 4 is 0"),
    "fractional length": (lambda arrays: arrays | {"lengths": arrays["lengths"] + 0.5}, "length of sequence 0 is"),
    "fewer lengths": (
        lambda arrays: arrays | {"lengths": arrays["lengths"][1:]},
        r"'lengths' has shape \[59\], but there are 60",
    ),
    "fewer targets": (lambda arrays: arrays | {"y": arrays["y"][1:]}, r"'y' has shape \[59\], but there are 60"),
    "no targets": (lambda arrays: {name: arrays[name] for name in ("x", "lengths")}, "has no array 'y'"),
    "another name": (
        lambda arrays: {"X": arrays["x"], "y": arrays["y"]},
        "has no array 'x': it has X, y",
    ),
    "text": (lambda arrays: arrays | {"x": arrays["x"].astype(str)}, "'x' holds <U32 where numbers belong"),
    "four axes": (lambda arrays: arrays | {"x": arrays["x"][None]}, r"'x' has shape \[1, 60, 20, 2\]: it must be"),
    "empty": (lambda arrays: {name: array[:0] for name, array in arrays.items()}, "has no sequences"),
    "fractional classes": (
        lambda arrays: arrays | {"y": np.arange(60) / 4},
        "sequence '1': has the class 0.25, .* task=regression",
    ),
    "several classes": (lambda arrays: arrays | {"y": np.zeros((60, 2), int)}, "has 2 targets, and a class is one"),
    "too many classes": (
        lambda _: {"x": np.zeros((20_000, 1, 1)), "y": np.arange(20_000)},
        "has 12,000 classes, and 10,000 at most are learned",
    ),
    "one class": (lambda arrays: arrays | {"y": np.zeros(60, int)}, r"all training targets are \[0\]"),
    "records": (lambda arrays: arrays | {"y": np.zeros(60, [("a", "f4")])}, "'y' holds .* where numbers or text"),
    "classes beyond whole numbers": (lambda arrays: arrays | {"y": np.full(60, 1e300)}, "has the class 1e"),
    "no class": (with_value("y", 0, ""), "sequence '0': has no class"),
    "not a time": (
        lambda arrays: arrays | {"y": np.array(["2024-01-01", "2024-01-02", "NaT"], "M8[D]")[np.arange(60) % 3]},
        "sequence '2': has no class",
    ),
    "missing everywhere": (lambda arrays: arrays | {"x": np.full((60, 20, 2), np.nan)}, "is missing"),
}


@pytest.mark.parametrize("kind", BAD_ARRAYS)
def test_bad_arrays_are_refused(kind: str, tmp_path: Path) -> None:
    change, message = BAD_ARRAYS[kind]
    with pytest.raises(UserError, match=message) as raised:
        make_data(train=write_npz(tmp_path / "a.npz", change(waves())))
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


Rows = list[list[Any]]


def set_cell(row: int, column: int, value: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [
        [*each[:column], value, *each[column + 1 :]] if n == row else each for n, each in enumerate(rows)
    ]


def with_dates(rows: Rows) -> Rows:
    return [rows[0], *([*row[:1], f"2024-01-{row[1] + 1:02}", *row[2:]] for row in rows[1:])]


BAD_TABLES: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "text": (set_cell(7, 2, "fast"), "line 8: column 'speed': 'fast' is text where a number belongs.*in data.features"),
    "decimal comma": (set_cell(7, 2, "1,5"), "line 8: column 'speed': '1,5' is text .* decimal point"),
    "missing": (set_cell(1, 3, ""), "sequence 's0', time 0: feature 'weight': is missing"),
    "ragged": (lambda rows: [*rows[:4], rows[4][:-1], *rows[5:]], "line 5: has 5 cells, and line 1 names 6"),
    "duplicate": (lambda rows: [*rows, rows[3]], "line 4 and line .*: both have id 's0' and time 2: remove one"),
    "no id": (set_cell(6, 0, " "), "line 7: has no id"),
    "no time": (set_cell(6, 1, ""), "line 7: the time is ''"),
    "wrong time": (set_cell(6, 1, "noon"), "column 'time': line 7: 'noon' is text .*, or a date as in 2024-02-29T12"),
    "one date": (set_cell(3, 1, "2024-02-29"), "line 4: the time is '2024-02-29': give each row a number, or"),
    "one number": (lambda rows: set_cell(3, 1, "2")(with_dates(rows)), "line 4: the time is '2'"),
    "an underscore": (set_cell(3, 2, "1_0"), "line 4: column 'speed': '1_0' is text where a number belongs"),
    "digits of another script": (set_cell(3, 2, "\u0661\u0662"), "line 4: column 'speed': '.*' is text where"),
    "a time of another script": (set_cell(3, 1, "\u0662"), "column 'time': line 4: '.*' is text where"),
    "fractions as classes": (
        lambda rows: [rows[0], *([*row[:4], f"{int(row[0][1:]) / 4}", *row[5:]] for row in rows[1:])],
        "sequence 's1': has the class 0.25, .* task=regression",
    ),
    "changing class": (set_cell(3, 4, "sit"), "line 4: target changes within id s0: .*task=tagging"),
    "no column": (set_cell(0, 0, "ID"), "has no column 'id' of data.id: it has ID, time"),
    "no time column": (set_cell(0, 1, "t"), "has no column 'time' of data.time: .*data.time=null"),
    "two columns of a name": (set_cell(0, 3, "speed"), "has two columns 'speed': rename one"),
    "a column without a name": (set_cell(0, 5, ""), "column 6 has no name: name it, or leave out an index"),
    "a long cell": (set_cell(3, 2, "9" * 200_000), "line 4: is no CSV"),
    "an empty first line": (lambda rows: [[], *rows], "line 1 is empty"),
    "header only": (lambda rows: rows[:1], "has no sequences"),
    "no features": (lambda rows: [[*row[:2], *row[4:5]] for row in rows], "has no features besides"),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_bad_tables_are_refused(kind: str, tmp_path: Path) -> None:
    change, message = BAD_TABLES[kind]
    with pytest.raises(UserError, match=message):
        make_data(train=write_csv(tmp_path / "a.csv", change(rows_of(waves()))))


BAD_ARCHIVES = {
    "no data": ("@classLabel true a b\n1,2:a", "has no line @data"),
    "no class": ("@problemName x\n@data\n1,2\n3,4", "names no @classLabel"),
    "time stamps": ("@timeStamps true\n@classLabel true a\n@data\n(0,1):a", "has time stamps"),
    "ragged": ("@classLabel true a b\n@data\n1,2:3,4:a\n1,2:3:b", r"line 4: .* different numbers of steps \(2, 1\)"),
    "features": ("@classLabel true a b\n@data\n1,2:3,4:a\n1,2:b", "line 4: has 1 features, and the first sequence 2"),
    "text": ("@classLabel true a b\n@data\n1,x:a", "line 3: feature 0: 'x' is text where a number belongs"),
    "another class": ("@classLabel true a b\n@data\n1,2:a\n1,2:c", "line 4: the class 'c' is not among those of"),
    "empty": ("@classLabel true a b\n@data\n", "has no sequences"),
}


@pytest.mark.parametrize("kind", BAD_ARCHIVES)
def test_bad_files_of_the_archive_are_refused(kind: str, tmp_path: Path) -> None:
    text, message = BAD_ARCHIVES[kind]
    (tmp_path / "a.ts").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        make_data(train=tmp_path / "a.ts")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npz", b"PK no archive", "is no valid .npz file"),
        ("a.npz", b"", "is no valid .npz file"),
        ("a.npy", b"\x93NUMPY", "without targets: name two files"),
        ("a.csv", b"", "line 1 is empty"),
        ("a.csv", b"\x93NUMPY", "is a NumPy array, not text"),
        ("a.csv", b"id,\xff\n", "line 1: not UTF-8"),
        ("a.csv", b'id,time,speed,target\na,0,1,run\nb,0,1,"walk\nc,0,1,run\n', "line 4: is no CSV .unexpected end"),
        ("a.txt", b"", "its name ends in .txt: data=sequences reads .npz"),
        ("a", b"", "its name ends in no suffix"),
        ("a.npz.gz", b"", "only text is read compressed"),
        ("a.parquet", b"PAR1", "Parquet"),
    ],
)
def test_other_files_are_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        make_data(train=tmp_path / name)


@pytest.mark.parametrize("key", ["features", "target"])
def test_a_column_that_stands_twice_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"data.{key} must name each column once, not speed, speed"):
        make_data(train=write_csv(tmp_path / "a.csv", rows_of(waves())), **{key: ["speed", "speed"]})


def test_a_file_that_is_missing_or_a_directory_is_refused(tmp_path: Path) -> None:
    write_npz(tmp_path / "waves.npz", waves())
    with pytest.raises(UserError, match=r"there is no such file; did you mean 'waves.npz'"):
        make_data(train=tmp_path / "wave.npz")
    with pytest.raises(UserError, match="is a directory"):
        make_data(train=tmp_path)
    with pytest.raises(UserError, match=r"data.train names no file"):
        make_data()


def test_targets_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", waves())
    with pytest.raises(UserError, match="target 'y': 'run' is text where a number belongs"):
        make_data(MeasuredSequences, train=path)
    with pytest.raises(UserError, match=r"targets for each step begin with \[60, 20\]"):
        make_data(TaggedSequences, train=path)
    with pytest.raises(UserError, match="has one target for each sequence"):
        make_data(TaggedSequences, train=write_ts(tmp_path / "a.ts", waves()))
    make_data(LabeledSequences, train=path)
