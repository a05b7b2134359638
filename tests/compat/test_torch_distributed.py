"""Private names and texts of torch.distributed that ranks depend on. A failure names what changed."""

import importlib
import inspect
import multiprocessing
import os
from datetime import timedelta

import pytest
import torch
import torch.distributed as distributed
from torch.distributed import TCPStore

from rnnexp.compat.torch_distributed import AGENT_STORE, is_lost_peer


def test_ranks_meet_at_the_store_of_their_parent() -> None:
    source = inspect.getsource(importlib.import_module("torch.distributed.rendezvous"))
    ((name, value),) = AGENT_STORE.items()
    assert f'os.environ.get("{name}", None) == str({value})' in source, "ranks are told of a store in another way"


def meet(port: int, rank: int) -> None:
    store = TCPStore("127.0.0.1", port, 2, is_master=False)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    distributed.all_reduce(torch.ones(1))
    if rank == 1:
        os._exit(0)  # at an ordinary end threads of Gloo may abort the process
    # The other rank has ended, or is about to.
    with pytest.raises(RuntimeError) as lost:
        reduce_for_ever()
    assert is_lost_peer(lost.value), f"Gloo words the error of a lost rank otherwise: {lost.value}"


def reduce_for_ever() -> None:
    while True:
        distributed.all_reduce(torch.ones(1))


def test_a_lost_rank_is_an_error_of_this_text() -> None:
    store = TCPStore("127.0.0.1", 0, 2, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=meet, args=(store.port, rank)) for rank in (0, 1)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    assert not is_lost_peer(RuntimeError("out of memory"))
