"""Values of another type than their key has are refused before a run directory exists."""

from pathlib import Path
from typing import Any

import pytest

from rnnexp.cli.value_types import require_values
from rnnexp.core.errors import UserError
from support.programs import Run

STACK = {"_target_": "rnnexp.recurrent.RecurrentStack", "hidden_size": 8, "dropout": 0, "bidirectional": False}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": STACK | {"hidden_size": "ten"}}, "model.hidden_size must be a whole number, not 'ten'"),
        ({"model": STACK | {"hidden_size": 8.5}}, "model.hidden_size must be a whole number, not 8.5"),
        ({"model": STACK | {"hidden_size": True}}, "model.hidden_size must be a whole number, not True"),
        ({"model": STACK | {"hidden_size": [8]}}, r"model.hidden_size must be a whole number, not \[8\]"),
        ({"model": STACK | {"bidirectional": "yes"}}, "model.bidirectional must be true or false, not 'yes'"),
        ({"seed": "one"}, "seed must be a whole number, not 'one'"),
        ({"optimizer": {"lr": "1e-3x"}}, "optimizer.lr must be a number, not '1e-3x'"),
    ],
)
def test_a_value_of_another_type_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        require_values(config)


@pytest.mark.parametrize(
    "config",
    [
        {"model": STACK},
        {"model": STACK | {"hidden_size": None, "dropout": 0.5}},
        {"model": STACK | {"_target_": "mine.Stack", "hidden_size": "wide"}},
        {"trainer": {"devices": "auto", "limit_train_batches": 10}},
        {"trainer": {"devices": [0, 1], "limit_train_batches": 1.0}},
        {"callbacks": {"mine": {"_target_": "mine.Callback", "patience": "long"}}, "mine": {"x": "y"}},
    ],
)
def test_values_of_the_type_and_of_own_classes_are_accepted(config: dict[str, Any]) -> None:
    require_values(config)


@pytest.mark.parametrize("multirun", [["seed=1", "--multirun"], []])
def test_no_run_directory_is_made(run: Run, tmp_path: Path, multirun: list[str]) -> None:
    outcome = run("trainer.max_epochs=ten", f"sweep_dir={tmp_path}/sweep", *multirun)
    assert outcome.exit_code == 2
    assert outcome.line == "rnnexp: trainer.max_epochs must be a whole number, not 'ten'"
    assert outcome.directories == []
