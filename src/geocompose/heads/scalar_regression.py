"""The head of regression with one prediction for the whole image."""

from geocompose.heads.image_level import ImageLevelHead


class ScalarRegressionHead(ImageLevelHead):
    """Variables (B, num_outputs) of a map, tokens or a vector: at each position, then their mean, or of the mean."""

    def __init__(
        self,
        in_dim: int,
        num_outputs: int,
        dim_list: list[int] | None = None,
        dropout: float = 0.0,
        linear_after_pool: bool = False,
    ) -> None:
        """Take the decoder's width and the number of variables.

        dim_list: widths of linear layers with ReLU before the last; none where null. dropout: before the last, 0 to
            below 1.
        linear_after_pool: take the positions' mean first, then the layers; otherwise the layers, then the outputs'
            mean.

        Raises:
            UserError: a width, the number of variables or the dropout is out of range.
        """
        super().__init__(in_dim, num_outputs, dim_list, dropout, linear_after_pool)
