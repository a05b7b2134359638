"""Booleans and texts that YAML and the command line confuse."""

from typing import Any

import pytest

from rnnexp.core.errors import UserError
from rnnexp.runs.argument_types import validate_argument_types

CORPUS = {"_target_": "rnnexp.data.corpora.parallel.ParallelFiles", "_partial_": True}
DATA = {"_target_": "rnnexp.data.text.translation.TranslationDataModule", "corpus": CORPUS}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source_lang": False}, "data.source_lang must be text, not false: write it in quotes"),
        ({"joint": "no"}, "data.joint must be true or false, not 'no'"),
        ({"joint": None}, "data.joint must be true or false, not None"),
        ({"cache": True}, "data.cache must be text, not true"),
    ],
)
def test_a_boolean_is_no_text_and_a_text_no_boolean(data: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        validate_argument_types({"name": "small", "data": DATA | data})
    assert str(error.value).startswith(message)


def test_other_values_pass() -> None:
    data = DATA | {"source_lang": "no", "joint": True, "cache": None, "batch_size": "many", "unknown": 1}
    other = {"mine": {"_target_": "mine.Callback", "flag": "no"}, "gone": {"_target_": "rnnexp.nowhere.X", "x": 1}}
    validate_argument_types({"name": "small", "data": data, "callbacks": other})
