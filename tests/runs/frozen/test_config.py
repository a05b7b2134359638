"""A config of another person executes nothing wherever a class can be named, and the user's own modules are trusted."""

import itertools
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import instantiate

from rnnexp.cli.conf_dir import config_root
from rnnexp.core.errors import UserError
from rnnexp.runs.build import make_loggers
from rnnexp.runs.frozen.config import read_frozen_config, untrusted_modules, without_fetching
from rnnexp.tracking.run_directory import RunDirectory
from support.foreign_runs import change_config
from support.payloads import BLOCKED, MODULE, PLACES, make_files, payloads, put
from support.programs import Outcome

Changed = Callable[[Callable[[dict[str, Any]], object]], RunDirectory]


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a payload writes; the payloads' module is beside the command."""
    path = tmp_path / "canary"
    make_files(tmp_path, path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return path


@pytest.fixture
def changed(finished: Outcome, tmp_path: Path) -> Changed:
    """A function that returns the finished run with another config, as if it had been started with it."""
    shutil.copytree(finished.directory, tmp_path / "run")
    original = (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")

    def change(change: Callable[[dict[str, Any]], object]) -> RunDirectory:
        (tmp_path / "run" / "config.yaml").write_text(original, encoding="utf-8")
        change_config(tmp_path / "run", change)
        return RunDirectory(tmp_path / "run")

    return change


TEXTS = ["".join(letters) for letters in itertools.product(("\\", "${", "}", "x"), repeat=4)]
KINDS = tuple(payloads(Path(), Path()))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(BLOCKED)))
def test_each_payload_executes_where_nothing_checks_it(kind: str, canary: Path, tmp_path: Path) -> None:
    made = instantiate(payloads(tmp_path, canary)[kind])
    if hasattr(made, "close"):
        made.close()
    assert canary.exists()


@pytest.mark.parametrize("place", PLACES)
def test_no_payload_executes_and_each_is_named(place: str, canary: Path, tmp_path: Path, changed: Changed) -> None:
    for node in payloads(tmp_path, canary).values():
        run = changed(lambda config, node=node: put(config, place, node))
        with pytest.raises(UserError, match=rf"config.yaml: {re.escape(place)}.* is refused: ") as refused:
            read_frozen_config(run, [])
        assert "\n" not in str(refused.value)
        assert not canary.exists()


@pytest.mark.parametrize("key", ["_args_", "_convert_", "_recursive_", "_partial_"])
@pytest.mark.parametrize("place", ["data", "task.network", "model", "optimizer", "callbacks.progress", "trainer"])
def test_keys_of_hydra_stand_only_where_conf_has_them(place: str, key: str, changed: Changed) -> None:
    run = changed(lambda config: put(config, f"{place}.{key}", [1] if key == "_args_" else "all"))
    with pytest.raises(UserError, match=rf"{place}.{key}=.* is refused"):
        read_frozen_config(run, [])


@pytest.mark.parametrize("key", ["hydra", "defaults"])
def test_what_hydra_composes_is_refused(key: str, changed: Changed) -> None:
    run = changed(lambda config: config.update({key: {"callbacks": {"a": {"_target_": f"{MODULE}.Run"}}}}))
    with pytest.raises(UserError, match=f"{key}=.* is refused"):
        read_frozen_config(run, [])


def test_what_conf_names_is_read(finished: Outcome) -> None:
    run = RunDirectory(finished.directory)
    assert read_frozen_config(run, []) == run.read_config()
    assert untrusted_modules(run.read_config()) == []


def test_every_name_in_conf_is_allowed_at_its_place(changed: Changed) -> None:
    num_names = 0
    for file in config_root().rglob("*.yaml"):
        group, content = file.parent.name, yaml.safe_load(file.read_text(encoding="utf-8"))
        if group in ("data", "optimizer", "scheduler", "model") and file.stem != "base" and "_target_" in content:
            run = changed(lambda config, group=group, content=content: config[group].update(content))
            read_frozen_config(run, [])
            num_names += 1
    assert num_names >= 7


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("optimizer", "torch.optim.RMSprop"),
        ("scheduler", "torch.optim.lr_scheduler.OneCycleLR"),
        ("callbacks.rates", "lightning.pytorch.callbacks.LearningRateMonitor"),
    ],
)
def test_classes_of_libraries_without_harm(place: str, name: str, changed: Changed) -> None:
    run = changed(lambda config: put(config, f"{place}._target_", name))
    assert untrusted_modules(read_frozen_config(run, [])) == []


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("optimizer", "torch.optim.lr_scheduler.sys.exit"),
        ("optimizer", "torch.optim.swa_utils.warnings.warn"),
        ("optimizer", "torch.load"),
        ("scheduler", "torch.optim.Adam"),
        ("data", "rnnexp.tasks.classification.task.ClassificationTask"),
        ("data", "rnnexp.data.images.mnist.Path"),
        ("logger.mine", "rnnexp.callbacks.predictions.PredictionWriter"),
        ("callbacks.mine", "lightning.pytorch.callbacks.ModelCheckpoint"),
        ("task.network", "rnnexp.data.corpora.phrasebook.corpus.Phrasebook"),
        ("data", ""),
        ("data", "."),
        ("data", 5),
        ("data", ["torch.load"]),
        ("data", None),
    ],
)
def test_a_name_at_another_place(place: str, name: object, changed: Changed) -> None:
    run = changed(lambda config: put(config, f"{place}._target_", name))
    with pytest.raises(UserError, match=f"{place}._target_="):
        read_frozen_config(run, [])


