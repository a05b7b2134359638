"""Overrides for Hydra's command line, and checks of arguments."""

import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from rnnexp.core.validation import did_you_mean_path, override, quote_override

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
