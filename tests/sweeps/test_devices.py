"""The devices of a machine and their assignment to jobs."""

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from rnnexp.runs.distributed import num_ranks
from rnnexp.sweeps.devices import Devices, ResourceRequest, parse_gpu_list, requested_resources, visible_gpus

LISTING = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb)
  MIG 3g.40gb     Device  0: (UUID: MIG-cccc)
  MIG 3g.40gb     Device  1: (UUID: MIG-dddd)
"""


def test_a_gpu_with_instances_counts_as_its_instances() -> None:
    assert parse_gpu_list(LISTING) == ["GPU-aaaa", "MIG-cccc", "MIG-dddd"]


@pytest.mark.parametrize(
    ("named", "seen"),
    [("2,3", ["2", "3"]), ("GPU-aaaa, MIG-cccc", ["GPU-aaaa", "MIG-cccc"]), ("", []), ("0,-1,1", ["0"])],
)
def test_visible_devices_are_respected(named: str, seen: list[str]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": named}) == seen


def config(**trainer: Any) -> dict[str, Any]:
    return {"num_threads": 2, "trainer": {"accelerator": "auto", "devices": 1, **trainer}}


def test_a_job_needs_gpus_if_there_are_any() -> None:
    assert requested_resources(config(), num_gpus=4) == ResourceRequest(gpus=1)
    assert requested_resources(config(devices=[2, 3]), num_gpus=4) == ResourceRequest(gpus=2)
    assert requested_resources(config(devices=-1), num_gpus=4) == ResourceRequest(gpus=4)
    assert requested_resources(config(), num_gpus=0) == ResourceRequest(cores=2)
    assert requested_resources(config(accelerator="cpu", devices=3), num_gpus=4) == ResourceRequest(cores=6)


def test_a_job_without_a_number_of_threads_has_the_machine() -> None:
    request = requested_resources(config() | {"num_threads": None}, num_gpus=0)
    assert str(request) == "all core"
    devices = Devices([], jobs_per_device=1, cores=4)
    allocation = devices.allocate(request)
    assert allocation is not None
    assert allocation.cores == 4
    assert devices.allocate(ResourceRequest()) is None


@pytest.mark.parametrize(
    ("gpus", "requests", "max_running", "seconds"),
    [
        ([], [ResourceRequest()] * 4, None, 20),
        ([], [ResourceRequest()] * 4, 1, 40),
        ([], [ResourceRequest(cores=2)] * 4, None, 40),
        (["a"], [ResourceRequest()] * 4, None, 20),
        (["a"], [ResourceRequest(gpus=1)] * 4, None, 40),
        ([], [], None, 0),
    ],
)
def test_the_time_in_which_jobs_run(
    gpus: list[str], requests: list[ResourceRequest], max_running: int | None, seconds: float
) -> None:
    devices = Devices(gpus, jobs_per_device=1, cores=2)
    assert devices.seconds_for([(request, 10.0) for request in requests], max_running) == seconds
    assert devices.seconds_for([(ResourceRequest(), time) for time in (10, 30, 10, 10)], None) == 30


@pytest.mark.parametrize("devices", [-1, "auto"])
@pytest.mark.parametrize(
    ("accelerator", "there_are", "ranks"), [("auto", 4, 4), ("gpu", 4, 4), ("auto", 0, 1), ("cpu", 4, 1)]
)
def test_all_devices_are_all_gpus_if_there_are_any(
    monkeypatch: pytest.MonkeyPatch, devices: Any, accelerator: str, there_are: int, ranks: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there_are)
    assert num_ranks(OmegaConf.create({"devices": devices, "accelerator": accelerator})) == ranks


def test_small_jobs_share_a_gpu_and_use_the_least_busy_one() -> None:
    devices = Devices(["a", "b"], jobs_per_device=2, cores=1)
    allocations = [devices.allocate(ResourceRequest(gpus=1)) for _ in range(4)]
    assert [allocation and allocation.gpus for allocation in allocations] == [("a",), ("b",), ("a",), ("b",)]
    assert devices.allocate(ResourceRequest(gpus=1)) is None
    assert allocations[1] is not None
    devices.release(allocations[1])
    again = devices.allocate(ResourceRequest(gpus=1))
    assert again is not None
    assert again.environment == {"CUDA_VISIBLE_DEVICES": "b"}


def test_a_job_of_two_gpus_gets_two_different_ones() -> None:
    devices = Devices(["a", "b"], jobs_per_device=2, cores=1)
    allocation = devices.allocate(ResourceRequest(gpus=2))
    assert allocation is not None
    assert set(allocation.gpus) == {"a", "b"}


def test_cores_are_divided_and_a_job_on_them_sees_no_gpu() -> None:
    devices = Devices(["a"], jobs_per_device=1, cores=4)
    first, second = devices.allocate(ResourceRequest(cores=3)), devices.allocate(ResourceRequest(cores=2))
    assert first is not None
    assert first.environment == {"CUDA_VISIBLE_DEVICES": ""}
    assert second is None
    devices.release(first)
    whole = devices.allocate(ResourceRequest(cores=64))
    assert whole is not None
    assert whole.cores == 4
