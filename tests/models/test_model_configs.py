"""Each file of conf/model makes the stack of its name."""

import inspect

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from rnnexp.recurrent import CELLS, RecurrentStack
from support import ROOT

CONF = ROOT / "conf" / "model"
PRESETS = {"birnn": "srn", "irnn": "srn"}
"""Names of models with other values than the defaults of a cell -> the cell."""
NAMES = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem != "base")


def composed(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, list(overrides))


def test_every_cell_has_a_config() -> None:
    assert set(NAMES) >= {*PRESETS, *CELLS}


@pytest.mark.parametrize("name", NAMES)
def test_makes_its_stack(name: str) -> None:
    stack = instantiate(composed(name))(input_size=28)
    assert isinstance(stack, RecurrentStack)
    assert stack.cell_name == PRESETS.get(name, name)
    assert stack.bidirectional == (name == "birnn")


def test_every_argument_of_the_stack_is_a_key() -> None:
    arguments = set(inspect.signature(RecurrentStack).parameters) - {"input_size"}
    assert {str(key) for key in composed("base")} - {"_target_", "_partial_"} == arguments


@pytest.mark.parametrize("name", [name for name in NAMES if name not in PRESETS])
def test_a_cell_is_three_lines(name: str) -> None:
    lines = (CONF / f"{name}.yaml").read_text(encoding="utf-8").strip().split("\n")
    assert len([line for line in lines if not line.startswith("#")]) <= 3


def test_both_directions_is_an_override() -> None:
    assert composed("srn", "bidirectional=true") == composed("birnn")


def test_the_base_has_no_cell() -> None:
    with pytest.raises(MissingMandatoryValue, match="cell"):
        OmegaConf.to_container(composed("base"), throw_on_missing=True)
