"""The lock file is complete, has hashes, satisfies pyproject.toml, and names no machine or index."""

import re
import tomllib
from collections import defaultdict
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support import ROOT

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
BLOCKS = [block.split("\\\n") for block in re.split(r"\n(?=\S)", LOCK.strip())]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WANTED = [
    *PROJECT["project"]["dependencies"],
    *(extra for extras in PROJECT["project"]["optional-dependencies"].values() for extra in extras),
    *PROJECT["dependency-groups"]["dev"],
    *PROJECT["build-system"]["requires"],
]


def pins() -> dict[str, set[str]]:
    """Return the versions of every package; several if they differ by Python or platform."""
    found = defaultdict(set)
    for first, *_ in BLOCKS:
        requirement = Requirement(first.strip())
        exact = re.fullmatch(r"==([^,*]+)", str(requirement.specifier))
        assert exact, f"{first} is not pinned to one version"
        found[canonicalize_name(requirement.name)].add(exact[1])
    return found


def test_every_package_is_pinned() -> None:
    assert len(pins()) >= 60


def test_every_package_has_hashes() -> None:
    for first, *hashes in BLOCKS:
        assert hashes, f"{first} has no hash"
        for line in hashes:
            assert re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line.strip()), f"{first}: {line}"


@pytest.mark.parametrize("wanted", WANTED)
def test_pins_satisfy_the_project(wanted: str) -> None:
    requirement = Requirement(wanted)
    versions = pins()[canonicalize_name(requirement.name)]
    assert versions, f"{wanted} is not in the lock file"
    assert all(requirement.specifier.contains(version) for version in versions), f"{wanted}: locked {versions}"


def test_names_no_host_and_no_path() -> None:
    # A line may have a name, a version and a marker besides its hash.
    for first, *_ in BLOCKS:
        assert re.fullmatch(r"[\w.-]+==[\w.+!]+( ; [\w\s.'\"<>=!()*]+)?", first.strip()), first
    assert "://" not in LOCK
    assert "index" not in LOCK
