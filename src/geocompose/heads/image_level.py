"""What the heads of tasks with one output for the whole image have in common."""

from itertools import pairwise

from torch import Tensor, nn

from geocompose.arguments import dropout_rate, whole_number, whole_numbers
from geocompose.contracts.shapes import map_to_tokens
from geocompose.errors import UserError


class ImageLevelHead(nn.Module):
    """Linear layers with ReLU, dropout and a last linear layer at each position, and their outputs' mean.

    Positions are the cells of a map, the tokens of a sequence (the class token is one of them), or the one vector.
    """

    def __init__(
        self,
        in_dim: int,
        num_outputs: int,
        dim_list: list[int] | None = None,
        dropout: float = 0.0,
        linear_after_pool: bool = False,
    ) -> None:
        """Take the decoder's width and the number of outputs; the other arguments as the subclasses tell them."""
        super().__init__()
        self.in_dim = in_dim
        whole_number(f"{type(self).__name__}: the number of outputs", num_outputs, 1)
        dropout = dropout_rate("head.dropout", dropout)
        widths = [in_dim, *whole_numbers("head.dim_list", dim_list or [], 1)]
        layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(widths)]
        self.linear_after_pool = linear_after_pool
        self.head = nn.Sequential(
            nn.Sequential(*layers) if layers else nn.Identity(),
            nn.Dropout(dropout) if dropout else nn.Identity(),
            nn.Linear(widths[-1], num_outputs),
        )

    def forward(self, decoded: Tensor) -> Tensor:
        """Return outputs (B, num_outputs) of a map (B, in_dim, h, w), tokens (B, N, in_dim) or a vector (B, in_dim).

        Raises:
            UserError: it is of another shape.
        """
        # The mean before the layers: one prediction, of the image's mean feature. After: the mean of a prediction at
        # each position. Without hidden layers and dropout both are the same, since a linear layer is.
        positions = self._positions(decoded)
        if self.linear_after_pool:
            return self.head(positions.mean(dim=1))
        return self.head(positions).mean(dim=1)

    def _positions(self, decoded: Tensor) -> Tensor:
        """Return vectors (B, positions, in_dim)."""
        if decoded.ndim == 4 and decoded.shape[1] == self.in_dim:
            return map_to_tokens(decoded)
        if decoded.ndim == 3 and decoded.shape[2] == self.in_dim:
            return decoded
        if decoded.ndim == 2 and decoded.shape[1] == self.in_dim:
            return decoded.unsqueeze(1)
        wide = self.in_dim
        raise UserError(
            f"{type(self).__name__} takes a map (batch, {wide}, rows, columns), tokens (batch, tokens, {wide}) or a "
            f"vector (batch, {wide}); got {tuple(decoded.shape)}."
        )
