"""The head of classification: one class per image, or several (multi-label)."""

from geocompose.heads.image_level import ImageLevelHead


class ClassificationHead(ImageLevelHead):
    """Logits (B, num_classes) of a map, tokens or a vector: at each position, then their mean, or of the mean."""

    def __init__(
        self,
        in_dim: int,
        num_classes: int,
        dim_list: list[int] | None = None,
        dropout: float = 0.0,
        linear_after_pool: bool = False,
    ) -> None:
        """Take the decoder's width and the number of classes.

        dim_list: widths of linear layers with ReLU before the last; none where null. dropout: before the last, 0 to
            below 1.
        linear_after_pool: take the positions' mean first, then the layers; otherwise the layers, then the logits' mean.

        Raises:
            UserError: a width, the number of classes or the dropout is out of range.
        """
        super().__init__(in_dim, num_classes, dim_list, dropout, linear_after_pool)
