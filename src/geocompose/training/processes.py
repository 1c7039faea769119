"""The processes that compute one run together: which of them this one is, and how they meet. Free of torch until then.

Outside of torchrun and Slurm a run has one process, which starts the others when it has decided what is to be done
(`geocompose.training.companions`); within them all are there from the start, and the first one tells the others.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from geocompose.errors import UserError

STRATEGIES = ("ddp", "fsdp")
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Processes:
    """How many processes compute a run, and which of them this one is.

    rank: this process's number, from 0; the first one alone writes anything. size: their number. local_rank and
    local_size: the same on this machine. outside: whether torchrun or Slurm has started them. port: where the first one
    listens, for those that it starts itself.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    outside: bool = False
    port: int | None = None

    @property
    def first(self) -> bool:
        """Whether this process leads: it holds the run's lock and writes."""
        return self.rank == 0

    def share(self, batch_size: int) -> int:
        """Return how many samples of a batch each process gets.

        Raises:
            UserError: the batch can't be shared equally.
        """
        if batch_size % self.size:
            below = batch_size - batch_size % self.size
            near = " or ".join(str(number) for number in (below, below + self.size) if number)
            raise UserError(
                f"data.batch_size={batch_size} is the batch of all {self.size} processes together, and can't be shared "
                f"equally. Write {near}."
            )
        return batch_size // self.size


ONE = Processes()


def processes_of(trainer: Mapping[str, Any]) -> Processes:
    """Return the processes that a trainer's configuration asks for.

    Raises:
        UserError: several machines without torchrun or Slurm, or a number of devices that can't be.
    """
    strategy = trainer.get("strategy")
    if strategy is None:
        return ONE
    if "TORCHELASTIC_RUN_ID" in os.environ:
        rank, size, local_rank, local_size = _numbers("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        return Processes(rank, size, local_rank, local_size, outside=True)
    if "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        rank, size, local_rank, nodes = _numbers("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NNODES")
        if size % nodes:
            raise UserError(
                f"srun started {size} processes on {nodes} machines: start as many on each (--ntasks-per-node)."
            )
        return Processes(rank, size, local_rank, size // nodes, outside=True)
    if trainer["num_nodes"] != 1:
        raise UserError(
            f"trainer.num_nodes={trainer['num_nodes']}: on several machines, start one process per device on each: "
            "torchrun --nnodes=N --nproc-per-node=DEVICES ... run.py ..., or srun in a Slurm job."
        )
    size = _devices(trainer["devices"], trainer["accelerator"])
    return Processes(0, size, 0, size) if size > 1 else ONE


def _numbers(*names: str) -> list[int]:
    return [int(os.environ[name]) for name in names]


def _devices(devices: object, accelerator: str) -> int:
    if isinstance(devices, list):
        return len(devices)
    if isinstance(devices, int):
        return devices
    if accelerator == "cpu":
        return 1
    import torch

    return max(1, torch.cuda.device_count())


@contextmanager
def met(processes: Processes, accelerator: str) -> Iterator[None]:
    """Let the processes meet for the block. accelerator: the trainer's."""
    if processes.size == 1:
        yield
        return
    import torch
    import torch.distributed as dist

    on_cpu = accelerator == "cpu" or not torch.cuda.is_available()
    address = None if processes.outside else f"tcp://{HOST}:{processes.port}"
    if processes.outside and "SLURM_STEP_ID" in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ:
        from lightning.fabric.plugins.environments import SLURMEnvironment

        slurm = SLURMEnvironment()
        address = f"tcp://{slurm.main_address}:{slurm.main_port}"
    backend = "gloo" if on_cpu else "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, init_method=address, rank=processes.rank, world_size=processes.size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def told_by_the_first(processes: Processes, decision: object) -> object:
    """Return what the first process decided; the others' argument does not count."""
    import torch.distributed as dist

    box = [decision if processes.first else None]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def free_port() -> int:
    """Return a port of this machine on which nobody listens."""
    import socket

    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])
