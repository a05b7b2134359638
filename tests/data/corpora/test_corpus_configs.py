"""The configs of the corpora."""

import inspect
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import MissingMandatoryValue, OmegaConf

from rnnexp.cli.conf_dir import config_root
from rnnexp.data.corpora.multi30k import Multi30k
from rnnexp.data.corpora.parallel import ParallelFiles
from rnnexp.data.corpora.phrasebook.corpus import Phrasebook
from rnnexp.data.corpora.tatoeba import Tatoeba
from rnnexp.data.text.translation import TranslationDataModule
from support.programs import Run

CORPORA = {"multi30k": Multi30k, "tatoeba": Tatoeba, "parallel": ParallelFiles, "phrasebook": Phrasebook}


def composed(option: str, *overrides: str) -> Any:
    with initialize_config_dir(str(config_root()), version_base="1.3"):
        return compose(overrides=[f"+data={option}", "+seed=7", "+paths.data_dir=here", *overrides]).data


@pytest.mark.parametrize("option", CORPORA)
def test_a_config_makes_the_corpus(option: str) -> None:
    files = {"parallel": ["data.train=a.tsv", "data.val=b.tsv", "data.test=c.tsv"]}
    data = instantiate(composed(option, *files.get(option, [])))
    assert type(data) is TranslationDataModule
    assert type(data.corpus) is CORPORA[option]
    assert (data.corpus.name, data.seed) == (option, 7)


@pytest.mark.parametrize("option", CORPORA)
def test_each_default_is_defined_in_one_place(option: str) -> None:
    parameters = {
        name: parameter
        for constructor in (TranslationDataModule, CORPORA[option])
        for name, parameter in inspect.signature(constructor).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    required = {name for name, parameter in parameters.items() if parameter.default is parameter.empty}
    assert set(composed(option)) - {"_target_"} == required


def test_base_has_no_corpus() -> None:
    assert OmegaConf.missing_keys(composed("base")) == {"data.corpus"}
    with pytest.raises(MissingMandatoryValue):
        instantiate(composed("base"))


def test_base_alone_is_a_one_line_error(run: Run) -> None:
    outcome = run("task=translation", data=["data=base", "trainer=cpu", "logger=csv"])
    assert outcome.exit_code == 2
    assert "unknown data 'base': choose one of adding, copying, " in outcome.line
    assert "a bug" not in outcome.stderr
