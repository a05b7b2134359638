"""A report that cannot be written does not end the sweep whose jobs have ended."""

import sys
from pathlib import Path

import pytest

from rnnexp.sweeps import sweep
from rnnexp.sweeps.sweep import start_report


def test_a_report_that_cannot_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    start_report(tmp_path)
    assert f"write it with  python -m rnnexp.report {tmp_path}" in capsys.readouterr().err


def test_a_report_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 100\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(sweep, "REPORT_SECONDS", 0.5)
    start_report(tmp_path)
    assert "timed out" in capsys.readouterr().err


def test_a_report_that_fails(tmp_path: Path) -> None:
    start_report(tmp_path / "nowhere")
