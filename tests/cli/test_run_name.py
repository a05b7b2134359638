"""The default name of a run says which data and which network its config has, whatever options were chosen."""

import pytest
from hydra import compose, initialize_config_dir

from rnnexp.cli.conf_dir import config_root


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "MNIST-rows_gru"),
        (["data=mnist_permuted"], "MNIST-pixels-random92916_gru"),
        (["data=mnist_pixels", "data.name=FashionMNIST"], "FashionMNIST-pixels_gru"),
        (
            ["data.name=emnist-letters", "data.view=pixels", "data.permutation=seed:3"],
            "emnist-letters-pixels-seed:3_gru",
        ),
        (["data.name=my_images", "model=birnn"], "my_images-rows_bisrn"),
        (["model.cell=lstm", "model.bidirectional=true"], "MNIST-rows_bilstm"),
        (["model.cell=my_cells.mgu"], "MNIST-rows_mgu"),
        (["task=translation", "data.source_lang=fr", "data.target_lang=en"], "Phrasebook-fr-en_gru"),
        (["task=translation", "data=parallel", "data.target_lang=hsb"], "ParallelFiles-source-hsb_gru"),
        (["name=mine", "data.name=FashionMNIST"], "mine"),
    ],
)
def test_names_data_and_network(overrides: list[str], name: str) -> None:
    with initialize_config_dir(str(config_root()), version_base="1.3"):
        config = compose("train", [*overrides, "paths.output_dir=there"])
    assert config.name == name
    assert (config.logger.wandb.group, config.logger.wandb.name) == (name, f"{name}_s1")
