"""Overrides for Hydra's command line, and checks of arguments."""

import itertools
import random
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from rnnexp.core.validation import did_you_mean, did_you_mean_path, override, quote_override

TEXTS = [
    *(
        "plain/path-1.ckpt",
        "it's",
        "a[b]",
        "a,b",
        "a=b",
        "a{b}",
        "$HOME",
        "${seed}",
        r"\${seed}",
        r"a\b",
        "a\\'b",
        "end\\",
    ),
    *("two words", "é/ü", "a(b)", "a#b", "~/x", '"quoted"', "tab\there", "50%", "a:b", "!x", "a\\\\", "'"),
]


@pytest.fixture
def compose_place(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text("place: null\nseed: 1\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("text", TEXTS)
def test_hydra_reads_an_override_back(compose_place: Path, text: str) -> None:
    with initialize_config_dir(str(compose_place), version_base="1.3"):
        assert compose("config", [override("place", text)]).place == text


def test_hydra_reads_back_every_combination_of_special_characters() -> None:
    parser = OverridesParser.create()
    special = [
        "'",
        '"',
        "\\",
        "${",
        "}",
        "[",
        "]",
        "{",
        "(",
        ")",
        ",",
        " ",
        "=",
        "é",
        "\n",
        "\t",
        "~",
        "!",
        "#",
        "$",
        ":",
    ]
    special += ["a", "1", "1e5", "null", "true", "\u2028", "*", "?", "|", "-", "+", "@"]
    generator = random.Random(1)
    texts = [*itertools.product(special, repeat=2), *(generator.choices(special, k=9) for _ in range(1000))]
    for text in map("".join, texts):
        read = parser.parse_override(override("place", text))
        assert not read.is_sweep_override(), text
        config = OmegaConf.create({"place": read.value()})
        assert OmegaConf.to_container(config, resolve=True) == {"place": text}


@pytest.mark.parametrize("text", TEXTS)
def test_a_shell_reads_a_quoted_override_as_one_word(text: str) -> None:
    assert shlex.split(quote_override("place", text)) == [override("place", text)]


def test_a_plain_value_has_no_quotes() -> None:
    assert quote_override("place", Path("/a/b-1.ckpt")) == "place=/a/b-1.ckpt"


def test_a_missing_path_is_compared_with_its_siblings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs").mkdir()
    assert did_you_mean_path(tmp_path / "jobz") == "; did you mean 'jobs'?"
    assert did_you_mean_path(tmp_path / "elsewhere") == ""
    assert did_you_mean_path(tmp_path / "missing" / "jobz") == ""
    monkeypatch.chdir(tmp_path)
    assert did_you_mean_path(Path("jobz")) == "; did you mean 'jobs'?"


def test_the_suggestion_has_the_same_letters() -> None:
    assert did_you_mean("gur", ["lstm", "mgu", "gru"]) == "; did you mean 'gru'?"


def test_a_word_is_not_its_own_suggestion() -> None:
    assert did_you_mean("paths", ["paths"]) == ""
    assert did_you_mean("paths", ["paths", "path"]) == "; did you mean 'path'?"
