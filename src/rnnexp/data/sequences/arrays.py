"""Files of NumPy arrays: .npz with the arrays x, y and lengths, or one .npy file for each."""

import math
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from rnnexp.core.errors import UserError, first_line
from rnnexp.core.validation import did_you_mean
from rnnexp.data.sequences.content import Array, Content, Wanted, require_samples, require_to_fit, text_or_empty

NAMES = ("x", "y", "lengths")
WITHOUT_TARGETS = ("x", "lengths")
NUMBERS = "biuf"
"""Kinds of NumPy types whose values are numbers."""
LAST_ASCII, FIRST_SURROGATE, LAST_SURROGATE = 0x7F, 0xD800, 0xDFFF
TARGETS = f"{NUMBERS}USM"
"""Kinds of NumPy types whose values are numbers, text or dates."""


def read_npz(path: Path, wanted: Wanted) -> Content:
    """Read an .npz file.

    Raises:
        UserError: for a file that is damaged, or whose arrays do not fit together.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            held = [member.removesuffix(".npy") for member in archive.namelist()]
            names = _needed(path, held, wanted)
            headers = {}
            for name in names:
                with archive.open(f"{name}.npy") as file:
                    headers[name] = _header(file, f"{path}: array {name!r}", name)
        require_to_fit(path, sum(_num_bytes(*header) for header in headers.values()) + 4 * math.prod(headers["x"][0]))
        with np.load(path, allow_pickle=False) as arrays:
            read = {name: arrays[name] for name in names}
    except UserError:
        raise
    except Exception as error:
        # A damaged or hostile file raises whatever zipfile, its decompressors and NumPy's reader of headers do.
        raise UserError(f"{path}: is no valid .npz file ({first_line(error)}): write it with numpy.savez") from None
    return _content(path, read, wanted, {name: f"{path}: array {name!r}" for name in read})


def _needed(path: Path, held: Sequence[str], wanted: Wanted) -> list[str]:
    """Return the names of the arrays to read."""
    needed = ["x", *(["y"] if wanted.needs_targets else []), *([wanted.group] if wanted.group else [])]
    for name in needed:
        if name not in held:
            hint = did_you_mean(name, held)
            raise UserError(f"{path}: has no array {name!r}: it has {', '.join(sorted(held)) or 'none'}{hint}")
    return [*needed, *(["lengths"] if "lengths" in held else [])]


def read_npy(paths: Sequence[Path], wanted: Wanted) -> Content:
    """Read .npy files: inputs, and targets and lengths if there are more.

    Raises:
        UserError: for a file that is damaged, or arrays that do not fit together.
    """
    if len(paths) < 2 and wanted.needs_targets:
        raise UserError(f"{paths[0]}: is one array, without targets: name two files, [X.npy,Y.npy], or an .npz file")
    if wanted.group:
        raise UserError(f"{paths[0]}: an .npy file has no groups: use data.group=null, or an .npz file")
    names = NAMES if wanted.needs_targets else WITHOUT_TARGETS
    if len(paths) > len(names):
        raise UserError(f"{paths[-1]}: is one file too many: name {', '.join(names)}")
    read = {}
    for name, path in zip(names, paths, strict=False):
        try:
            with path.open("rb") as file:
                shape, dtype = _header(file, str(path), name)
            # Inputs are converted part by part, so that they need not be in memory twice.
            require_to_fit(path, 4 * math.prod(shape) if name == "x" else _num_bytes(shape, dtype))
            read[name] = np.load(path, mmap_mode="r" if math.prod(shape) else None, allow_pickle=False)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{path}: is no valid .npy file ({first_line(error)}): write it with numpy.save") from None
    return _content(paths[0], read, wanted, {name: str(path) for name, path in zip(names, paths, strict=False)})


def _header(file: IO[bytes], said: str, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of an array. Raise UserError for one of Python objects, which are not read."""
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject and name == "x":
        raise UserError(
            f"{said} holds Python objects, such as rows of different lengths: pad the sequences to one length, and "
            "give their lengths in an array 'lengths'"
        )
    if dtype.hasobject:
        raise UserError(f"{said} holds Python objects: convert it to numbers or text, as {name}.astype(str)")
    return shape, dtype


def _num_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return math.prod(shape) * dtype.itemsize


