"""config.yaml is read back unchanged, by rnnexp and by OmegaConf."""

import itertools
from pathlib import Path

from omegaconf import OmegaConf

from rnnexp.tracking.config_file import read_config_file, write_config_file


def test_every_short_text_is_read_back(tmp_path: Path) -> None:
    texts = ["".join(letters) for letters in itertools.product(("\\", "${", "}", "x"), repeat=4)]
    config = {"texts": texts, "nested": [{"é": None, "a": [True, 1.5, "1.5"]}]}
    write_config_file(tmp_path / "config.yaml", config)
    assert read_config_file(tmp_path / "config.yaml") == config
    assert OmegaConf.to_container(OmegaConf.load(tmp_path / "config.yaml"), resolve=True) == config
