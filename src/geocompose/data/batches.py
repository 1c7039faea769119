"""Samples in batches: how they are ordered, shared out among processes and read ahead."""

from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler, SequentialSampler

from geocompose.data.read_ahead import ReadAhead, TimedLoader
from geocompose.data.readers import Readers
from geocompose.data.shares import Share, SharedBatches
from geocompose.data.tiles import Sample, ShuffledTiles, TileDataset


def in_batches(
    dataset: TileDataset,
    batch_size: int,
    *,
    readers: Readers,
    share: Share,
    shuffled: ShuffledTiles | None = None,
) -> DataLoader[Sample]:
    """Return the batches of a data set, or a process's part of each.

    batch_size: samples of all processes together. readers: who reads them ahead. shuffled: the order of a training,
    which leaves a lone last sample out of its epoch; None is the order of the samples' numbers.
    """
    drop_last = shuffled is not None and _leaves_out_last(len(dataset), batch_size)
    batches: dict[str, Any] = {"batch_size": batch_size, "sampler": shuffled, "drop_last": drop_last}
    if share.size > 1:
        order: Sampler[Any] = SequentialSampler(dataset) if shuffled is None else shuffled
        batches = {"batch_sampler": SharedBatches(order, batch_size, share, drop_last=drop_last)}
    if readers.threads:
        return ReadAhead(dataset, num_threads=readers.threads, **batches)
    return TimedLoader(
        dataset,
        **batches,
        num_workers=readers.processes,
        persistent_workers=readers.processes > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _leaves_out_last(count: int, batch_size: int) -> bool:
    """Return whether the last batch of an epoch is left out.

    Batch norm has no variance over one tile where the features are 1 x 1. A lone last tile is left out of its epoch, a
    different one each time; where it is the only batch, the user wanted it.
    """
    return count % batch_size == 1 and count > 1 and batch_size > 1
