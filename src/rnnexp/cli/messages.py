"""One-line messages for errors, which say what is wrong, where, and what to do. An internal error has none."""

import errno
import sys
from inspect import signature
from pathlib import Path
from pydoc import locate
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from rnnexp.cli.conf_dir import SHARED_OPTION, config_root, schema_of
from rnnexp.cli.value_types import OWN_PACKAGES
from rnnexp.compat.hydra import (
    ambiguous_override,
    failed_key,
    failed_target,
    is_group_override,
    missing_group,
    syntax_reason,
)
from rnnexp.compat.omegaconf import root_values
from rnnexp.core.errors import BAD_PLACES, InterruptedRunError, UserError, describe_out_of_memory, first_line
from rnnexp.core.user_code import describe_user_code, own_traceback
from rnnexp.core.validation import did_you_mean

TRAINING = ("train", "benchmark")
"""Programs with the config groups of a training."""
REPLACED = {
    "paths.data_dir": "data.root",
    "test_weights": "weights",
    "trainer": "accelerator",
    **dict.fromkeys(("ckpt_path", "resume", "paths.output_dir"), "run"),
}
"""Keys of a training -> the keys that programs on finished runs have instead."""
LIMITS = {
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs, or ask for a higher limit of this machine",
    errno.EAGAIN: "is the number of processes and threads limited (ulimit -u)?",
    errno.ENOMEM: "free memory, or start fewer jobs at once",
}
"""The remedies for the limits of the operating system that a program can reach."""


class Explanation(NamedTuple):
    """The line that is printed for an error, the exit code, and a traceback that is printed before the line."""

    line: str
    exit_code: int = UserError.exit_code
    traceback: str = ""


def explain_running(error: Exception | InterruptedRunError, outputs: str) -> Explanation | None:
    """Return the explanation of an error of a program that ran with its config; None for an internal error.

    Args:
        error: the exception.
        outputs: the directory that the program writes to, for errors of the operating system without a path.
    """
    if line := describe_user_code(error):
        return Explanation(line, traceback=own_traceback(error))
    match error:
        case UserError() | InterruptedRunError():
            return Explanation(_one_line(str(error)), error.exit_code)
        case InstantiationException():
            return _explain_constructor(error)
        case MissingMandatoryValue():
            return Explanation(f"{error.full_key} has no value: set {error.full_key}=...")
        case InterpolationResolutionError() if key := _deleted_in(str(error)):
            return Explanation(f"{key} was deleted with ~{key}, but it is required: keep it")
        case InterpolationResolutionError() | ValidationError():
            return Explanation(f"{error.full_key}: {first_line(error)}")
        case ConfigAttributeError() | ConfigKeyError() if _is_deleted(str(error.full_key)):
            return Explanation(f"{error.full_key} was deleted with ~{error.full_key}, but it is required: keep it")
        case OSError():
            return _explain_system(error, outputs)
    return Explanation(line) if (line := describe_out_of_memory(error)) else None


def explain_composing(error: Exception | InterruptedRunError, program: str = "train") -> Explanation | None:
    """Return the explanation of an error of a command line that Hydra could not compose; None for an internal error.

    Args:
        error: the exception.
        program: the primary config of the program, without .yaml.
    """
    match error:
        case UserError() | InterruptedRunError():
            return Explanation(_one_line(str(error)), error.exit_code)
        case OverrideParseException():
            return Explanation(_explain_syntax(error))
        case MissingConfigException():
            return Explanation(_explain_missing_file(error))
        case ConfigCompositionException() if line := _explain_composition(error, program):
            return Explanation(line)
        case ValueError() if is_group_override(error):
            return Explanation(_explain_group_value(str(error)))
        case HydraException() if added := _added_group(str(error)):
            return Explanation(f"{added} adds a second option of a group that has one: leave out the +")
        case HydraException() | OmegaConfBaseException() | ValueError():
            return Explanation(_one_line(str(error)))
        case OSError():
            return _explain_system(error)
    return None


