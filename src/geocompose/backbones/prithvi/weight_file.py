"""The file of pretrained Prithvi weights: which one it is, and what is in it loaded into a model."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from geocompose.backbones.foreign.files import download, origin, read_state_dict
from geocompose.backbones.foreign.prefixes import of_model
from geocompose.backbones.prithvi.weights import load_weights
from geocompose.catalog.prithvi import variant_named
from geocompose.errors import UserError

log = logging.getLogger("geocompose")


@dataclass(frozen=True)
class WeightFile:
    """A file of pretrained weights, and where it comes from."""

    path: Path
    source: str

    @property
    def origin(self) -> dict[str, str]:
        """What a run records of the weights: where they come from and the sha256 of the file."""
        return origin(self.path, self.source)


def weight_file(variant: str, pretrained: bool, ckpt_path: str | None) -> WeightFile | None:
    """Return the file to load, from `ckpt_path` where given, else from the hub; or None for random weights.

    On the meta device there is nothing to load, and None: shapes alone are built there.

    Raises:
        UserError: the variant was never published, or its file can't be downloaded.
    """
    row = variant_named(variant)
    if pretrained and ckpt_path is None and row.file is None:
        raise UserError(f"{variant} has no published weights; use backbone.pretrained=false or another variant.")
    if torch.get_default_device().type == "meta":
        return None
    if ckpt_path is not None:
        return WeightFile(Path(ckpt_path), str(Path(ckpt_path)))
    if not pretrained:
        log.info("Backbone %s starts from random weights (backbone.pretrained=false).", variant)
        return None
    assert row.repository is not None
    assert row.file is not None
    return WeightFile(download(row.repository, row.file), f"{row.repository}/{row.file}")


def load_file(
    model: nn.Module,
    file: WeightFile | None,
    part: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    *,
    bands: Sequence[str],
    pretrained_bands: Sequence[str],
    allow_random_bands: bool,
) -> dict[str, str] | None:
    """Load a file's weights into a model, and return where they come from; None without a file.

    part: returns the model's part of the file under the model's names, `encoder_part` or `whole`. The other arguments
    are those of `geocompose.backbones.prithvi.weights.load_weights`.

    Raises:
        UserError: the file can't be read, or its weights are not this model's.
    """
    if file is None:
        return None

    def named(key: str) -> str | None:
        return next(iter(part({key: torch.empty(0)})), None)

    load_weights(
        model,
        part(of_model(read_state_dict(file.path), model.state_dict(), named, file.path)),
        bands=bands,
        pretrained_bands=pretrained_bands,
        allow_random_bands=allow_random_bands,
    )
    return file.origin
