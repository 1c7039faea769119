"""What changes at one place of an image changes the output there: for every decoder behind the necks planned for it.

Convolutions mix channels, so a place is found by a change: one block of the image gets brighter, and the output has to
move most in that block, or beside it, on images that are square, wide and tall. Rows and columns that change places, or
tokens that wrap at the wrong length, move it far away.
"""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.contracts.features import FeatureSpec
from geocompose.factory import EncoderDecoderFactory
from geocompose.models import PixelWiseModel
from geocompose.planning import AutoNecks
from tests.kit.small import DECODERS, Maps, Tokens, decoder, marks

BLOCK = 32  # pixels: a cell of the coarsest level
GRIDS = [(6, 6), (5, 9), (9, 5)]
IDENTITY = "identity"


class LastChannels(Maps):
    """Maps with channels last."""

    def forward(self, image: Tensor) -> list[Tensor]:
        return [feature.permute(0, 2, 3, 1) for feature in super().forward(image)]


class Frames(Tokens):
    """Tokens of two frames, the second's after the first's: the same cells with an offset."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__(width, depth)
        self.feature_specs = [FeatureSpec(width, 16, "tokens", num_prefix_tokens=1, num_frames=2)] * depth

    def forward(self, image: Tensor) -> list[Tensor]:
        return [torch.cat([tokens, tokens[:, 1:] + 1], dim=1) for tokens in super().forward(image)]


class Image(nn.Module):
    """The image itself is the only feature."""

    out_channels = [3]
    in_chans = 3

    def forward(self, image: Tensor) -> list[Tensor]:
        return [image]


BACKBONES: Mapping[str, Callable[[], nn.Module]] = {
    "tokens": lambda: Tokens(32, 5),
    "pyramid": lambda: Maps([32] * 5, [2, 4, 8, 16, 32]),
    "channels last": lambda: LastChannels([16, 32, 48, 64], [4, 8, 16, 32]),
    "dilated": lambda: Maps([32] * 4, [4, 8, 16, 16]),
    "frames": lambda: Frames(16, 4),
    IDENTITY: Image,
}
# Every decoder behind tokens; those of other layouts and strides behind some that read in different ways.
PATHS = [(one, other, "learned") for one in ("tokens", "pyramid") for other in DECODERS]
PATHS += [(one, other, "learned") for one in BACKBONES for other in ("upernet", "smp_fpn", "smp_deeplabv3plus", "mlp")]
PATHS += [("tokens", other, pyramid) for other in ("unet", "smp_pan") for pyramid in ("interpolated", "pooled")]
CASES = [pytest.param(*path, id="-".join(path), marks=marks(path[1])) for path in dict.fromkeys(PATHS)]


def built(backbone: str, name: str, pyramid: str) -> PixelWiseModel:
    torch.manual_seed(3)
    model = EncoderDecoderFactory((BLOCK * 4, BLOCK * 4)).build_model(
        "segmentation",
        BACKBONES[backbone](),
        decoder(name, levels=5 if backbone == "pyramid" else 4),
        num_classes=8,
        necks=AutoNecks(pyramid),  # type: ignore[arg-type]
    )
    assert isinstance(model, PixelWiseModel)
    # Where a change arrives is asked, not how strongly: torch's own start keeps answers small enough to be local.
    for part in model.decoder.modules():
        if isinstance(part, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            part.reset_parameters()
    # mmseg's DMHead makes its filters of the whole map; here they stay the same.
    for part in model.decoder.modules():
        if hasattr(part, "filter_gen_conv"):
            nn.init.zeros_(part.filter_gen_conv.weight)
    return model.eval()


@pytest.mark.parametrize(("backbone", "name", "pyramid"), CASES)
def test_a_block_that_changes_changes_the_output_there(backbone, name, pyramid):
    model = built(backbone, name, pyramid)
    reach = 0 if backbone == IDENTITY and name == "mlp" else 1
    for rows, columns in GRIDS:
        places = [(1, columns - 2), (rows - 2, 1), (0, columns - 1)]
        torch.manual_seed(0)
        images = torch.randn(1, 3, rows * BLOCK, columns * BLOCK).repeat(1 + len(places), 1, 1, 1)
        for image, (row, column) in zip(images[1:], places, strict=True):
            image[:, row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK] += 3
        with torch.no_grad():
            still, *changed = model(images).output
        for (row, column), output in zip(places, changed, strict=True):
            moved = F.avg_pool2d((output - still).square().sum(0, keepdim=True), BLOCK)[0]
            assert moved.shape == (rows, columns)
            at = divmod(int(moved.argmax()), columns)
            assert abs(at[0] - row) <= reach, f"moved most at {at}, not at {(row, column)} of {(rows, columns)}"
            assert abs(at[1] - column) <= reach, f"moved most at {at}, not at {(row, column)} of {(rows, columns)}"
