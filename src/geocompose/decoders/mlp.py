"""A perceptron on all features of a cell."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from geocompose.arguments import whole_number
from geocompose.contracts.needs import ANY_FEATURE, Needs, feature_at
from geocompose.decoders.layers import joined_at_first
from geocompose.errors import UserError, choices
from geocompose.registry import DECODER_REGISTRY

ACTIVATIONS = ("ReLU", "GELU", "SiLU", "LeakyReLU", "ELU", "Sigmoid", "Tanh", "Identity")


@DECODER_REGISTRY.register
class MLPDecoder(nn.Module):
    """Joins all features and puts one or two linear layers on each position, each with its activation.

    Features are all maps (B, C, h, w), resized bilinearly to the first, or all tokens (B, N, C), or all vectors (B, C);
    the output is of the same kind.
    """

    needs: ClassVar[Needs] = Needs(layers=4, layouts=ANY_FEATURE)
    includes_head: ClassVar[bool] = False

    def __init__(
        self,
        channel_list: list[int],
        channels: int | None = None,
        out_dim: int | None = None,
        activation: str = "ReLU",
        out_index: int = -1,
    ) -> None:
        """Take the incoming widths.

        channels: width of the linear layer; that of the feature at `out_index` where null. out_dim: width of a second
        linear layer; none where null. activation: its name in torch.nn, such as `ReLU`.

        Raises:
            UserError: a number is out of range, or there is no such activation.
        """
        super().__init__()
        width = feature_at(channel_list, out_index, "MLPDecoder", "out_index")
        if channels is not None:
            width = whole_number("MLPDecoder: channels", channels, 1)
        if activation not in ACTIVATIONS:
            raise UserError(f"MLPDecoder has no activation {activation!r}. {choices(activation, ACTIVATIONS)}")
        self.hidden_layer = nn.Linear(sum(channel_list), width)
        self.output_layer: nn.Linear | None = None
        if out_dim is not None:
            self.output_layer = nn.Linear(width, whole_number("MLPDecoder: out_dim", out_dim, 1))
        self.activation = getattr(nn, activation)()
        self.out_channels = width if out_dim is None else out_dim

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (B, out_channels, h, w) like the first feature, tokens (B, N, out_channels) or a vector.

        Raises:
            UserError: features are of several kinds.
        """
        if len({feature.ndim for feature in features}) > 1:
            raise UserError(
                "MLPDecoder joins features of one kind, all maps, all tokens or all vectors; got shapes "
                f"{', '.join(str(tuple(feature.shape)) for feature in features)}. Use neck=auto."
            )
        if features[0].ndim != 4:
            return self._layers(torch.cat(features, dim=-1))
        # A linear layer reads the last dimension, so channels go last for it.
        return self._layers(joined_at_first(features).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def _layers(self, x: Tensor) -> Tensor:
        x = self.activation(self.hidden_layer(x))
        return x if self.output_layer is None else self.activation(self.output_layer(x))
