"""One process or many: the sums that make several processes learn as one (data parallelism)."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those that `torchrun` started; alone without it."""

    rank: int = 0
    """Number of this process, from 0."""
    world: int = 1
    """Number of processes."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and the lines."""
        return self.rank == 0

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Replaces each tensor by its sum over all processes."""
        if self.world == 1:
            return
        for tensor in tensors:
            distributed.all_reduce(tensor)

    def agree(self, flag: bool) -> bool:
        """Says whether the flag is up in any process, so that all of them stop at the same step."""
        if self.world == 1:
            return flag
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        vote = torch.tensor(int(flag), device=device)
        distributed.all_reduce(vote, op=distributed.ReduceOp.MAX)
        return bool(vote)

    def leave(self) -> None:
        """Ends the group once all are done: who goes while others still talk may be aborted."""
        if self.world > 1 and distributed.is_initialized():
            distributed.barrier()
            distributed.destroy_process_group()

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Lets the first process through before all others, which then find what it made."""
        if self.world > 1 and not self.is_first:
            distributed.barrier()
        yield
        if self.world > 1 and self.is_first:
            distributed.barrier()


def joined() -> Processes:
    """Joins the group of processes that `torchrun` describes in the environment."""
    if not distributed.is_torchelastic_launched():
        return Processes()
    if not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return Processes(rank=distributed.get_rank(), world=distributed.get_world_size())