def _content(path: Path, arrays: Mapping[str, Array], wanted: Wanted, said: Mapping[str, str]) -> Content:
    """Return the content of arrays that fit together.

    Args:
        said: the name of each array for messages.
    """
    x = arrays["x"]
    x = x[:, :, None] if x.ndim == 2 else x
    _require_inputs(path, x, said["x"])
    _require_partners(arrays, wanted, said)
    num_samples, time, num_features = x.shape
    targets = arrays.get("y")
    if targets is not None and wanted.per_step:
        if targets.shape[:2] != (num_samples, time):
            raise UserError(
                f"{said['y']} has shape {list(targets.shape)}, and targets for each step begin with "
                f"[{num_samples}, {time}]: pad them like the inputs"
            )
        targets = targets.reshape(-1, *targets.shape[2:])
    lengths, values = np.full(num_samples, time), x.reshape(-1, num_features)
    if "lengths" in arrays:
        lengths = _lengths(arrays["lengths"], time, said["lengths"])
        is_step = (np.arange(time) < lengths[:, None]).reshape(-1)
        values = values[is_step]
        targets = targets[is_step] if targets is not None and wanted.per_step else targets
    groups = None if wanted.group is None else text_or_empty(arrays[wanted.group])
    if groups is not None and (groups == "").any():
        sample = int((groups == "").argmax())
        raise UserError(f"{said[str(wanted.group)]}: sequence {sample} has no group: give it one")
    ids = [str(number) for number in range(num_samples)]
    return Content(path, values, lengths, ids, targets=targets, groups=groups)


def _require_inputs(path: Path, x: Array, said: str) -> None:
    """Raise UserError unless x holds numbers [samples, time, features], at least one of each."""
    if x.dtype.kind not in NUMBERS:
        raise UserError(f"{said} holds {x.dtype} where numbers belong: convert it")
    if x.ndim != 3:
        raise UserError(f"{said} has shape {list(x.shape)}: it must be [samples, time, features]")
    require_samples(path, len(x))
    if 0 in x.shape:
        raise UserError(f"{said} has shape {list(x.shape)}: it needs one step and one feature")


def _require_text(array: Array, said: str) -> None:
    """Raise UserError for an array of text with a character that is none, or of bytes that are not ASCII."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if array.dtype.kind == "S" and (flat.view(np.uint8) > LAST_ASCII).any():
        raise UserError(f"{said} holds bytes that are not ASCII: convert them with numpy.char.decode")
    if array.dtype.kind == "U":
        codes = flat.view(np.uint32)
        is_surrogate = (codes >= FIRST_SURROGATE) & (codes <= LAST_SURROGATE)
        if ((codes > sys.maxunicode) | is_surrogate).any():
            raise UserError(f"{said} holds characters that are not Unicode: write the array again")


def _require_partners(arrays: Mapping[str, Array], wanted: Wanted, said: Mapping[str, str]) -> None:
    """Raise UserError unless targets, lengths and groups have an entry for each sequence, of numbers or text."""
    num_samples = len(arrays["x"])
    for name, array in arrays.items():
        _require_text(array, said[name])
        if array.ndim == 0 or len(array) != num_samples:
            raise UserError(
                f"{said[name]} has shape {list(array.shape)}, but there are {num_samples:,} sequences: give one entry "
                "for each"
            )
        if name not in WITHOUT_TARGETS and array.dtype.kind not in TARGETS:
            raise UserError(f"{said[name]} holds {array.dtype} where numbers or text belong: convert it")
        if name == wanted.group and array.ndim != 1:
            raise UserError(f"{said[name]} has shape {list(array.shape)}: data.group needs one value for each sequence")


def _lengths(lengths: Array, time: int, said: str) -> Array:
    """Return the lengths as int64 [samples]. Raise UserError unless each is a whole number from 1 to `time`."""
    if lengths.ndim != 1 or lengths.dtype.kind not in NUMBERS:
        raise UserError(f"{said} holds {lengths.dtype} {list(lengths.shape)}: give a whole number for each")
    wrong = ~((lengths >= 1) & (lengths <= time) & (lengths == np.floor(lengths)))
    if wrong.any():
        sample = int(wrong.argmax())
        raise UserError(
            f"{said}: the length of sequence {sample} is {lengths[sample]}: it must be a whole number "
            f"from 1 to the {time} steps of the array"
        )
    return lengths.astype(np.int64)
