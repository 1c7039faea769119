"""What a model returns."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class ModelOutput:
    """The main output, and those of auxiliary heads by name."""

    output: Tensor
    auxiliary_heads: dict[str, Tensor] = field(default_factory=dict)
