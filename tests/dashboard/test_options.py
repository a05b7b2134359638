"""The metric of a dashboard comes from the registry of tasks."""

import pytest
from omegaconf import OmegaConf

from rnnexp.core.errors import UserError
from rnnexp.dashboard.options import Options, main_metric, make_options

GIVEN = {
    "project": "p",
    "entity": None,
    "sweep": None,
    "dataset": None,
    "task_name": "classification",
    "metric": None,
    "timeout_seconds": 5.0,
    "paths": {"outputs_dir": "outputs"},
}


def made(**given: object) -> Options:
    return make_options(OmegaConf.create({**GIVEN, **given}))


@pytest.mark.parametrize(("task_name", "metric"), [("classification", "acc"), ("translation", "bleu"), ("toy", "loss")])
def test_the_main_measure_of_a_task_is_shown(task_name: str, metric: str) -> None:
    assert main_metric(task_name) == made(task_name=task_name).metric == metric


def test_a_name_that_may_be_misspelled_is_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    main_metric("translaton")
    assert "'translaton'; did you mean 'translation'?" in capsys.readouterr().out
    main_metric("translation")
    assert capsys.readouterr().out == ""


def test_a_metric_that_is_given_is_shown() -> None:
    assert made(task_name="translation", metric="chrf").metric == "chrf"


def test_a_sweep_is_named_or_its_directory_given() -> None:
    assert made(sweep="outputs/sweeps/depth/").sweep == made(sweep="depth").sweep == "depth"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"timeout_seconds": "soon"}, "timeout_seconds must be a number above 0, not 'soon'"),
        ({"timeout_seconds": 0}, "timeout_seconds must be a number above 0, not 0"),
    ],
)
def test_a_bad_value_is_a_one_line_error(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        made(**given)
    assert "\n" not in str(raised.value)
