"""Docstrings begin with what a thing is or does."""

import ast
from pathlib import Path

from support import ROOT

# A docstring that begins with one of these has no subject: "Of all seeds.", "What is made of one sentence."
OPENINGS = {"Of", "By", "As", "In", "With", "From", "What", "Who", "Where", "That"}


def docstrings(path: Path) -> list[tuple[int, str]]:
    """Return the docstrings of a module, of its classes and functions, and those below attributes."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found += [
                (each.lineno, each.value.value.strip())
                for each in node.body
                if isinstance(each, ast.Expr)
                and isinstance(each.value, ast.Constant)
                and isinstance(each.value.value, str)
            ]
    return found


def test_docstrings_begin_with_a_subject() -> None:
    files = sorted(path for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py"))
    found = [(path, line, text) for path in files for line, text in docstrings(path)]
    assert len(found) > 1000
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {text[:60]!r}"
        for path, line, text in found
        if text.split(maxsplit=1)[0] in OPENINGS
    ]
    assert not wrong, "\n".join(wrong)
