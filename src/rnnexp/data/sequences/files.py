"""The files of a split, each read by the reader of its format."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.core.validation import did_you_mean, did_you_mean_path, expand_home
from rnnexp.data.sequences.arrays import read_npy, read_npz
from rnnexp.data.sequences.content import Content, Files, Wanted
from rnnexp.data.sequences.table import read_csv, read_parquet
from rnnexp.data.sequences.ts import read_ts

READERS: Mapping[str, Callable[[Path, Wanted], Content]] = {
    ".npz": read_npz,
    ".npy": lambda path, wanted: read_npy([path], wanted),
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
    ".ts": read_ts,
}
"""The end of a name -> the reader of the format."""
COMPRESSED = (".gz", ".bz2", ".xz")


def find_paths(key: str, files: Files) -> list[Path]:
    """Return the paths of a split, none for None.

    Raises:
        ValueError: for a value that names no files.
    """
    names = [files] if isinstance(files, str) else files or []
    if not isinstance(names, Sequence) or not all(isinstance(name, str) and name for name in names) or files == []:
        raise ValueError(f"{key}={files!r} names no file: give {key}=FILE, or [X.npy,Y.npy]")
    paths = [expand_home(name) for name in names]
    if len(paths) > 1 and (len(paths) > 3 or any(path.suffix != ".npy" for path in paths)):
        raise ValueError(f"{key} names {len(paths)} files: give one, or the .npy files [X,Y] or [X,Y,LENGTHS]")
    return paths


def read_files(paths: Sequence[Path], wanted: Wanted) -> Content:
    """Read the sequences of a split.

    Raises:
        UserError: for a file that is missing, of an unknown format, damaged or of another form.
    """
    for path in paths:
        if path.is_dir() or not path.exists():
            what = "is a directory" if path.is_dir() else f"there is no such file{did_you_mean_path(path)}"
            raise UserError(f"{path}: {what}: name a file of sequences ({', '.join(READERS)})")
        if not path.is_file():
            raise UserError(f"{path}: is a pipe or a device, which can be read only once: write the data to a file")
    if len(paths) > 1:
        return read_npy(paths, wanted)
    (path,) = paths
    return _reader(path)(path, wanted)


def _reader(path: Path) -> Callable[[Path, Wanted], Content]:
    name = path.name.lower()
    for end in COMPRESSED:
        name = name.removesuffix(end)
    suffix = Path(name).suffix
    if suffix not in READERS:
        raise UserError(
            f"{path}: its name ends in {suffix or 'no suffix'}: data=sequences reads {', '.join(READERS)}"
            f"{did_you_mean(suffix, READERS)}"
        )
    if name != path.name.lower() and suffix not in (".csv", ".tsv", ".ts"):
        raise UserError(f"{path}: only text is read compressed: decompress it")
    return READERS[suffix]
