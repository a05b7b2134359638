"""Texts and switches of Hydra (1.3) that rnnexp depends on."""

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra._internal.core_plugins import file_config_source
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import get_args_parser
from hydra.core.object_type import ObjectType
from hydra.errors import InstantiationException, OverrideParseException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig

FULL_ERROR = "HYDRA_FULL_ERROR"
AMBIGUOUS_VALUE = r"Ambiguous value for argument '(.*)'"
MISSING_GROUP = r"Could not (?:override|delete) '(.*?)'"
GROUP_OVERRIDE = "Config group override"
PARSING_OVERRIDE = "Error parsing override"
EXPECTING = " expecting "
LOCATING_TARGET = r"Error locating target '.*?'"
FULL_KEY = r"^full_key: (.+)$"


@contextmanager
def full_error(value: str | None) -> Iterator[None]:
    """Set the variable HYDRA_FULL_ERROR within the block; None removes it.

    With `1`, `hydra.main` raises errors, where by default it prints them in several lines and exits with code 1. No
    argument of `hydra.main` does the same, and the public `hydra.compose` has neither `--help` nor multirun.
    """
    before = os.environ.get(FULL_ERROR)
    _set_full_error(value)
    try:
        yield
    finally:
        _set_full_error(before)


def _set_full_error(value: str | None) -> None:
    if value is None:
        os.environ.pop(FULL_ERROR, None)
    else:
        os.environ[FULL_ERROR] = value


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return Hydra's flags with their values, and the overrides. Its parser needs them in this order.

    Hydra refuses a flag between overrides, since argparse assigns all positional arguments at once. Its parser has no
    public name.
    """
    overrides = list(get_args_parser().parse_known_intermixed_args(arguments)[0].overrides)
    flags, left = [], list(overrides)
    for argument in arguments:
        if left and argument == left[0]:
            del left[0]
        else:
            flags.append(argument)
    return flags, overrides


def ambiguous_override(error: Exception) -> str | None:
    """Return the override that names several values without `-m`; None for another error.

    Hydra raises its general ConfigCompositionException, so only the text identifies it.
    """
    match = re.match(AMBIGUOUS_VALUE, str(error))
    return match[1] if match else None


def missing_group(error: Exception) -> str | None:
    """Return the config group of an override that the defaults list lacks; None for another error.

    Hydra raises its general ConfigCompositionException with a text in several lines.
    """
    match = re.match(MISSING_GROUP, str(error))
    return match[1] if match else None


def is_group_override(error: ValueError) -> bool:
    """Return whether a config group was given a number or null. Hydra raises a ValueError without the group's name."""
    return str(error).startswith(GROUP_OVERRIDE)


def syntax_reason(error: OverrideParseException) -> str:
    """Return what the parser expected; empty if the message only repeats the override.

    The exception has the override and the whole message as attributes, not the reason.
    """
    reason = next(line for line in error.message.splitlines() if not line.startswith(PARSING_OVERRIDE))
    # The parser puts quotes around the input, which may itself hold quotes.
    return "" if error.override in reason else re.sub(r"'(.*)'", r"\1", reason.split(EXPECTING)[0])


def failed_target(error: InstantiationException) -> str | None:
    """Return `Error locating target 'x'` if a `_target_` does not exist; None for an error of its constructor.

    The cause of the exception is an ImportError in both cases.
    """
    match = re.match(LOCATING_TARGET, str(error))
    return match[0] if match else None


def failed_key(error: InstantiationException) -> str | None:
    """Return the config key of the node that could not be instantiated. Only the text has it."""
    match = re.search(FULL_KEY, str(error), re.MULTILINE)
    return match[1] if match else None


def read_config_files_with(
    read_text: Callable[[Path], str],
    parse: Callable[[str, Path], DictConfig],
    hidden: Collection[str],
    only_file: Callable[[Path], str | None],
) -> None:
    """Let Hydra read config files with these functions.

    A plugin cannot do that: Hydra refuses a second class for the scheme `file://`, unless it has the name of the first.

    Args:
        read_text: file -> its text.
        parse: text and file -> config.
        hidden: options that are not listed, such as `data/base`.
        only_file: directory -> the one file that is read in it and below; None for all.
    """

    class FileConfigSource(file_config_source.FileConfigSource):
        def is_group(self, config_path: str) -> bool:
            # Hydra asks for the directory itself to learn whether it exists.
            is_read = not config_path or only_file(Path(self.path)) is None
            return is_read and super().is_group(config_path)

        def is_config(self, config_path: str) -> bool:
            name = only_file(Path(self.path))
            is_read = name is None or self._normalize_file_name(config_path) == name
            return is_read and super().is_config(config_path)

        def load_config(self, config_path: str) -> ConfigResult:
            path = Path(self.path, self._normalize_file_name(config_path))
            text = read_text(path)
            header = self._get_header_dict(text)
            return ConfigResult(self.provider, f"{self.scheme()}://{self.path}", parse(text, path), header)

        def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
            options = super().list(config_path, results_filter)
            return [option for option in options if f"{config_path}/{option}" not in hidden]

    SourcesRegistry.instance().types[FileConfigSource.scheme()] = FileConfigSource


def raise_errors_of_multirun_config() -> None:
    """Let Hydra raise the error of the config that it composes to find out whether `hydra.mode` is MULTIRUN.

    `Hydra.get_mode` catches it and goes on as for a single run, which refuses `seed=1,2` of a sweep with a wrong key
    beside it as several values without `-m`.
    """

    def get_mode(self: Hydra, config_name: str | None, overrides: list[str]) -> RunMode | None:
        config = self.compose_config(
            config_name=config_name,
            overrides=overrides,
            with_log_configuration=False,
            run_mode=RunMode.MULTIRUN,
            validate_sweep_overrides=False,
        )
        mode: RunMode | None = config.hydra.mode
        return mode

    Hydra.get_mode = get_mode  # type: ignore[method-assign]
