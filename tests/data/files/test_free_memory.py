"""The free memory of a container."""

from pathlib import Path

import pytest

from rnnexp.data.files import free_memory

FILES = {"memory.max": "8000000", "memory.current": "7500000", "memory.stat": "anon 1000\ninactive_file 6000000\n"}


def test_files_that_a_container_caches_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.setattr(free_memory, "CONTROL_GROUP", tmp_path)
    assert free_memory.available_bytes() == 6_500_000
    (tmp_path / "memory.stat").unlink()
    assert free_memory.available_bytes() == 500_000, "some containers do not say what they cache"


def test_a_container_without_a_limit_has_the_memory_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("max\n", encoding="utf-8")
    monkeypatch.setattr(free_memory, "CONTROL_GROUP", tmp_path)
    assert free_memory.available_bytes() > 100_000_000
