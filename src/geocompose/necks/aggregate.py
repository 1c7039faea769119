"""One vector for each feature: what a classifier of whole images reads."""

from torch import Tensor

from geocompose.arguments import whole_number
from geocompose.contracts.shapes import map_to_tokens
from geocompose.errors import UserError, choices
from geocompose.necks.base import Neck
from geocompose.necks.select import layer_indices
from geocompose.registry import NECK_REGISTRY

POOLINGS = ("mean", "max", "min", "cls")


@NECK_REGISTRY.register
class AggregateTokens(Neck):
    """Each chosen feature becomes a vector (B, C): the mean, maximum or minimum of its tokens, or one of them.

    A feature is tokens (B, N, C), or a map (B, C, h, w), whose cells are its tokens, row by row.
    """

    def __init__(
        self,
        channel_list: list[int],
        pooling: str | int = "mean",
        indices: int | list[int] | None = None,
        index: int | None = -1,
        drop_cls: bool = False,
    ) -> None:
        """Take the incoming widths, how tokens are pooled and which features are.

        pooling: `mean`, `max`, `min`, `cls` (or `CLS`: the first token), or the number of a token; negative ones count
            from the end. index: the one feature; the last by default, every feature where null. indices: several
            features, in this order; null: `index` says which. drop_cls: leave the first token of each feature out
            before pooling (and counting); without it, the class token is one token of the mean.

        Raises:
            UserError: no such pooling or feature, both `indices` and `index`, or a class token dropped and asked for.
        """
        super().__init__(channel_list)
        self.pooling = _pooling(pooling)
        if drop_cls and self.pooling == "cls":
            raise UserError(
                "AggregateTokens: pooling=cls takes the class token, which drop_cls=true drops. Choose one."
            )
        if indices is not None and index != -1:
            raise UserError(f"AggregateTokens: give indices ({indices!r}) or index ({index!r}), not both.")
        chosen = index if indices is None else indices
        if chosen is None:
            self.indices = list(range(len(channel_list)))
        else:
            chosen = [chosen] if isinstance(chosen, int) else chosen
            self.indices = layer_indices("AggregateTokens", chosen, len(channel_list))
        self.drop_cls = drop_cls

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths of the chosen features."""
        return [channel_list[index] for index in self.indices]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return a vector (B, C) for each chosen feature.

        Raises:
            UserError: a feature is neither tokens nor a map, a map is asked for a class token, or no such token.
        """
        return [self._pool(self._tokens(features[index], self.channel_list[index])) for index in self.indices]

    def _tokens(self, feature: Tensor, width: int) -> Tensor:
        """Return tokens (B, N, C)."""
        if feature.ndim == 3 and feature.shape[2] == width:
            return feature[:, 1:] if self.drop_cls else feature
        if feature.ndim == 4 and feature.shape[1] == width:
            if self.drop_cls or self.pooling == "cls":
                setting = "drop_cls=true" if self.drop_cls else "pooling=cls"
                raise UserError(
                    f"AggregateTokens: {setting} needs tokens, of which the first is the class token; a map of shape "
                    f"{tuple(feature.shape)} has none. Put this neck before ReshapeTokensToImage, or pool by mean, max "
                    "or min."
                )
            return map_to_tokens(feature)
        raise UserError(
            f"AggregateTokens takes tokens (batch, tokens, {width}) or a map (batch, {width}, rows, columns); got a "
            f"feature of shape {tuple(feature.shape)}. Maps with channels last need PermuteDims with new_order [0, 3, "
            "1, 2] before it."
        )

    def _pool(self, tokens_bnd: Tensor) -> Tensor:
        if self.pooling == "mean":
            return tokens_bnd.mean(dim=1)
        if self.pooling == "max":
            return tokens_bnd.amax(dim=1)
        if self.pooling == "min":
            return tokens_bnd.amin(dim=1)
        # The number of tokens follows from the image, so that it is known only here. `cls` is the first by convention.
        number = 0 if self.pooling == "cls" else int(self.pooling)
        count = tokens_bnd.shape[1]
        if not -count <= number < count:
            raise UserError(
                f"AggregateTokens: pooling={number} is not a token of {count}: they go from 0 to {count - 1}, "
                f"or -{count} to -1."
            )
        return tokens_bnd[:, number]


def _pooling(given: object) -> str | int:
    if isinstance(given, str):
        if given.lower() not in POOLINGS:
            raise UserError(
                f"AggregateTokens: there is no pooling {given!r}. {choices(given, [*POOLINGS, 'a number'])}"
            )
        return given.lower()
    return whole_number("AggregateTokens: pooling, where it names a token,", given)
