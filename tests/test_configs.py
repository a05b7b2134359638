"""Every YAML file in conf/ composes, matches the arguments of its constructor, and runs."""

import inspect
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from rnnexp.cli.conf_dir import config_root
from rnnexp.tasks.classification.task import ClassificationTask
from rnnexp.tasks.regression.task import RegressionTask
from rnnexp.tasks.tagging.task import TaggingTask
from rnnexp.tasks.translation.task import TranslationTask
from support.programs import Run

CONF = config_root()
PROGRAMS = sorted(path.stem for path in CONF.glob("*.yaml"))
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
# base is included by the other options of its group; the options of hydra belong to one program each.
OPTIONS = [
    (group, path.stem)
    for group in GROUPS
    for path in sorted((CONF / group).glob("*.yaml"))
    if path.stem != "base" and group != "hydra"
]
RECIPES = [(group, option) for group, option in OPTIONS if group in ("experiment", "debug")]
# Arguments that the program supplies when it makes the object of a group.
SUPPLIED = {
    "task": {"make_stack", "make_optimizer", "make_scheduler"},
    "task.network": {"make_stack", "source_vocab_size", "target_vocab_size"},
    "model": {"input_size"},
    "optimizer": {"params"},
    "scheduler": {"optimizer", "total_steps"},
    "trainer": {"callbacks", "logger", "enable_progress_bar", "enable_checkpointing", "plugins"},
}

FROM_DATA = {
    ClassificationTask: {"input_size", "num_classes"},
    RegressionTask: {"input_size", "units", "per_step"},
    TaggingTask: {"input_size", "num_classes"},
    TranslationTask: {"tokenizers"},
}


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Any]:
    """A function that composes a program's config like the command line, with Hydra's own interpolations."""

    def make(program: str, *overrides: str) -> DictConfig:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose(program, [*overrides, f"hydra.runtime.cwd={tmp_path}"], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        return config

    yield make
    HydraConfig.instance().cfg = None


def resolved(config: DictConfig) -> dict[str, Any]:
    """Return the config without Hydra's own keys, with all interpolations resolved and no value missing."""
    ours = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    plain = OmegaConf.to_container(ours, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def targets(node: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every node that has a _target_, with its key."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield where, node
        for key, child in node.items():
            yield from targets(child, f"{where}.{key}" if where else str(key))


def corpus_options(data: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of `data` that the data module passes to its corpus."""
    own = inspect.signature(get_object(data["_target_"])).parameters
    return {key: value for key, value in data.items() if key not in own and key != "_target_"}


def test_configs_exist() -> None:
    assert PROGRAMS == ["benchmark", "dashboard", "evaluate", "export", "predict", "train", "translate"]
    assert {"model", "data", "task", "optimizer", "scheduler", "trainer", "logger", "callbacks", "paths"} <= set(GROUPS)
    assert {"mnist", "mnist_pixels", "mnist_permuted"} <= {option for group, option in OPTIONS if group == "data"}
    assert {"fast", "limit", "overfit", "profiler"} <= {option for group, option in OPTIONS if group == "debug"}
    assert {"baseline_lstm", "baseline_bilstm"} <= {option for group, option in OPTIONS if group == "experiment"}
    assert {"cpu", "gpu", "ddp"} <= {option for group, option in OPTIONS if group == "trainer"}
    assert {"csv", "wandb", "tensorboard", "none"} <= {option for group, option in OPTIONS if group == "logger"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_composes(composed: Any, program: str) -> None:
    given = {
        "evaluate": ["run=somewhere"],
        "predict": ["run=somewhere", "input=new.npz", "output=new.csv"],
        "translate": ["run=somewhere"],
        "export": ["run=somewhere"],
        "dashboard": ["project=some"],
    }
    assert resolved(composed(program, *given.get(program, [])))


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=str)
def test_an_option_resolves_and_fits_its_constructors(composed: Any, group: str, option: str) -> None:
    config = resolved(composed("train", f"{group}={option}", "paths.output_dir=here"))
    found = list(targets(config, ""))
    assert {"task", "data", "model", "optimizer", "scheduler", "trainer"} <= {where for where, _ in found}
    for where, node in found:
        constructor = get_object(node["_target_"])
        arguments = {key: value for key, value in node.items() if not key.startswith("_")}
        arguments |= dict.fromkeys(SUPPLIED.get(where, ()))
        arguments |= corpus_options(config["data"]) if where == "data.corpus" else {}
        arguments |= dict.fromkeys(FROM_DATA[constructor] if where == "task" else ())
        # Raises for a key that the constructor does not take, and for an argument that nothing supplies.
        inspect.signature(constructor).bind(**arguments)
        assert where not in SUPPLIED or not SUPPLIED[where] & set(node), f"{where}: the program overrides these"


def test_both_directions_is_an_override(composed: Any) -> None:
    named = ["name=same", "paths.output_dir=here", "sweep_dir=there"]
    birnn = resolved(composed("train", "model=birnn", *named))
    assert birnn == resolved(composed("train", "model=srn", "model.bidirectional=true", *named))
    assert birnn["model"]["bidirectional"] is True


def test_a_bidirectional_experiment_is_the_other_with_one_key_changed(composed: Any) -> None:
    named = ["name=same", "paths.output_dir=here", "sweep_dir=there"]
    bidirectional = resolved(composed("train", "experiment=baseline_bilstm", *named))
    assert bidirectional["model"]["bidirectional"] is True
    one_way = resolved(composed("train", "experiment=baseline_lstm", "model.bidirectional=true", *named))
    assert bidirectional == one_way


def commands() -> list[str]:
    """Return the commands in the comments of conf/."""
    pattern = re.compile(r"^#.*?(python -m rnnexp\.\w+.*?)\s*$", re.MULTILINE)
    return [
        command
        for path in sorted(CONF.rglob("*.yaml"))
        for command in pattern.findall(path.read_text(encoding="utf-8"))
    ]


def test_every_recipe_has_its_command() -> None:
    written = set(commands())
    assert RECIPES
    assert {f"python -m rnnexp.train {group}={option}" for group, option in RECIPES} <= written


@pytest.mark.parametrize("command", commands())
def test_a_command_of_a_comment_composes(composed: Any, command: str) -> None:
    _python, _m, module, *overrides = shlex.split(command)
    resolved(composed(module.removeprefix("rnnexp."), *overrides, "paths.output_dir=here"))


@pytest.mark.parametrize(("group", "option"), RECIPES, ids=str)
def test_a_recipe_takes_two_steps(
    composed: Any, run: Run, translate_tiny: Callable[[str], list[str]], group: str, option: str
) -> None:
    config = composed("train", f"{group}={option}")
    recipe = [f"{group}={option}", "data.batch_size=25", "trainer.max_epochs=2", "trainer.max_steps=2"]
    # Two epochs, since some recipes have only one batch in an epoch.
    is_translation = get_object(config.task._target_) is TranslationTask
    outcome = run(*recipe, data=translate_tiny(config.data.corpus._target_)) if is_translation else run(*recipe)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.status == "done"
    assert outcome.result["num_steps"] == 2