OWN = """
from os import system
from rnnexp.recurrent import CELLS, Cell
from rnnexp.recurrent.cells.standard import gru_reset_after
class Callback: pass
def make(): return Cell(gru_reset_after, gates=3)
cell = make()
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of the user, which has names of other modules in it, as every module has."""
    (tmp_path / "own_parts.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_parts", raising=False)
    return "own_parts"


def test_a_module_in_a_list_is_named(changed: Changed) -> None:
    run = changed(lambda config: put(config, "data.transforms.0", {"_target_": "my_transforms.Flip"}))
    assert untrusted_modules(run.read_config()) == ["my_transforms"]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("callbacks.mine._target_", "own_parts.Callback"),
        ("data.transform._target_", "own_parts.Callback"),
        ("model.cell", "own_parts.make"),
        ("model.cell", "own_parts.cell"),
    ],
)
def test_trust_admits_a_module(place: str, name: str, own: str, changed: Changed) -> None:
    run = changed(lambda config: put(config, place, name))
    assert untrusted_modules(run.read_config()) == [own]
    for trust in ([], ["own"], ["own_part"], ["rnnexp"]):
        with pytest.raises(UserError, match=re.escape(f"{place}='{name}' is refused")) as refused:
            read_frozen_config(run, trust)
        assert f"trust=[{','.join([*trust, own])}]" in str(refused.value)
        assert own not in sys.modules
    for trust in ([own], [name], ["torch", own]):
        read_frozen_config(run, trust)


@pytest.mark.parametrize("place", ["callbacks.mine._target_", "model.cell"])
def test_trust_admits_no_other_module(place: str, own: str, changed: Changed) -> None:
    """The names that a trusted module imports are not its own."""
    run = changed(lambda config: put(config, place, f"{own}.system"))
    with pytest.raises(UserError, match=r"it is posix\.system"):
        read_frozen_config(run, [own])


def test_a_trusted_module_that_does_not_import(changed: Changed) -> None:
    run = changed(lambda config: put(config, "model.cell", "nowhere_at_all.mgu"))
    with pytest.raises(UserError, match=r"model\.cell='nowhere_at_all\.mgu' does not import"):
        read_frozen_config(run, ["nowhere_at_all"])


def test_what_the_user_replaces_needs_no_trust(own: str, changed: Changed) -> None:
    run = changed(lambda config: put(config, "callbacks.mine._target_", f"{own}.Callback"))
    read_frozen_config(run, [], given=["seed", "callbacks.mine"])
    for given in ([], ["callbacks.other"], ["callbacks.mine._target_"], ["callbacks.min"]):
        with pytest.raises(UserError, match=r"callbacks\.mine"):
            read_frozen_config(run, [], given=given)


def test_trust_is_not_read_from_the_file(own: str, changed: Changed) -> None:
    run = changed(lambda config: config.update(trust=[own]) or put(config, "model.cell", f"{own}.make"))
    with pytest.raises(UserError, match="is refused"):
        read_frozen_config(run, [])


def test_no_address_of_the_config_is_used() -> None:
    data = {"mirrors": ["http://host"], "download_from": ["mirrors", "wheel"], "root": "data"}
    assert without_fetching(data, []) == {"mirrors": [], "download_from": []}
    assert without_fetching(data, ["batch_size"]) == {"mirrors": [], "download_from": []}
    assert without_fetching(data, ["root"]) == {"mirrors": None}
    assert without_fetching({"root": "data"}, []) == {}


def test_a_value_reaches_its_constructor_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra resolves a node that it makes an object from, and then what it has resolved."""
    monkeypatch.setenv("WANDB_API_KEY", "value-of-the-key")
    loggers = make_loggers({"mine": {"_target_": "builtins.dict", "texts": [*TEXTS, "${oc.env:WANDB_API_KEY}"]}})
    assert loggers == [{"texts": [*TEXTS, "${oc.env:WANDB_API_KEY}"]}]
