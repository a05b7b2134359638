"""The JSON schemas of conf/, with which editors complete and check keys: python -m rnnexp.cli.schema writes them."""

import inspect
import json
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union

from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import OmegaConf

from rnnexp.cli.conf_dir import SHARED_OPTION, config_root
from rnnexp.core.files.atomic import write_text
from rnnexp.tasks.base import Task

Schema = dict[str, Any]
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", type(None): "null"}
INTERPOLATION = r"\$\{|^\?\?\?$"
DEFAULTS: Schema = {"type": "array", "items": {"type": ["string", "object"]}}
CLOSED: Schema = {"additionalProperties": False}
ANY_NODE: Schema = {"type": "object"}
REQUIRED = {
    "evaluate": ["run=x"],
    "predict": ["run=x", "input=x", "output=x"],
    "translate": ["run=x"],
    "export": ["run=x"],
    "dashboard": ["project=x"],
}
SUPPLIED = {"input_size", "total_steps"}
"""Arguments of simple types that the program supplies, besides those of a task that depend on the data."""


def schemas() -> dict[Path, Schema]:
    """Return the schema of each config group and of each program, by its path below `config_root()`."""
    conf = config_root()
    with initialize_config_dir(str(conf), version_base="1.3"):
        groups = {path.name: _group(path) for path in sorted(conf.iterdir()) if path.is_dir() and path.name != "hydra"}
        groups = {name: schema for name, schema in groups.items() if schema["properties"]}
        by_path = {
            Path(name, "schema.json"): _with_properties(schema, defaults=DEFAULTS) for name, schema in groups.items()
        }
        for program in sorted(path.stem for path in conf.glob("*.yaml")):
            config = _composed(program, REQUIRED.get(program, []))
            schema = _node(config, _comments(conf / f"{program}.yaml"))
            trains = "model" in config
            nested = {name: groups[name] if program == "train" else ANY_NODE for name in groups if trains}
            body = _with_properties(schema, **nested, hydra=ANY_NODE, defaults=DEFAULTS)
            by_path[Path(f"{program}.schema.json")] = body | CLOSED
    return by_path


def _with_properties(schema: Schema, **properties: Schema) -> Schema:
    return schema | {"properties": schema["properties"] | properties}


def _composed(program: str, overrides: list[str]) -> dict[str, Any]:
    config = OmegaConf.to_container(compose(program, overrides))
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def _group(directory: Path) -> Schema:
    """Return the keys of all options of a group; none for a group of recipes, which have no node of their own."""
    name = directory.name
    properties: Schema = {}
    closed: Schema = {}
    shared = _comments(directory / f"{SHARED_OPTION}.yaml")
    for option in sorted(path.stem for path in directory.glob("*.yaml") if path.stem != SHARED_OPTION):
        node = _composed("train", [f"{name}={option}"]).get(name)
        if isinstance(node, dict):
            own = {key.removeprefix(f"{name}."): text for key, text in _comments(directory / f"{option}.yaml").items()}
            option_schema = _node(node, shared | own)
            closed = CLOSED if "_target_" in node else {}
            for key, schema in option_schema["properties"].items():
                # If two options give a key different types, only its name can be checked.
                known = properties.setdefault(key, schema)
                if any(known.get(part) != schema.get(part) for part in ("type", "properties")):
                    properties[key] = {}
    return {"type": "object", "properties": properties} | closed


def _node(node: Mapping[str, Any], comments: Mapping[str, str], prefix: str = "") -> Schema:
    """Return the schema of a node: its keys and, with a `_target_`, further arguments of simple types."""
    constructor = get_object(node["_target_"]) if "_target_" in node else None
    annotations = _annotations(constructor) if constructor else {}
    properties = {key: _value(value, annotations.get(key), comments, f"{prefix}{key}") for key, value in node.items()}
    for key in annotations.keys() - node.keys():
        if key not in _supplied_to(constructor) and (types := _types(annotations[key])):
            properties[key] = types
    # A node without a constructor takes further entries: a callback, a logger.
    kind = ["object", "null"] if prefix else "object"
    return {"type": kind, "properties": dict(sorted(properties.items()))} | (CLOSED if constructor else {})


def _supplied_to(constructor: Any) -> set[str]:  # noqa: ANN401 (any function or class)
    is_task = isinstance(constructor, type) and issubclass(constructor, Task)
    return SUPPLIED | set(constructor.arguments_from(constructor.stand_in()) if is_task else ())


def _value(value: object, annotation: object, comments: Mapping[str, str], path: str) -> Schema:
    if isinstance(value, dict):
        schema = _node(value, comments, f"{path}.") if value else {}
    elif annotation is not None:
        schema = _types(annotation)
    else:
        schema = _types(type(value) | None) if value is not None and "${" not in str(value) else {}
    if comment := comments.get(path):
        schema = schema | {"description": comment}
        choices = [re.split(r"[ :,;]", part)[0] for part in comment.split(" | ")]
        schema |= {"examples": choices} if len(choices) > 1 else {}
    return schema


def _types(annotation: object) -> Schema:
    """Return the schema of an annotation of simple types, an interpolation included; empty for any other."""
    is_union = typing.get_origin(annotation) in (Union, UnionType)
    # A config holds no tensor, which PyTorch's optimizers accept as a learning rate.
    members = [
        member
        for member in (typing.get_args(annotation) if is_union else (annotation,))
        if getattr(member, "__name__", "") != "Tensor"
    ]
    names = [TYPES.get(str if typing.get_origin(member) is Literal else member) for member in members]
    if None in names:
        return {}
    if "string" in names:
        return {"type": sorted(set(names))}
    return {"type": sorted({*names, "string"}), "pattern": INTERPOLATION}


def _annotations(constructor: Callable[..., Any]) -> dict[str, object]:
    """Return the annotations of the arguments of a constructor."""
    parameters = inspect.signature(constructor).parameters.values()
    function = constructor.__init__ if inspect.isclass(constructor) else constructor
    hints = typing.get_type_hints(function)
    return {each.name: hints[each.name] for each in parameters if each.name in hints}


def _comments(file: Path) -> dict[str, str]:
    """Return the comment after each key of a YAML file, by the key with dots."""
    comments: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    for line in file.read_text(encoding="utf-8").split("\n") if file.exists() else []:
        if match := re.match(r"( *)([\w/]+):(.*)", line):
            indent, key = len(match[1]), match[2]
            parents = [parent for parent in parents if parent[0] < indent] + [(indent, key)]
            if comment := re.search(r" # (.*)", match[3]):
                comments[".".join(name for _, name in parents)] = comment[1]
    return comments


def main() -> None:
    """Write every schema into conf/."""
    for path, schema in schemas().items():
        write_text(config_root() / path, json.dumps(schema, indent=1) + "\n")


if __name__ == "__main__":
    main()
