"""Sentences and functions to translate them with runs that tests may change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from support.programs import Outcome

SENTENCES = [
    "The cat sleeps.",
    "The grandmother who invited the mothers in the inn will examine a bag.",
    "",
    "The ladies stayed.",
    "   ",
    "The mothers saw the sisters.",
    "A cat that the ladies admire stayed near the walls of the school.",
]
WORDS = [number for number, sentence in enumerate(SENTENCES, start=1) if sentence.strip()]

Translate = Callable[..., Outcome]


def lines_of(outcome: Outcome) -> list[str]:
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.endswith("\n")
    return outcome.stdout.removesuffix("\n").split("\n")


def rows_of(outcome: Outcome) -> list[tuple[int, float, str]]:
    return [(int(number), float(score), text) for number, score, text in (row.split("\t") for row in lines_of(outcome))]


def piped(sentences: list[str], end: str = "\n") -> bytes:
    return "".join(f"{sentence}{end}" for sentence in sentences).encode()


def change_checkpoint(run: Path, change: Callable[[dict[str, Any]], None], file: str = "best.ckpt") -> Path:
    path = run / "checkpoints" / file
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)
    return path
