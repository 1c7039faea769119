"""Batches that are read ahead, by threads of this process or by others, and for how long they were waited for."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, default_collate

from geocompose.data.batch_memory import BatchMemory
from geocompose.data.tiles import Sample, TileDataset

AHEAD = 2  # batches that are read while one is computed with


class _Reading(NamedTuple):
    """A batch on its way: its samples, and where their images are written (None: each has its own)."""

    samples: list[Future[Sample]]
    images: torch.Tensor | None


class TimedLoader(DataLoader[Sample]):
    """Torch's loader, which knows for how many seconds its batches have been waited for (`waited_s`)."""

    waited_s: float = 0.0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of an epoch."""
        return self._timed(super().__iter__())

    def _timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            began_s = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self.waited_s += time.perf_counter() - began_s
            yield batch


class ReadAhead(TimedLoader):
    """A data set's batches, the same as those of torch's `DataLoader` without workers.

    Reading, decoding and arithmetic on large arrays let other threads go on, so that threads do here what processes do
    elsewhere: without sending samples, and each image is written into its batch at once.

    num_threads: how many samples are read at a time. The others are torch's.
    """

    def __init__(self, dataset: TileDataset, *, num_threads: int, **batches: Any) -> None:
        super().__init__(dataset, num_workers=0, **batches)
        self.num_threads = num_threads
        self._tiles = dataset
        self._memory = BatchMemory(AHEAD + 1)
        self._image_shape: torch.Size | None = None  # known after the first batch
        self._threads: ThreadPoolExecutor | None = None

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of an epoch."""
        # torch's loader draws this number for its workers, and what recorded runs drew next came after it.
        torch.empty((), dtype=torch.int64).random_()
        return self._timed(self._read(iter(self.batch_sampler)))  # type: ignore[arg-type]

    def _read(self, order: Iterator[Sequence[Any]]) -> Iterator[Any]:
        ahead = deque(map(self._begun, islice(order, AHEAD)))
        try:
            while ahead:
                batch = self._finished(ahead.popleft())
                ahead.extend(map(self._begun, islice(order, 1)))
                yield batch
        finally:
            self._memory = BatchMemory(AHEAD + 1)  # what an epoch had is given back between epochs
            for reading in ahead:
                for sample in reading.samples:
                    sample.cancel()

    def _begun(self, items: Sequence[Any]) -> _Reading:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.num_threads, thread_name_prefix="geocompose-data")
        shape = self._image_shape
        images = None if shape is None else self._memory.take((len(items), *shape))
        places: list[torch.Tensor | None] = [None] * len(items) if images is None else [*images]
        threads, sample = self._threads, self._tiles.sample
        return _Reading(
            [threads.submit(sample, item, place) for item, place in zip(items, places, strict=True)], images
        )

    def _finished(self, reading: _Reading) -> Any:
        samples = [sample.result() for sample in reading.samples]
        first = _image_of(samples[0])
        self._image_shape = None if first is None else first.shape
        return _batch(samples, reading.images)


def _batch(samples: Sequence[Sample], images: torch.Tensor | None) -> Any:
    """Return samples as one batch; `images`, where their images were to be written."""
    written = images is not None and all(
        (image := _image_of(sample)) is not None and image.data_ptr() == place.data_ptr()
        for sample, place in zip(samples, images, strict=True)
    )
    if not written:
        batch = default_collate(list(samples))
    else:
        rest = default_collate([{key: value for key, value in sample.items() if key != "image"} for sample in samples])
        batch = {"image": images, **rest}
    return _pinned(batch) if torch.cuda.is_available() else batch


def _image_of(sample: Sample) -> torch.Tensor | None:
    image = sample.get("image")  # a sample of kept features has none
    return image if isinstance(image, torch.Tensor) else None


def _pinned(batch: Any) -> Any:
    """Return a batch in memory that a GPU copies from at once."""
    if isinstance(batch, torch.Tensor):
        return batch.pin_memory()  # itself where it is pinned already
    if isinstance(batch, dict):
        return {key: _pinned(value) for key, value in batch.items()}
    return [_pinned(value) for value in batch]
