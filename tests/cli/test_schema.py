"""The JSON schemas of conf/ are up to date, and every YAML file names its schema and fits it."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from omegaconf import OmegaConf

from rnnexp.cli.conf_dir import config_root
from rnnexp.cli.schema import schemas
from support import ROOT

CONF = config_root()
# The files of hydra/ have Hydra's own keys, and those of wandb/ the keys of W&B.
FILES = sorted(
    path
    for top in (CONF, ROOT / "sweeps")
    for path in top.rglob("*.yaml")
    if path.parent.name not in ("hydra", "wandb")
)


def schema_of(file: Path) -> Path:
    """Return the schema that a file names in its comments."""
    (named,) = re.findall(r"^# yaml-language-server: \$schema=(\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return (file.parent / named).resolve()


def test_the_schemas_match_the_configs() -> None:
    made = schemas()
    assert {CONF / path for path in made} == set(CONF.rglob("*.json")), "run make schema"
    for path, schema in made.items():
        assert json.loads((CONF / path).read_text(encoding="utf-8")) == schema, (
            f"{path} is out of date: run make schema"
        )
        jsonschema.Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_names_its_schema_and_fits_it(file: Path) -> None:
    text, schema = file.read_text(encoding="utf-8"), schema_of(file)
    is_global = "@package _global_" in text or file.is_relative_to(ROOT / "sweeps")
    if is_global:
        assert schema == CONF / "train.schema.json"
    elif file.parent == CONF:
        assert schema == CONF / f"{file.stem}.schema.json"
    else:
        assert schema == file.parent / "schema.json"
    node: Any = OmegaConf.to_container(OmegaConf.load(file))
    jsonschema.validate(node, json.loads(schema.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ("model/schema.json", {"hiden_size": 128}),
        ("model/schema.json", {"hidden_size": "wide"}),
        ("train.schema.json", {"model": {"num_layers": 1.5}}),
        ("train.schema.json", {"sed": 1}),
    ],
)
def test_a_mistake_does_not_fit_the_schema(schema: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, json.loads((CONF / schema).read_text(encoding="utf-8")))


def test_an_interpolation_fits_the_schema() -> None:
    jsonschema.validate({"hidden_size": "${other}"}, json.loads((CONF / "model" / "schema.json").read_text("utf-8")))
