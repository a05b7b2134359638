"""The settings that make two runs the same experiment."""

from typing import Any

import pytest

from rnnexp.tracking.identity import SEEDS, config_hash, identity_of

CONFIG: dict[str, Any] = {
    "name": "mnist_gru",
    "seed": 1,
    "test_weights": "best",
    "size_budget": None,
    "model": {"cell": "gru", "hidden_size": 8},
    "data": {"root": "/data", "seed": 1, "batch_size": 50},
    "paths": {"output_dir": "/runs/one"},
    "callbacks": {
        "early_stopping": {"_target_": "rnnexp.callbacks.early_stopping.EarlyStopping", "patience": 10},
        "best_checkpoint": {"_target_": "rnnexp.callbacks.checkpoints.BestCheckpoint", "dirpath": "/runs/one/ckpt"},
        "kept_checkpoints": {"_target_": "rnnexp.callbacks.checkpoints.KeptCheckpoints", "keep": 5},
        "progress": {"_target_": "rnnexp.callbacks.progress.make_progress", "every_n_seconds": 10.0},
    },
}


def with_callback(name: str, value: dict[str, Any] | None, **others: Any) -> dict[str, Any]:
    return CONFIG | {"callbacks": CONFIG["callbacks"] | {name: value}} | others


def test_a_callback_of_the_user_makes_another_experiment() -> None:
    target = {"_target_": "mine.Noise"}
    one, two = with_callback("noise", target | {"size": 0.1}), with_callback("noise", target | {"size": 0.2})
    assert len({config_hash(CONFIG), config_hash(one), config_hash(two)}) == 3
    assert len({config_hash(config, *SEEDS) for config in (CONFIG, one, two)}) == 3


def test_a_path_in_the_run_directory_does_not_change_the_experiment() -> None:
    def config_in(place: str | None) -> dict[str, Any]:
        best = CONFIG["callbacks"]["best_checkpoint"] | {"dirpath": f"{place}/ckpt"}
        noise = {"_target_": "mine.Noise", "path": f"{place}/noise.csv"}
        return CONFIG | {"callbacks": {"best_checkpoint": best, "noise": noise}, "paths": {"output_dir": place}}

    assert len({config_hash(config_in(place)) for place in ("/runs/one", "/runs/two", None)}) == 1
    elsewhere = config_in("/runs/one")
    elsewhere["callbacks"]["noise"]["path"] = "/another/noise.csv"
    assert config_hash(elsewhere) != config_hash(config_in("/runs/one"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("progress", None),
        ("progress", {"_target_": "rnnexp.callbacks.progress.make_progress", "every_n_seconds": 1.0}),
        ("samples", {"_target_": "rnnexp.tasks.translation.callbacks.SampleWriter", "num_sentences": 8}),
        ("bar", {"_target_": "lightning.pytorch.callbacks.RichProgressBar", "refresh_rate": 3}),
        ("kept_checkpoints", {"_target_": "rnnexp.callbacks.checkpoints.KeptCheckpoints", "keep": 6}),
        ("off", None),
    ],
)
def test_a_recording_callback_does_not_change_the_experiment(name: str, value: dict[str, Any] | None) -> None:
    assert config_hash(with_callback(name, value)) == config_hash(CONFIG)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("early_stopping", None),
        ("early_stopping", {"_target_": "rnnexp.callbacks.early_stopping.EarlyStopping", "patience": 11}),
        ("best_checkpoint", {"_target_": "rnnexp.callbacks.checkpoints.BestCheckpoint", "mode": "min"}),
        # A class of the user with the name of a class of rnnexp.
        ("progress", {"_target_": "mine.make_progress", "every_n_seconds": 10.0}),
    ],
)
def test_a_callback_that_affects_training_changes_the_experiment(name: str, value: dict[str, Any] | None) -> None:
    assert config_hash(with_callback(name, value)) != config_hash(CONFIG)


def test_the_user_can_declare_a_callback_as_recording() -> None:
    noise = {"_target_": "mine.Noise", "size": 0.1, "path": {"log": "a"}}
    config = with_callback("noise", noise)
    assert config_hash(config | {"run_only": ["callbacks.noise"]}) == config_hash(CONFIG)
    assert config_hash(config | {"run_only": ["callbacks.noise.size"]}) != config_hash(CONFIG)
    other = with_callback("noise", noise | {"path": {"log": "b"}})
    deep = {"run_only": ["callbacks.noise.path.log", "not.there"]}
    assert config_hash(config | deep) == config_hash(other | deep)
    assert config_hash(config) != config_hash(other)


def test_the_number_of_kept_checkpoints_changes_an_averaging_experiment() -> None:
    kept = {"_target_": "rnnexp.callbacks.checkpoints.KeptCheckpoints", "keep": 6}
    average = {"test_weights": "average"}
    assert config_hash(with_callback("kept_checkpoints", kept, **average)) != config_hash(CONFIG | average)


def test_a_solved_hidden_size_does_not_count() -> None:
    budget = {"size_budget": "params:1k"}
    other = {"model": {"cell": "gru", "hidden_size": 9}}
    assert config_hash(CONFIG | budget) == config_hash(CONFIG | budget | other)
    assert config_hash(CONFIG) != config_hash(CONFIG | other)


def test_the_config_is_not_changed() -> None:
    before = repr(CONFIG)
    assert "name" not in identity_of(CONFIG, "seed")
    assert repr(CONFIG) == before
