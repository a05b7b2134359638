"""The recipe of a setting: the sizes, epochs, batches, optimizer and limits with which it was trained."""

from collections.abc import Mapping
from typing import Any

from rnnexp.report.records.axes import first_of, show_value
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.render.document import Table
from rnnexp.tracking.keys import flattened

RECIPE = {
    "layers": "model.num_layers",
    "decoder layers": "task.network.decoder_layers",
    "hidden size": "model.hidden_size",
    "embedding size": "task.network.embedding_size",
    "epochs": "trainer.max_epochs",
    "steps": "trainer.max_steps",
    "batch size": "data.batch_size",
    "optimizer": "optimizer._target_",
    "learning rate": "optimizer.lr",
    "weight decay": "optimizer.weight_decay",
    "schedule": "scheduler._target_",
    "dropout between layers": "model.dropout",
    "dropout of embeddings": "task.network.embedding_dropout",
    "dropout of annotations": "task.network.annotation_dropout",
    "dropout of the output": "task.network.output_dropout",
    "pooling": "task.pooling",
    "label smoothing": "task.label_smoothing",
    "gradient clipping": "trainer.gradient_clip_val",
    "precision": "trainer.precision",
    "tested weights": "test_weights",
}
"""Name -> config key."""
NAMES = {key: name for name, key in RECIPE.items()}
SHARES = tuple(f"trainer.limit_{split}_batches" for split in ("train", "val", "test"))
"""Config keys of a share (1.0 is all) or of a number of batches (1 is one batch)."""
LIMITS = {"trainer.overfit_batches": 0, "trainer.max_steps": -1, "trainer.max_time": None}
"""Config key -> the value that is no limit. The number of epochs says little where one of them is set."""
MOST_VALUES = 4


def recipe_of(setting: Setting) -> dict[str, Any]:
    """Return the config of a setting by its whole keys; its runs differ only in the seed."""
    return flattened(setting.runs[0].config or {})


def limits_of(config: Mapping[str, Any]) -> list[str]:
    """Return the limits of training, validation and test in a config: `limit_train_batches 60`."""
    found = {key: value for key, unlimited in LIMITS.items() if (value := config.get(key, unlimited)) != unlimited}
    for key in SHARES:
        value = config.get(key)
        if isinstance(value, float) and value != 1:
            found[key] = f"{100 * value:g} %"
        elif isinstance(value, int):
            found[key] = value
    return [f"{key.rpartition('.')[2]} {show_value(key, value)}" for key, value in found.items()]


def differences(setting: Setting, published: Mapping[str, Any]) -> list[str]:
    """Return how a setting was trained otherwise than a published network: `hidden size 32, not 128`.

    Args:
        setting: the setting.
        published: the config keys that the source states, with their values.
    """
    config = recipe_of(setting)
    other = [
        f"{NAMES.get(key, key.rpartition('.')[2])} {show_value(key, config.get(key))}, not {show_value(key, value)}"
        for key, value in published.items()
        if config.get(key) != value
    ]
    return [*other, *limits_of(config)]


def recipe_text(setting: Setting) -> str:
    """Return the recipe of a setting in one line: `layers 2, hidden size 32, epochs 2, ...`, with its limits."""
    config = recipe_of(setting)
    parts = [
        f"{name} {show_value(key, config[key])}"
        for name, key in RECIPE.items()
        if config.get(key) is not None and key not in LIMITS
    ]
    return ", ".join([*parts, *limits_of(config)])


def recipe_table(group: ComparisonGroup) -> Table:
    """Return a row for each part of the recipe, with its value or its values among the settings of a group."""
    configs = [recipe_of(setting) for setting in group.settings]
    rows = []
    for name, key in RECIPE.items():
        values = [show_value(key, config[key]) for config in configs if key in config]
        if values and set(values) != {"none"} and not (key in LIMITS and set(values) == {str(LIMITS[key])}):
            rows.append((name, values))
    rows.append(("limits", [", ".join(limits_of(config)) or "none" for config in configs]))
    for name, path in (("training samples", "data.num_train"), ("test samples", "num_test_samples")):
        if sizes := [f"{size:,.0f}" for run in group.counted if (size := run.number(path)) is not None]:
            rows.append((name, sizes))
    return Table(["recipe", "value"], [[name, first_of(list(dict.fromkeys(each)), MOST_VALUES)] for name, each in rows])
