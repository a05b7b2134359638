"""Several jobs that share a GPU, a job that asks for more memory than there is, and processes that train together."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rnnexp.core.files.atomic import read_json
from rnnexp.data.images.files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from rnnexp.data.images.idx import encode_idx
from support.programs import NUM_TEST, Outcome, Run, run_directories
from support.sweeps import BARE, processes_of, statuses, wait_for

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(240)]

DEVICE = "cuda"
GPU = "trainer=gpu"
MANY = 20_000


def test_eight_jobs_share_a_gpu(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = [GPU, "seed=1,2,3,4,5,6,7,8", f"sweep_dir={sweep}", "logger=csv", "hydra.launcher.jobs=8"]
    outcome = run(*asked, "hydra.launcher.jobs_per_device=8", "-m")
    assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
    assert statuses(sweep) == dict.fromkeys(range(1, 9), "done")
    # The fast jobs of this test may end while the last one starts, but the first does not end before the second starts.
    events = re.findall(r"^(start|done) ", outcome.stdout, re.MULTILINE)
    assert events.count("start") == events.count("done") == 8
    assert events[:4] == ["start"] * 4, "the jobs ran one after another"
    results = [read_json(path) for path in sweep.glob("jobs/*/result.json")]
    assert {result["device"]["type"] for result in results} == {DEVICE}
    assert {result["device"]["name"] for result in results} == {torch.cuda.get_device_name()}
    assert {result["device"]["num_devices"] for result in results} == {1}
    assert all(0 < result["peak_memory_bytes"] < 2**30 for result in results), "that of the job, not of the GPU"
    assert len({result["metrics"]["test/loss"] for result in results}) == 8
    assert not processes_of(sweep)


@pytest.fixture(scope="module")
def many_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with more images than a GPU has memory for in one batch of a wide network, pixel by pixel."""
    root = tmp_path_factory.mktemp("many")
    directory = root / "Many" / "raw"
    directory.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for images, labels, count in ((TRAIN_IMAGES, TRAIN_LABELS, MANY + 100), (TEST_IMAGES, TEST_LABELS, NUM_TEST)):
        (directory / images).write_bytes(encode_idx(generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)))
        (directory / labels).write_bytes(encode_idx((np.arange(count) % 10).astype(np.uint8)))
    return root


def test_a_job_that_asks_for_more_memory_than_the_gpu_has_fails_alone(
    run: Run, many_images: Path, tmp_path: Path
) -> None:
    """Its input product alone is 784 steps * 20,000 images * 4 gates * 1,024 * 4 bytes: 257 GB."""
    sweep = tmp_path / "sweep"
    data = [f"data.root={many_images}", "data.name=Many", "data.val_size=100", "data.view=pixels"]
    wide = ["model=lstm", "model.hidden_size=1024", "model.backend=reference", "model.num_layers=1"]
    few = ["trainer.limit_train_batches=2", "trainer.limit_val_batches=1", "trainer.max_epochs=1"]
    outcome = run(
        *(GPU, *data, *wide, *few, *BARE, f"sweep_dir={sweep}"),
        *(f"data.batch_size=50,{MANY},60", "hydra.launcher.jobs_per_device=3", "hydra.launcher.jobs=3", "-m"),
    )
    assert outcome.exit_code == 1, outcome.stdout + outcome.stderr
    assert outcome.line.startswith("rnnexp: 1 failed of 3 jobs, see output.log in ")
    ends = {}
    for path in sweep.glob("jobs/*/status.json"):
        batch_size = int(re.search(r"batch_size-(\d+)", path.parent.name)[1])  # type: ignore[index]
        ends[batch_size] = (read_json(path), path.parent)
    assert {batch_size: record["status"] for batch_size, (record, _) in ends.items()} == {
        50: "done",
        60: "done",
        MANY: "failed",
    }
    record, directory = ends[MANY]
    assert re.match(r"out of memory \(CUDA out of memory\. Tried to allocate 2\d\d\.\d\d GiB", record["reason"])
    assert "\n" not in record["reason"]
    assert record["reason"].endswith(": try a smaller data.batch_size or model, or fewer jobs at once")
    output = (directory / "output.log").read_text(encoding="utf-8")
    assert "Traceback" not in output
    assert output.rstrip("\n").split("\n")[-1] == f"rnnexp: {record['reason']}"


def train_together(tiny: list[str], place: Path, *overrides: str) -> Path:
    """Train on all GPUs with NCCL as a program, and return the run directory."""
    command = [sys.executable, "-m", "rnnexp.train", *tiny, "trainer=ddp", f"paths.outputs_dir={place}/outputs"]
    done = subprocess.run([*command, *overrides], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (directory,) = run_directories(place)
    wait_for(lambda: not processes_of(place), 30)
    return directory


def require_same_run(directory: Path, alone: Outcome, num_devices: int) -> None:
    """Require the result and the weights of the run of one process, up to rounding."""
    here, there = read_json(directory / "result.json"), alone.result
    assert here["status"] == "done"
    assert here["device"]["num_devices"] == num_devices
    assert (here["num_steps"], here["num_test_samples"]) == (there["num_steps"], NUM_TEST)
    weights = [
        torch.load(path / "checkpoints/last.ckpt", map_location="cpu", weights_only=True)["state_dict"]
        for path in (directory, alone.directory)
    ]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        if name.startswith("model."):
            torch.testing.assert_close(weight, weights[1][name], atol=1e-3, rtol=1e-3)
    for name in ("val/loss", "test/loss"):
        assert here["metrics"][name] == pytest.approx(there["metrics"][name], rel=1e-3), json.dumps(here["metrics"])


def test_one_process_with_nccl_equals_one_without(run: Run, tiny: list[str], tmp_path: Path) -> None:
    directory = train_together(tiny, tmp_path / "together", "trainer.devices=1")
    require_same_run(directory, run(GPU), num_devices=1)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are not two GPUs")
def test_two_gpus_equal_one(run: Run, tiny: list[str], tmp_path: Path) -> None:
    directory = train_together(tiny, tmp_path / "together", "trainer.devices=2", "data.batch_size=25")
    require_same_run(directory, run(GPU), num_devices=2)