def _explain_system(error: OSError, place: str | None = None) -> Explanation | None:
    if isinstance(error, FileNotFoundError) and place is not None and not Path(place).exists():
        return Explanation(f"{place} was removed while the program ran: give the same command again")
    if error.errno in BAD_PLACES:
        where = error.filename or place
        return Explanation(f"{where}: {error.strerror}" if where else str(error.strerror))
    return Explanation(f"{error.strerror}: {LIMITS[error.errno]}") if error.errno in LIMITS else None


def _explain_constructor(error: InstantiationException) -> Explanation | None:
    cause = error.__cause__
    if not isinstance(cause, UserError | ValueError | TypeError | ImportError):
        return None
    # If a class does not exist, Hydra's message says more than its cause.
    line = failed_target(error) or _one_line(str(cause))
    exit_code = cause.exit_code if isinstance(cause, UserError) else UserError.exit_code
    key = failed_key(error)
    return Explanation(f"{key}: {line}" if key else line, exit_code)


def _explain_syntax(error: OverrideParseException) -> str:
    if "=" not in error.override:
        return f"override {error.override!r} has no value: write key=value"
    reason = syntax_reason(error)
    return (
        f"cannot read override {error.override!r}{f' ({reason})' if reason else ''}: write key=value, "
        "and quote a value that has special characters, \"key='a=b'\""
    )


def _explain_missing_file(error: MissingConfigException) -> str:
    if error.missing_cfg_file is None:
        return _one_line(str(error))
    group, _, option = error.missing_cfg_file.rpartition("/")
    if error.options is not None:
        return unknown_option(group, option, list(error.options))
    if Path("sweeps", f"{error.missing_cfg_file}.yaml").is_file():
        return f"no config {error.missing_cfg_file!r} in conf: add --config-dir sweeps"
    programs = sorted(file.stem for file in config_root().glob("*.yaml"))
    return f"no config {error.missing_cfg_file!r}{did_you_mean(error.missing_cfg_file, programs)}"


def _added_group(message: str) -> str | None:
    """Return the argument that adds an option to a group which has one."""
    starts = ("Multiple values for {}.", "{} appears more than once")
    groups = tuple(f"+{group}=" for group in _groups() if message.startswith(tuple(s.format(group) for s in starts)))
    return next((argument for argument in sys.argv[1:] if groups and argument.startswith(groups)), None)


def _explain_group_value(message: str) -> str:
    # Hydra does not say which override gave a group a number or null.
    groups = _groups()
    for argument in sys.argv[1:]:
        group, _, value = argument.partition("=")
        options = [file.stem for file in groups[group].glob("*.yaml")] if group in groups else []
        if options and value not in options:
            return unknown_option(group, value, options)
    return _one_line(message)


def unknown_option(group: str, option: str, options: list[str]) -> str:
    """Return the message about an option that a config group does not have."""
    choices = sorted(choice for choice in options if choice != SHARED_OPTION)
    return f"unknown {group} {option!r}: choose one of {', '.join(choices)}{did_you_mean(option, choices)}"


def _explain_composition(error: ConfigCompositionException, program: str) -> str | None:
    cause = error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError):
        return _explain_key(cause, program)
    if isinstance(cause, OmegaConfBaseException):
        return f"{cause.full_key}: {first_line(cause)}"
    if group := missing_group(error):
        return _explain_group(group, program)
    if override := ambiguous_override(error):
        return f"{override} names several values: add -m to run each, or write [...] if it is one list"
    return None


def _explain_group(group: str, program: str) -> str:
    if program not in TRAINING:
        return _explain_foreign_key(group, program)
    groups = sorted([*_groups(), "hydra/launcher", "hydra/sweeper"])
    return f"unknown key {group!r}{did_you_mean(group, groups) or ': the groups are ' + ', '.join(groups)}"


def _explain_foreign_key(key: str, program: str) -> str:
    """Return the message about a key that a program does not have, which evaluates or shows what train has made."""
    names = (argument.partition("=")[0].lstrip("+~").replace("/", ".") for argument in sys.argv[1:])
    typed = next((name for name in names if name == key or name.startswith(f"{key}.")), key)
    known = [name for name in schema_of(program)["properties"] if name not in ("hydra", "defaults")]
    instead = [REPLACED.get(typed, ""), typed.rpartition(".")[2]]
    hint = next((f"; did you mean {name!r}?" for name in instead if name.partition(".")[0] in known), "")
    return f"unknown key {typed!r}{hint or did_you_mean(typed, known)}; {program} has {', '.join(known)}"


