"""Values of a config that execute code where nothing checks them; each writes a file, the canary."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

Node = dict[str, Any]
MODULE = "beside_the_command"


class Writes:
    """An object whose pickle writes a file when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (write(self.canary),)


def write(canary: Path) -> str:
    return f"open({str(canary)!r}, 'w').close()"


def make_files(place: Path, canary: Path) -> None:
    """Write the files that the payloads read: pickles, a module, a hub directory, a script."""
    source = f"{write(canary)}\nfrom os import system\ndef run(*_, **__): {write(canary)}\nclass Run:\n"
    source += f"    def __init__(self, *_, **__): {write(canary)}\n"
    for file in (f"{MODULE}.py", "hubconf.py", "script.py"):
        (place / file).write_text(source, encoding="utf-8")
    (place / "object.pickle").write_bytes(pickle.dumps(Writes(canary)))
    torch.save(Writes(canary), place / "object.pt")
    np.save(place / "object.npy", np.array([Writes(canary)], dtype=object), allow_pickle=True)
    (place / "object.yaml").write_text(yaml.dump(Writes(canary)), encoding="utf-8")


def payloads(place: Path, canary: Path) -> dict[str, Node]:
    """Return nodes by what they call; `make_files` has written what they read."""
    writes = {"_target_": "numpy.savetxt", "fname": str(canary), "X": [1]}
    path = {"_target_": "pathlib.Path", "_args_": [str(canary)]}
    return {
        "os.system": {"_target_": "os.system", "command": f"touch {canary}"},
        "exec": {"_target_": "builtins.exec", "_args_": [write(canary)]},
        "importlib": {"_target_": "importlib.import_module", "name": MODULE},
        "open": {"_target_": "builtins.open", "file": str(canary), "mode": "w"},
        "Path.touch": {
            "_target_": "pathlib.Path.touch",
            "_args_": [path],
        },
        "shutil.copy": {"_target_": "shutil.copy", "src": str(place / "script.py"), "dst": str(canary)},
        "torch.load": {"_target_": "torch.load", "f": str(place / "object.pt"), "weights_only": False},
        "torch.hub": {"_target_": "torch.hub.load", "repo_or_dir": str(place), "model": "run", "source": "local"},
        "torch.save": {"_target_": "torch.save", "obj": 1, "f": str(canary)},
        "numpy.load": {"_target_": "numpy.load", "file": str(place / "object.npy"), "allow_pickle": True},
        "numpy.savetxt": writes,
        "numpy.memmap": {"_target_": "numpy.memmap", "filename": str(canary), "mode": "w+", "shape": [1]},
        "zipfile": {"_target_": "zipfile.ZipFile", "file": str(canary), "mode": "w"},
        "gzip": {"_target_": "gzip.open", "filename": str(canary), "mode": "w"},
        "sqlite3": {"_target_": "sqlite3.connect", "database": str(canary)},
        "logging": {"_target_": "logging.FileHandler", "filename": str(canary)},
        "a function beside the command": {"_target_": f"{MODULE}.run"},
        "a class beside the command": {"_target_": f"{MODULE}.Run"},
        "a function of another module": {"_target_": f"{MODULE}.system", "command": f"touch {canary}"},
        "get_object": {"_target_": "hydra.utils.get_object", "path": f"{MODULE}.run"},
        "in a list": {"_target_": "builtins.str", "object": [[writes]]},
        "below a shipped name": {
            "_target_": "rnnexp.data.corpora.phrasebook.corpus.Phrasebook",
            "_partial_": True,
            "source_lang": writes,
        },
        "without a name": {"nested": [writes]},
    }


BLOCKED = ("os.system", "exec", "importlib", "a function of another module")
"""Payloads that Hydra refuses as well."""
PLACES = (
    *("data", "data.corpus", "data.root", "data.mirrors", "data.mirrors.0", "data.transform", "data.a.b.c"),
    *("task", "task.network", "task.network.embedding_size", "task.pooling", "task.metrics"),
    *("model", "model.hidden_size", "model.cell", "model.cell_options", "model.cell_options.reset"),
    *("optimizer", "optimizer.lr", "optimizer.betas.0", "scheduler", "scheduler.warmup"),
    *("trainer", "trainer.max_epochs", "trainer.profiler", "trainer.callbacks", "trainer.plugins", "trainer.logger"),
    *("callbacks.mine", "callbacks.best_checkpoint", "callbacks.best_checkpoint.monitor", "callbacks.progress"),
    *("logger.csv", "logger.mine", "logger.csv.save_dir"),
)


def put(config: Node, place: str, payload: object) -> None:
    """Put a payload at a place; a number is the position in a new list."""
    node: Any = config
    *groups, last = place.split(".")
    for group in groups:
        if not isinstance(node.get(group), dict):
            node[group] = {}
        parent, node = node, node[group]
    if last.isdigit():
        parent[groups[-1]] = [payload]
    else:
        node[last] = payload
