"""Hidden sizes solved for a budget."""

from types import SimpleNamespace
from typing import Any

import pytest

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import read_json
from rnnexp.runs.size_budget import LARGEST, flops_of_sequence, parse_budget, solve_size_budget
from support.programs import Run

BARE = ["test_weights=none", "logger=none", "callbacks.predictions=null", "trainer.max_steps=1"]


def test_budgets_are_parsed() -> None:
    assert parse_budget("params:250k") == ("params", 250_000)
    assert parse_budget("flops:1.5M") == ("flops", 1_500_000)
    assert parse_budget("params:70000") == ("params", 70_000)


@pytest.mark.parametrize("model", ["srn", "lstm", "gru", "birnn"])
@pytest.mark.parametrize("layers", [1, 2])
def test_parameters_agree_within_two_percent(run: Run, model: str, layers: int) -> None:
    outcome = run(f"model={model}", f"model.num_layers={layers}", "size_budget=params:30k", *BARE)
    assert outcome.exit_code == 0, outcome.stderr
    result = outcome.result
    assert result["size_budget"]["budget"] == 30_000
    assert result["size_budget"]["result"] == result["model"]["num_parameters"]
    assert abs(result["model"]["num_parameters"] - 30_000) <= 600
    assert result["model"]["hidden_size"] == result["size_budget"]["hidden_size"]


def test_the_nearest_size_is_used_and_logged(run: Run) -> None:
    outcome = run("model=gru", "size_budget=params:120", *BARE)
    assert outcome.exit_code == 0, outcome.stderr
    budget = outcome.result["size_budget"]
    assert (budget["budget"], budget["hidden_size"]) == (120, 1)
    assert budget["result"] == outcome.result["model"]["num_parameters"] != 120
    log = (outcome.directory / "train.log").read_text(encoding="utf-8")
    assert "no hidden size comes within 2 %; the nearest is 1" in log


class Square:
    """A task whose parameters are the square of its hidden size."""

    def __init__(self, hidden_size: int) -> None:
        self.num_parameters = hidden_size**2


@pytest.mark.parametrize(
    ("budget", "hidden_size"),
    [(1, 1), (2, 1), (3, 2), (99, 10), (100, 10), (110, 10), (111, 11), (LARGEST**2 * 4, LARGEST)],
)
def test_the_nearest_size_is_found(budget: int, hidden_size: int) -> None:
    made: list[int] = []

    def make_task(size: int) -> Any:
        made.append(size)
        return Square(size)

    solved = solve_size_budget(f"params:{budget}", make_task, {})
    assert solved == ("params", budget, hidden_size**2, hidden_size)
    assert max(made) <= max(2 * hidden_size, 2), "large networks take long to make"
    assert len(made) == len(set(made))


def test_operations_need_one_length() -> None:
    with pytest.raises(UserError, match=r"size_budget=flops: .* use params:"):
        solve_size_budget("flops:1M", Square, {"source_lang": "en"})  # type: ignore[arg-type]


def test_a_task_counts_its_products_outside_the_stack() -> None:
    task: Any = SimpleNamespace(stack=SimpleNamespace(multiply_adds_per_step=3), multiply_adds_outside_stack=5)
    assert flops_of_sequence(task, {"seq_len": 4}) == 2 * (4 * 3 + 5)


def test_operations_count_the_matrix_products(run: Run) -> None:
    outcome = run("model=gru", "model.num_layers=1", "size_budget=flops:1M", *BARE)
    budget = outcome.result["size_budget"]
    hidden = budget["hidden_size"]
    # 28 steps of three gates over 28 pixels and the state, and a head of ten classes; two operations per product.
    assert budget["result"] == 2 * (28 * 3 * hidden * (28 + hidden) + 10 * hidden)
    assert abs(budget["result"] - 1_000_000) <= 20_000


def test_a_matched_run_is_evaluated_from_its_directory(run: Run, score: Run) -> None:
    done = run("model=gru", "size_budget=params:30k")
    again = score(f"run={done.directory}")
    assert again.exit_code == 0, again.stderr
    (evaluation,) = (done.directory / "evaluations").glob("*.json")
    assert read_json(evaluation)["metrics"]["test/acc"] == done.result["metrics"]["test/acc"]
    same = run("model=gru", "size_budget=params:30k", "model.hidden_size=99")
    assert same.result["config_hash"] == done.result["config_hash"], "the budget replaces the given size"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("250k", "size_budget must be params:<number> or flops:<number>, as in size_budget=params:250k, not '250k'"),
        ("parms:250k", "size_budget: unknown budget 'parms': choose one of params, flops; did you mean 'params'?"),
    ],
)
def test_a_bad_budget_is_a_one_line_error(run: Run, value: str, message: str) -> None:
    outcome = run("model=gru", f"size_budget={value}", *BARE)
    assert outcome.exit_code == 2
    assert message in outcome.line