def _explain_key(error: ConfigAttributeError | ConfigKeyError, program: str) -> str:
    key, parent = str(error.key), error.parent_node
    if _is_deleted(key):
        return f"{key} was deleted with ~{key}, but it is required: keep it"
    if not isinstance(parent, DictConfig):
        return f"unknown key {error.full_key!r}"
    if _is_parameter(key, str(parent.get("_target_", ""))):
        return f"no key {error.full_key!r}; +{error.full_key}= adds this parameter of {parent._target_}"
    siblings = [str(sibling) for sibling in parent if sibling not in ("hydra", "_target_", "_partial_")]
    where, _, _ = str(error.full_key).rpartition(".")
    if not where and program not in TRAINING:
        return _explain_foreign_key(key, program)
    if not where:
        # A group whose choice is null has no key in the config, but the user may have meant it.
        siblings += [group for group in _groups() if group not in siblings]
    elsewhere = [path for path in _paths(root_values(parent)) if path.rpartition(".")[2] == key]
    hint = did_you_mean(key, siblings)
    if not hint and elsewhere:
        hint = f"; did you mean {' or '.join(map(repr, elsewhere))}?"
    if not hint and (several := _sweep_over(where)):
        # Each of them may have the key, and Hydra has composed another option.
        return f"{error.full_key} is read before {several} is chosen: write ++{error.full_key}="
    if not hint:
        hint = f": choose one of {', '.join(siblings)}" if siblings else ", which has no keys"
    if typed := _given_with_resume(str(error.full_key)):
        hint = f"{hint}{'' if hint.endswith('?') else '.'} If the run has that key, write ++{typed}="
    return f"unknown key {key!r}{f' in {where}' if where else ''}{hint}"


def _sweep_over(group: str) -> str | None:
    """Return the override on the command line that names several options of a config group."""
    given = [argument for argument in sys.argv[1:] if argument.startswith(f"{group}=")]
    overrides = OverridesParser.create().parse_overrides(given)
    return next((str(override.input_line) for override in overrides if override.is_sweep_override()), None)


def _given_with_resume(key: str) -> str | None:
    """Return the key at or below `key` that was given with `resume=`.

    Hydra composes it with the default config, which may lack a key of the run's config.
    """
    names = [argument.partition("=")[0] for argument in sys.argv[1:]]
    typed = (name for name in names if name == key or name.startswith(f"{key}."))
    return next(typed, None) if "resume" in names else None


def _is_parameter(key: str, target: str) -> bool:
    """Return whether a class or function of rnnexp or its libraries has a parameter of this name."""
    # `locate` returns None for a name that does not exist, which the user may have written.
    found = locate(target) if target.startswith(OWN_PACKAGES) else None
    return callable(found) and key in signature(found).parameters


def _is_deleted(key: str) -> bool:
    return any(argument.partition("=")[0] == f"~{key}" for argument in sys.argv[1:])


def _deleted_in(message: str) -> str | None:
    """Return the key that was deleted on the command line and that a message about an interpolation names."""
    deleted = [argument.partition("=")[0][1:] for argument in sys.argv[1:] if argument.startswith("~")]
    return next((key for key in deleted if f"'{key}'" in message or f"'{key}." in message), None)


def _paths(node: dict[Any, Any], prefix: str = "") -> list[str]:
    """Return every key of a config with dots, without Hydra's own."""
    paths = []
    for key, child in node.items():
        if key != "hydra":
            paths.append(f"{prefix}{key}")
            paths += _paths(child, f"{prefix}{key}.") if isinstance(child, dict) else []
    return paths


def _groups() -> dict[str, Path]:
    return {directory.name: directory for directory in config_root().iterdir() if directory.is_dir()}


def _one_line(message: str) -> str:
    return " ".join(line.strip() for line in message.splitlines() if line.strip())
