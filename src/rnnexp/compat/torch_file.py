"""Read a dict of tensors and lists of text that `torch.save` wrote, without importing torch.

That takes seconds and 500 MB.

The file is an archive with a pickle of the structure, and a member with the bytes of each tensor. Nothing in it is
executed: the pickle may name only the classes below, and a tensor only as many bytes as the archive has.
"""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from rnnexp.core.files.bounded import TooLargeError, require_size

STORAGES: Mapping[str, np.dtype[Any]] = {
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "BoolStorage": np.dtype("?"),
}
MOST_BYTES = 1 << 28


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a file by their names, as arrays, and lists of text as arrays of objects.

    Raises:
        OSError: if the file cannot be read.
        TooLargeError: if it has more than `MOST_BYTES`.
        ValueError: if it is damaged, or holds anything but a dict of these.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            require_size(path, sum(member.file_size for member in archive.infolist()), MOST_BYTES)
            content = _read(archive)
    except (OSError, ValueError, TooLargeError):
        raise
    # A damaged pickle may end in any exception.
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    if not isinstance(content, dict) or not all(map(_is_column, content.values())):
        raise ValueError("it does not hold a dict of tensors")
    return {name: np.array(column, object) if isinstance(column, list) else column for name, column in content.items()}


def _is_column(value: object) -> bool:
    is_text = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return is_text or isinstance(value, np.ndarray)


def _read(archive: zipfile.ZipFile) -> Any:  # noqa: ANN401
    members = {member.filename.partition("/")[2]: member for member in archive.infolist()}
    with archive.open(members["data.pkl"]) as file:
        return _Reader(file, lambda name: archive.read(members[f"data/{name}"])).load()


class _Reader(pickle.Unpickler):
    def __init__(self, file: Any, read: Callable[[str], bytes]) -> None:  # noqa: ANN401
        super().__init__(file)
        self._read = read

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        if module == "torch" and name in STORAGES:
            return name
        allowed: Mapping[tuple[str, str], Any] = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("collections", "OrderedDict"): OrderedDict,
        }
        return allowed.get((module, name)) or _refuse(module, name)

    def persistent_load(self, pid: Any) -> NDArray[Any]:  # noqa: ANN401
        _kind, storage, name, _device, _size = pid
        kind: np.dtype[Any] = STORAGES[storage]
        return np.frombuffer(self._read(name), kind)


def _refuse(module: str, name: str) -> NoReturn:
    raise ValueError(f"it names {module}.{name}, which is no tensor")


def _rebuild_tensor(
    values: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_rest: object
) -> NDArray[Any]:
    """Return a tensor of the bytes of its storage. Only contiguous tensors are read, as `torch.cat` makes them."""
    number = int(np.prod(size))
    contiguous = tuple(int(np.prod(size[place + 1 :])) for place in range(len(size)))
    if offset or stride != contiguous or number > len(values):
        raise ValueError("a tensor has other strides or values than its storage")
    return values[:number].reshape(size)
