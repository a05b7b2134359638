"""A wheel of the project works from any directory, with its configs inside."""

from pathlib import Path

import pytest

from rnnexp.cli.conf_dir import config_root
from rnnexp.core.files.atomic import read_json
from support import ROOT
from support.wheel import python, unpack_wheel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as pip would install it."""
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    unpack_wheel(wheels, site)
    return site


@pytest.fixture
def elsewhere(unpacked: Path, tmp_path: Path) -> Path:
    """A directory from which the unpacked package is the one that is imported."""
    where = python("-c", "import rnnexp; print(rnnexp.__file__)", cwd=tmp_path, path=unpacked)
    assert Path(where.strip()) == unpacked / "rnnexp" / "__init__.py"
    return tmp_path


def test_holds_every_config_and_module_and_nothing_else(unpacked: Path) -> None:
    def files(directory: Path) -> set[Path]:
        found = {path.relative_to(directory) for path in directory.rglob("*") if path.is_file()}
        return {path for path in found if "__pycache__" not in path.parts}

    assert config_root() == ROOT / "conf"
    package = {Path("conf") / path for path in files(ROOT / "conf")} | files(ROOT / "src" / "rnnexp")
    assert files(unpacked / "rnnexp") == package
    assert files(unpacked / "hydra_plugins") == files(ROOT / "src" / "hydra_plugins") != set()
    (metadata,) = unpacked.glob("*.dist-info")
    assert {path.name for path in unpacked.iterdir()} == {"rnnexp", "hydra_plugins", metadata.name}
    assert (metadata / "licenses" / "LICENSE").read_text(encoding="utf-8") == (ROOT / "LICENSE").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("arguments", [("--cfg", "job", "model=lstm"), ("--help",)], ids=["config", "help"])
def test_prints_the_same_as_the_checkout(unpacked: Path, elsewhere: Path, arguments: tuple[str, ...]) -> None:
    from_wheel = python("-m", "rnnexp.train", *arguments, cwd=elsewhere, path=unpacked)
    assert from_wheel == python("-m", "rnnexp.train", *arguments, cwd=elsewhere)
    assert "lstm" in from_wheel


def test_reads_the_configs_inside_it(unpacked: Path, elsewhere: Path) -> None:
    searched = python("-m", "rnnexp.train", "--info", "searchpath", cwd=elsewhere, path=unpacked)
    assert str(unpacked / "rnnexp" / "conf") in searched
    assert str(ROOT) not in searched


def test_trains(unpacked: Path, elsewhere: Path, tiny: list[str]) -> None:
    python("-m", "rnnexp.train", *tiny, "paths.output_dir=run", cwd=elsewhere, path=unpacked)
    assert read_json(elsewhere / "run" / "result.json")["status"] == "done"
