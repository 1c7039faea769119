"""The head that a decoder has in the library that it comes from; declared on the decoder as `usual_head`."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from geocompose.errors import UserError


@dataclass(frozen=True)
class UsualHead:
    """What the last layers behind a decoder are like in its library.

    kernel_size: rows and columns of the last convolution's kernel. start: draws a fresh head's weights as they begin
    there; None leaves them as torch's layers draw them.
    """

    kernel_size: int = 1
    start: Callable[[nn.Module], None] | None = None


def usual_head_of(decoder: nn.Module) -> UsualHead:
    """Return what a decoder says of its usual head; one that says nothing has a 1 x 1 convolution as torch draws it.

    Raises:
        UserError: what it declares is not a `UsualHead`.
    """
    declared = getattr(decoder, "usual_head", None)
    if declared is None:
        return UsualHead()
    if not isinstance(declared, UsualHead):
        raise UserError(
            f"The decoder {type(decoder).__name__} declares usual_head = {declared!r}, which is not a UsualHead "
            "(geocompose.contracts.usual_head). Write UsualHead(kernel_size=3), or leave it out."
        )
    return declared
