"""Widths that a decoder can work with."""

from torch import Tensor, nn

from geocompose.arguments import whole_number, whole_numbers
from geocompose.errors import UserError
from geocompose.necks.base import Neck
from geocompose.registry import NECK_REGISTRY


@NECK_REGISTRY.register
class ProjectChannels(Neck):
    """Maps of other widths, by a 1 x 1 convolution each; a map that has its width already stays as it is."""

    def __init__(self, channel_list: list[int], channels: int | list[int]) -> None:
        """Take the incoming widths and the outgoing ones.

        channels: one width for all maps, or a list of one per map.

        Raises:
            UserError: a width is below 1, or there is not one per map.
        """
        super().__init__(channel_list)
        if isinstance(channels, int):
            self.channels = [whole_number("ProjectChannels: channels", channels, 1)] * len(channel_list)
        else:
            self.channels = whole_numbers("ProjectChannels: channels", channels, 1, example="256, or [64, 128]")
        if len(self.channels) != len(channel_list):
            raise UserError(
                f"ProjectChannels: channels must be one width, or a list of one per feature: {len(channel_list)} here, "
                f"got {self.channels}."
            )
        self.projections = nn.ModuleList(
            nn.Identity() if width == wanted else nn.Conv2d(width, wanted, kernel_size=1)
            for width, wanted in zip(channel_list, self.channels, strict=True)
        )

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the outgoing widths."""
        return list(self.channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return maps (B, channels, h, w)."""
        return [project(feature) for project, feature in zip(self.projections, features, strict=True)]
