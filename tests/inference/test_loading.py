"""`rnnexp.load`: the answers of a run without Lightning and Hydra, whole and step by step."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import rnnexp
from rnnexp import predict
from rnnexp.core.errors import UserError
from rnnexp.data.images.files import TEST_IMAGES, TEST_LABELS
from rnnexp.data.images.idx import parse_idx
from rnnexp.models.classifier import POOLINGS
from support.answering import finish, finish_memory, finish_phrasebook, finish_waves
from support.programs import Outcome, call
from support.sequence_files import waves, write_npz

HEAVY = {"hydra", "omegaconf", "lightning", "torchmetrics", "wandb", "matplotlib", "torchvision", "scipy"}


@pytest.fixture(scope="module")
def of_waves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on sequences of different lengths; tests must not change it."""
    return finish_waves(tmp_path_factory.mktemp("waves"), "model=lstm")


@pytest.fixture(scope="module")
def images(tiny_root: Path) -> np.ndarray:
    return np.array(parse_idx((tiny_root / "Tiny" / "raw" / TEST_IMAGES).read_bytes(), TEST_IMAGES, 3))


@pytest.fixture(scope="module")
def labels(tiny_root: Path) -> np.ndarray:
    return np.array(parse_idx((tiny_root / "Tiny" / "raw" / TEST_LABELS).read_bytes(), TEST_LABELS, 1))


def test_the_answers_for_images_are_those_of_the_test(
    finished: Outcome, images: np.ndarray, labels: np.ndarray
) -> None:
    model = rnnexp.load(finished.directory)
    correct = np.array(model.predict(images)) == labels
    assert correct.mean() == pytest.approx(finished.result["metrics"]["test/acc"])
    assert model.probabilities(images[:3]).sum(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert not model.module.training


def test_images_must_be_bytes(finished: Outcome, images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        rnnexp.load(finished.directory).predict(images / 255)


def test_answers_for_files_are_those_of_predict(of_waves: Path, tmp_path: Path) -> None:
    arrays = waves(seed=1)
    file, output = write_npz(tmp_path / "new.npz", arrays), tmp_path / "predictions.csv"
    outcome = call(predict.main, tmp_path, [f"run={of_waves}", f"input={file}", f"output={output}"])
    assert outcome.exit_code == 0, outcome.stderr
    expected = [line.split(",")[1] for line in output.read_text(encoding="utf-8").splitlines()[1:]]
    samples = [x[:length] for x, length in zip(arrays["x"], arrays["lengths"], strict=True)]
    assert rnnexp.load(str(of_waves)).predict(samples) == expected


def test_no_sequence_is_refused(of_waves: Path) -> None:
    with pytest.raises(ValueError, match="give at least one"):
        rnnexp.load(of_waves).predict([])


def test_a_sequence_has_the_features_of_training(of_waves: Path) -> None:
    with pytest.raises(ValueError, match="features=2"):
        rnnexp.load(of_waves).predict([[[1.0, 2.0, 3.0]]])


@pytest.mark.parametrize("pooling", ["last_state", "last_output", "mean", "max"])
def test_steps_give_the_answer_of_the_whole_sequence(of_waves: Path, pooling: str) -> None:
    model = rnnexp.load(of_waves)
    model.module.pool = POOLINGS[pooling]
    sequences = np.random.default_rng(0).normal(size=(3, 9, 2))
    state = model.start()
    for time in range(9):
        y, state = model.step(sequences[:, time], state)
        torch.testing.assert_close(y, model.outputs(sequences[:, : time + 1]))
    assert model.decode(y) == model.predict(sequences)


def test_numbers_are_predicted_in_the_units_of_their_targets(tmp_path: Path) -> None:
    numbers = np.arange(60.0)
    arrays = waves() | {"y": np.stack([5000 + numbers, -numbers / 1000], axis=1)}
    file = write_npz(tmp_path / "waves.npz", arrays)
    run = finish(tmp_path, "task=regression", "data=sequences", f"data.train={file}", "data.batch_size=8")
    tested = torch.load(run / "test_predictions.pt", weights_only=True)
    places = [int(each) for each in tested["ids"]]
    torch.testing.assert_close(tested["targets"], torch.from_numpy(arrays["y"][places]), rtol=0, atol=1e-5)
    predicted = rnnexp.load(run).predict([arrays["x"][place, : arrays["lengths"][place]] for place in places])
    torch.testing.assert_close(predicted, tested["predicted"], rtol=1e-5, atol=1e-6)
    # The answers of a network that has learned little lie near the mean of the targets.
    assert predicted.mean(dim=0).tolist() == pytest.approx(arrays["y"].mean(axis=0), rel=0.5)


@pytest.mark.slow
def test_both_directions_need_the_whole_sequence(tmp_path: Path) -> None:
    run = finish_memory(tmp_path, "regression", "adding", "model=birnn")
    model = rnnexp.load(run)
    assert model.predict(torch.rand(4, 12, 2)).shape == (4, 1)
    with pytest.raises(ValueError, match="both directions"):
        model.start()


@pytest.mark.slow
def test_a_tagger_answers_at_each_step(tmp_path: Path) -> None:
    model = rnnexp.load(finish_memory(tmp_path, "tagging", "parity", "model=min_gru"))
    inputs = torch.randint(2, (3, 12, 1)).float()
    whole, state, steps = model.predict(inputs), model.start(), []
    for time in range(12):
        y, state = model.step(inputs[:, time], state)
        steps.append(model.decode(y))
    assert [list(each) for each in zip(*steps, strict=True)] == whole


@pytest.mark.slow
def test_translations_are_those_of_the_test(tmp_path: Path, translate_tiny: Callable[[str], list[str]]) -> None:
    from rnnexp.tracking.run_directory import RunDirectory
    from rnnexp.tracking.translations_file import read_translations

    run = finish_phrasebook(tmp_path, translate_tiny, "task.length_penalty=0")
    tested = read_translations(RunDirectory(run).translations_file)[:20]
    assert rnnexp.load(run).translate([each["source"] for each in tested]) == [each["translation"] for each in tested]


def test_a_process_imports_neither_lightning_nor_hydra(finished: Outcome) -> None:
    code = (
        "import sys, rnnexp\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
        "model = rnnexp.load(sys.argv[1])\n"
        "import torch\n"
        "model.predict(torch.zeros(2, 28, 28, dtype=torch.uint8))\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    arguments = [sys.executable, "-c", code, str(finished.directory)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"torch", "rnnexp"} <= loaded
    assert not loaded & HEAVY


def test_a_directory_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.yaml"):
        rnnexp.load(tmp_path)


def test_unknown_weights_are_one_line(finished: Outcome) -> None:
    with pytest.raises(UserError, match="last"):
        rnnexp.load(finished.directory, weights="lats")


def test_a_config_that_names_other_code_is_refused(finished: Outcome, tmp_path: Path) -> None:
    from rnnexp.core.files.atomic import read_json, write_json
    from rnnexp.tracking.identity import config_hash
    from rnnexp.tracking.run_directory import RunDirectory

    run = RunDirectory(Path(shutil.copytree(finished.directory, tmp_path / "copy")))
    config = run.read_config()
    config["model"]["cell"] = "os.system"
    run.write_config(config, [])
    write_json(run.status_file, read_json(run.status_file) | {"config_hash": config_hash(config)})
    with pytest.raises(UserError, match=r"trust=\['os'\]"):
        rnnexp.load(run.path)
