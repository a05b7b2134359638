"""config.yaml is read back unchanged, by rnnexp and by OmegaConf."""

import itertools
import os
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from rnnexp.core.errors import UserError
from rnnexp.tracking.config_file import read_config_file, write_config_file


def test_every_short_text_is_read_back(tmp_path: Path) -> None:
    texts = ["".join(letters) for letters in itertools.product(("\\", "${", "}", "x"), repeat=4)]
    config = {"texts": texts, "nested": [{"é": None, "a": [True, 1.5, "1.5"]}]}
    write_config_file(tmp_path / "config.yaml", config)
    assert read_config_file(tmp_path / "config.yaml") == config
    assert OmegaConf.to_container(OmegaConf.load(tmp_path / "config.yaml"), resolve=True) == config


ALIAS_BOMB = "\n".join(
    ["a0: &a0 [x, x]", *(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12))]
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(ALIAS_BOMB, "has the alias *a0", id="alias bomb"),
        pytest.param("a: &a\n  b: *a\n", "has the alias *a", id="recursive alias"),
        pytest.param("a: &a {b: 1}\nc:\n  <<: *a\n", "has the key <<", id="merge"),
        pytest.param("a:\n  <<: {b: 1}\n", "has the key <<", id="merge without an alias"),
        pytest.param("a: !!omap [b: 1]", "has a omap, which no config has", id="ordered mapping"),
        pytest.param("!!python/dict {a: 1}", "does not hold a config", id="Python mapping"),
        pytest.param("a: !own 1", "does not hold a config", id="unknown tag"),
        pytest.param("a: " + "[" * 3000 + "]" * 3000, "containers within each other", id="lists"),
        pytest.param("a: " + "{b: " * 3000 + "1" + "}" * 3000, "containers within each other", id="mappings"),
        pytest.param("\n".join(" " * depth + "a:" for depth in range(900)), "containers within each", id="indented"),
        pytest.param("a: " + "9" * 400, "whole number of more than 64 bits", id="400 digits"),
        pytest.param("a: " + "9" * 5000, "whole number of more than 64 bits", id="5,000 digits"),
        pytest.param("a: " + "1:" * 300_000 + "1", "whole number of more than 64 bits", id="base 60"),
        pytest.param("a: !!int '" + "1:" * 300_000 + "1'", "whole number of more than 64 bits", id="base 60, tagged"),
        pytest.param("a: " + "1:" * 300 + "1.5", "number of 603 characters", id="fraction in base 60"),
        pytest.param(
            "\n".join(f"{number * (2**61 - 1)}: 1" for number in range(1, 30_000)),
            "whole number of more than 64 bits",
            id="keys with one hash",
        ),
        pytest.param("a: [" + "[]," * 100_000 + "]", "more than 50,000 values", id="many values"),
        pytest.param("a: 0x" + "f" * 5000, "whole number of more than 64 bits", id="hexadecimal digits"),
        pytest.param(f"{'9' * 400}: 1", "whole number of more than 64 bits", id="digits of a key"),
        pytest.param("a: " + "x" * (1 << 20), "at most 1,048,576 are read", id="1 MB"),
        pytest.param("a: 2026-01-01", "has a date, which no config has", id="date"),
        pytest.param("a: !!binary aGVsbG8=", "has a bytes, which no config has", id="bytes"),
        pytest.param("a: !!set {b, c}", "has a set, which no config has", id="set"),
        pytest.param("? [a, b]\n: c", "does not hold a config", id="list as a key"),
        pytest.param("a: !!python/object/apply:os.system [true]", "does not hold a config", id="Python object"),
        pytest.param("a: !!python/name:os.system ''", "does not hold a config", id="Python name"),
        pytest.param("a: 1\n---\na: 2", "does not hold a config", id="two documents"),
        pytest.param("a: \x1b", "does not hold a config", id="escape sequence"),
        pytest.param("5", "does not hold a config", id="number"),
    ],
)
def test_a_file_beyond_the_bounds_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "config.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as refused:
        read_config_file(tmp_path / "config.yaml")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "-1.5e-3",
        "1e-3",
        ".inf",
        "~",
        "yes",
        "No",
        "0x1f",
        "017",
        "1_000",
        "1:30",
        "'1'",
        '"a\\n"',
        "|\n  a\n  b",
        "=x",
    ],
)
def test_a_value_is_that_of_pyyaml(tmp_path: Path, text: str) -> None:
    content = f"a: {text}\nb: [{{c: x}}, []]\n? true\n: !!str 1\na: {text}\n"
    (tmp_path / "config.yaml").write_text(content, encoding="utf-8")
    # The comparison of texts also tells 1 from True.
    assert repr(read_config_file(tmp_path / "config.yaml")) == repr(yaml.safe_load(content))


@pytest.mark.parametrize("value", ["!!bool maybe", '!!int ""', "!!timestamp soon", "!!float é"])
def test_a_value_that_its_tag_contradicts_is_damage(tmp_path: Path, value: str) -> None:
    (tmp_path / "config.yaml").write_text(f"a: {value}\n", encoding="utf-8")
    with pytest.raises(UserError, match="does not hold a config"):
        read_config_file(tmp_path / "config.yaml")


def test_a_file_of_another_kind_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in ((tmp_path / "pipe", "is not a file"), (Path("/dev/zero"), "is not a file")):
        with pytest.raises(UserError, match=message):
            read_config_file(path)
    (tmp_path / "config.yaml").write_bytes(b"a: \xff")
    with pytest.raises(UserError, match="not UTF-8"):
        read_config_file(tmp_path / "config.yaml")


def test_nothing_is_interpolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "value-of-the-key")
    (tmp_path / "config.yaml").write_text("a: http://host/${oc.env:WANDB_API_KEY}\n", encoding="utf-8")
    assert read_config_file(tmp_path / "config.yaml") == {"a": "http://host/${oc.env:WANDB_API_KEY}"}


def test_many_backslashes_are_read_in_time(tmp_path: Path) -> None:
    """A quadratic regular expression would take hours."""
    write_config_file(tmp_path / "config.yaml", {"a": "\\" * 400_000})
    assert read_config_file(tmp_path / "config.yaml") == {"a": "\\" * 400_000}
