"""What batch normalisation does where several processes share a batch."""

import logging

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from geocompose.errors import counted
from geocompose.training.processes import Processes

log = logging.getLogger("geocompose")


def tell_shares(model: nn.Module, batch_size: int, processes: Processes) -> None:
    """Say how a batch is shared, and whether batch normalisation then computes something else."""
    part = counted(batch_size // processes.size, "sample")
    norms = sum(isinstance(module, _BatchNorm) and module.training for module in model.modules())
    if not norms:
        log.info("Batches of %d are shared by %d processes, %s each.", batch_size, processes.size, part)
        return
    log.warning(
        "Batches of %d are shared by %d processes, and %s of batch normalisation take the statistics of each process's "
        "%s: other numbers than one process computes. On GPUs, trainer.sync_batchnorm=true takes the whole batch's.",
        batch_size, processes.size, counted(norms, "layer"), part,
    )  # fmt: skip
