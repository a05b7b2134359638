"""The reader of config files. Each fault is an error of one line: the file, the line, and what to do."""

import re
from copy import deepcopy
from functools import cache
from io import StringIO
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rnnexp.core.errors import UserError, first_line
from rnnexp.tracking.run_directory import RunDirectory

BYTE_ORDER_MARK = "\ufeff"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
AMBIGUOUS = frozenset({"yes", "no", "on", "off"})
"""Words that YAML 1.1 reads as true and false, and YAML 1.2 and the command line as text."""
TRUE = frozenset({"yes", "on"})


def read_text(path: Path) -> str:
    """Return the text of a config file, without a byte order mark at its start and with line feeds as line ends.

    Raises:
        UserError: if it is not UTF-8.
    """
    content = path.read_bytes()
    if content.startswith(UTF16_MARKS):
        raise UserError(f"{path}: is UTF-16: save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise UserError(f"{path}: line {line}: not UTF-8 (byte 0x{byte:02x}): save it as UTF-8") from None
    if BYTE_ORDER_MARK in text:
        line = text.count("\n", 0, text.index(BYTE_ORDER_MARK)) + 1
        raise UserError(f"{path}: line {line}: has a byte order mark (U+FEFF) within the text: delete it")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def only_config_file(directory: Path) -> str | None:
    """Return the name of the one config file that is read in a run directory; None for another directory.

    Hydra prefers what it finds beside a config to most of its own options, and a run directory may be another person's.
    """
    run = RunDirectory(directory)
    return run.config_file.name if run.status_file.exists() else None


def parse(text: str, path: Path) -> DictConfig:
    """Return the config in the text of a file.

    Raises:
        UserError: if it is not a mapping in YAML, or has no keys or a word that may be text or a boolean.
    """
    # Hydra reads each file twice, and changes what it gets.
    return deepcopy(_parse(text, path))


@cache
def _parse(text: str, path: Path) -> DictConfig:
    try:
        _require_no_ambiguous_words(text, path)
        config = OmegaConf.load(StringIO(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise UserError(f"{path}: {where}{_explain(error.problem or error.context or 'not YAML')}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{path}: line {line}: has U+{error.character:04X}, which YAML forbids: delete it") from None
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: {first_line(error)}") from None
    if not isinstance(config, DictConfig):
        raise UserError(f"{path}: is a list: a config has keys, key: value")
    # OmegaConf makes a key of a single word.
    if (not config and "{" not in text) or (config and ":" not in text):
        raise UserError(f"{path}: has no keys: write key: value, or {{}} if that is meant")
    return config


def _require_no_ambiguous_words(text: str, path: Path) -> None:
    # Composed only if such a word occurs, since YAML is read slowly.
    if not re.search(r"\b(yes|no|on|off)\b", re.sub(r"(?m)(^|\s)#.*$", "", text), re.IGNORECASE):
        return
    pending = [yaml.compose(text, Loader=yaml.SafeLoader)]
    while pending:
        node = pending.pop()
        if isinstance(node, yaml.MappingNode):
            pending += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.ScalarNode) and node.style is None and node.value.lower() in AMBIGUOUS:
            word, boolean = node.value, str(node.value.lower() in TRUE).lower()
            line = node.start_mark.line + 1
            raise UserError(
                f"{path}: line {line}: {word} is a boolean in YAML: write {boolean}, or '{word}' for the text"
            )


def _explain(problem: str) -> str:
    if r"'\t'" in problem:
        return "has a tab, which YAML forbids there: indent with spaces"
    if problem.startswith("found duplicate key"):
        return f"has the key {problem.removeprefix('found duplicate key').strip()} twice: delete one"
    return " ".join(problem.split())
