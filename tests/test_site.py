"""The site that `make docs` builds."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.slow


def build(docs: Path, site: Path) -> subprocess.CompletedProcess[str]:
    options = ["--fail-on-warning", "--keep-going", "--nitpicky", "--quiet"]
    command = [sys.executable, "-m", "sphinx", *options, str(docs), str(site)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def test_every_page_is_built_and_the_api_comes_from_docstrings(tmp_path: Path) -> None:
    built = build(DOCS, tmp_path)
    assert built.returncode == 0, built.stderr
    pages = [page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")]
    assert len(pages) > 20
    for page in pages:
        assert (tmp_path / page).exists(), f"{page} is missing"
    assert "recurrent.RecurrentStack" in (tmp_path / "api.html").read_text(encoding="utf-8")
    assert 'id="search-results"' not in (tmp_path / "hyperparameter_search.html").read_text(encoding="utf-8")


def test_a_broken_link_is_an_error(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    shutil.copytree(DOCS, docs)
    with (docs / "faq.md").open("a", encoding="utf-8") as page:
        page.write("\nSee [nothing](nothing_there.md) and [no heading](faq.md#no-such-heading).\n")
    built = build(docs, tmp_path / "site")
    assert built.returncode != 0
    assert "nothing_there" in built.stderr
    assert "no-such-heading" in built.stderr
