"""Features that are not kept yet are computed, in batches, and written."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from geocompose.cache.store import FeatureStore
from geocompose.data.drawn import Drawn
from geocompose.data.tiles import Sample, TileDataset
from geocompose.imagery.coordinates import coordinates_of
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.runs.run_log import COURSE

PART_BYTES = 2**27  # features are written in parts of this size: what is lost when a process is killed
SIGN_OF_LIFE_S = 30.0


@dataclass(frozen=True)
class Encoder:
    """How images become features in a run. context: makes the context of its precision, such as autocast's."""

    model: EncoderDecoderModel
    device: torch.device
    context: Callable[[], AbstractContextManager[Any]]

    def features(self, batch: dict[str, Any]) -> list[Tensor]:
        """Return the features of a batch of images."""
        moved = {key: value.to(self.device) for key, value in batch.items()}
        with torch.no_grad(), self.context():
            return self.model.encoded(moved["image"], **coordinates_of(moved))

    def of_one(self, samples: TileDataset, drawn: Drawn) -> list[Tensor]:
        """Return the features of one sample, (1, ...) each."""
        return self.features({key: torch.as_tensor(value)[None] for key, value in samples.image(drawn).items()})


class _Images(Dataset[Sample]):
    """What a model is given of samples, as they are drawn."""

    def __init__(self, samples: TileDataset, items: Sequence[Drawn]) -> None:
        self._samples = samples
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        return self._samples.image(self._items[index])


def fill(
    store: FeatureStore,
    encoder: Encoder,
    samples: TileDataset,
    items: Sequence[Drawn],
    *,
    batch_size: int,
    num_workers: int,
) -> None:
    """Compute the features of samples in their order, and write them.

    samples: any samples of the data; it reads what `items` say.

    Raises:
        UserError: the disk refuses.
    """
    loader = DataLoader(_Images(samples, items), batch_size=batch_size, num_workers=num_workers)
    began = said = time.monotonic()
    waiting: list[list[Tensor]] = []
    done = 0
    for features in _of(loader, encoder):
        waiting.append(features)
        number = sum(len(each[0]) for each in waiting)
        last = done + number == len(items)
        if last or sum(one.nbytes for each in waiting for one in each) >= PART_BYTES:
            store.write(items[done : done + number], [torch.cat(layer) for layer in zip(*waiting, strict=True)])
            done, waiting = done + number, []
        if time.monotonic() - said >= SIGN_OF_LIFE_S:
            said = time.monotonic()
            share = (done + sum(len(each[0]) for each in waiting)) / len(items)
            left = (said - began) * (1 - share) / share
            COURSE.info("Features: %.0f %% of %d samples, about %.0f s left.", 100 * share, len(items), left)


def _of(loader: DataLoader[Sample], encoder: Encoder) -> Iterator[list[Tensor]]:
    for batch in loader:
        yield [one.cpu() for one in encoder.features(batch)]
