"""Batches that several processes share: each gets its part of every batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch.utils.data import Sampler

from geocompose.data.tiles import BLANK

Item = int | tuple[int, int]


@dataclass(frozen=True)
class Share:
    """Which part of every batch this process gets: that numbered `rank` of `size`."""

    rank: int = 0
    size: int = 1

    def of(self, batch: Sequence[Item], batch_size: int) -> list[Item]:
        """Return this process's part of a batch; in a smaller, last one, `BLANK` makes the parts equally long."""
        length = min(batch_size // self.size, -(-len(batch) // self.size))
        part = list(batch[self.rank * length : (self.rank + 1) * length])
        return part + [BLANK] * (length - len(part))


class SharedBatches(Sampler[list[Item]]):
    """This process's part of each batch that one process alone would have.

    sampler: gives the samples of an epoch in their order, the same in each process. batch_size: of all together.
    """

    def __init__(self, sampler: Sampler[Item], batch_size: int, share: Share, *, drop_last: bool = False) -> None:
        self.sampler = sampler  # the trainer tells it the epoch
        self.batch_size = batch_size
        self.drop_last = drop_last
        self._share = share

    def __len__(self) -> int:
        number = len(self.sampler)  # type: ignore[arg-type]
        return number // self.batch_size if self.drop_last else -(-number // self.batch_size)

    def __iter__(self) -> Iterator[list[Item]]:
        order = list(self.sampler)
        for number in range(len(self)):
            yield self._share.of(order[number * self.batch_size : (number + 1) * self.batch_size], self.batch_size)
