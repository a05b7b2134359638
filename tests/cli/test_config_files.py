"""Config files as people write them, and config that lands where no program reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

HEADER = b"# @package _global_\n"
SEED = HEADER + b"seed: 7\n"

Compose = Callable[..., Any]


@pytest.fixture
def compose(launch: Any, tmp_path: Path) -> Compose:
    """A function that writes a recipe, composes a config with it, and returns the seed or the error."""
    seen: list[Any] = []

    def compose_with(content: bytes, *arguments: str, file: str = "experiment/mine.yaml") -> Any:
        path = tmp_path / "conf" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        ended = launch(program, "--config-dir", str(tmp_path / "conf"), *(arguments or ["experiment=mine"]))
        if ended.exit_code == 0:
            return seen.pop()
        assert ended.exit_code == 2, ended.stderr
        return ended.line

    def program(config: DictConfig) -> None:
        seen.append(config.seed)

    return compose_with


@pytest.mark.parametrize(
    "content",
    [
        SEED,
        b"\xef\xbb\xbf" + SEED,
        SEED.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + SEED.replace(b"\n", b"\r"),
        b"\n\n" + SEED,
        SEED + b"name: M\xc3\xbcller\n",
        SEED + b"tags: ['no', \"on\"] # yes\n",
        SEED + b"tags: [knows, noon, one]\n",
        SEED + b"name: a ${tags}\n",
        SEED.removesuffix(b"\n"),
    ],
)
def test_a_readable_file_is_read(compose: Compose, content: bytes) -> None:
    assert compose(content) == 7


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (SEED + b"trainer:\n\tmax_epochs: 3\n", "line 4: has a tab, which YAML forbids there: indent with spaces"),
        (SEED + b"name: M\xfcller\n", "line 3: not UTF-8 (byte 0xfc): save it as UTF-8"),
        (SEED.decode().encode("utf-16"), "is UTF-16: save it as UTF-8"),
        (SEED + b"\xef\xbb\xbfname: x\n", "line 3: has a byte order mark"),
        (SEED + b"name: a\x07b\n", "line 3: has U+0007, which YAML forbids: delete it"),
        (SEED + b"seed: 8\n", "line 3: has the key seed twice: delete one"),
        (SEED + b"model:\n  dropout: 0.1\n  dropout: 0.2\n", "line 5: has the key dropout twice"),
        (SEED + b"data:\n  source_lang: no\n", "line 4: no is a boolean in YAML: write false, or 'no' for the text"),
        (SEED + b"tags: [Yes]\n", "line 3: Yes is a boolean in YAML: write true, or 'Yes' for the text"),
        (SEED + b"on: x\n", "line 3: on is a boolean in YAML"),
        (b"", "has no keys: write key: value, or {} if that is meant"),
        (HEADER + b"# seed: 7\n", "has no keys"),
        (b"seed\n", "has no keys"),
        (b"- seed\n", "is a list: a config has keys, key: value"),
        (SEED + b"name: [\n", "line 4: "),
        (SEED + b"---\nseed: 8\n", "line 3: but found another document"),
        (SEED + b"name: ${seed\n", "${seed"),
    ],
)
def test_a_fault_is_a_line_with_the_file(compose: Compose, tmp_path: Path, content: bytes, words: str) -> None:
    line = compose(content)
    assert line.startswith(f"rnnexp: {tmp_path}/conf/experiment/mine.yaml: "), line
    assert words in line


@pytest.mark.parametrize(
    "content", [b"seed: 7\n", b"# Mine\n" + SEED, b"---\n" + SEED, b"#  package _global_\nseed: 7\n"]
)
def test_a_recipe_without_its_first_line_is_refused(compose: Compose, tmp_path: Path, content: bytes) -> None:
    line = compose(content)
    assert "the keys below experiment are read by no program" in line
    assert f"begin {tmp_path}/conf/experiment/mine.yaml with the line '# @package _global_'" in line


def test_a_misspelled_package_is_refused(compose: Compose, tmp_path: Path) -> None:
    line = compose(b"# @package _gobal_\nseed: 7\n")
    assert "the keys below _gobal_ are read by no program" in line
    assert f"{tmp_path}/conf/experiment/mine.yaml" in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEADER + b"sed: 7\n", "unknown key 'sed'; did you mean 'seed'?"),
        (HEADER + b"optimiser:\n  lr: 0.1\n", "unknown key 'optimiser'; did you mean 'optimizer'?"),
        (HEADER + b"paths:\n  outputs: /tmp\n", "unknown key 'paths.outputs'; did you mean 'paths.outputs_dir'?"),
    ],
)
def test_a_key_that_no_program_reads_is_refused(compose: Compose, tmp_path: Path, content: bytes, words: str) -> None:
    assert compose(content) == f"rnnexp: {tmp_path}/conf/experiment/mine.yaml: {words}"
    assert words in compose(content, "experiment=mine", "-m", "hydra/launcher=basic", "name=a")


def test_a_key_that_another_refers_to_is_read(compose: Compose) -> None:
    assert compose(HEADER + b"width: 7\nlayers: {deep: 2}\nseed: ${width}\nmodel:\n  num_layers: ${layers.deep}\n") == 7
    assert "unknown key 'width'" in compose(SEED, "experiment=mine", "+width=7")
    assert compose(SEED, "experiment=mine", "+width=9", "seed=${width}") == 9


def test_a_primary_config_is_read_like_any_other(compose: Compose, tmp_path: Path) -> None:
    mine = b"\xef\xbb\xbfdefaults: [train, _self_]\nseed: 7\n"
    assert compose(mine, "--config-name", "mine", file="mine.yaml") == 7
    line = compose(mine + b"sed: 8\n", "--config-name", "mine", file="mine.yaml")
    assert line == f"rnnexp: {tmp_path}/conf/mine.yaml: unknown key 'sed'; did you mean 'seed'?"


def test_a_directory_named_like_a_config_is_no_config(compose: Compose, tmp_path: Path) -> None:
    (tmp_path / "conf" / "experiment" / "folder.yaml").mkdir(parents=True)
    assert "unknown experiment 'folder': choose one of " in compose(SEED, "experiment=folder")


@pytest.mark.parametrize("group", ["data", "model"])
def test_what_options_have_in_common_is_no_option(launch: Any, group: str) -> None:
    def program(config: DictConfig) -> None:
        raise AssertionError(config)

    assert f"unknown {group} 'base': choose one of " in launch(program, f"{group}=base").line
    listed = launch(program, "--help").stdout
    (options,) = (line for line in listed.splitlines() if line.startswith(f"{group}: "))
    assert "base" not in options
    assert len(options.split(", ")) > 3
