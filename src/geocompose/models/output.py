"""What a model returns."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class ModelOutput:
    """The main output, and those of auxiliary heads by name.

    Segmentation: logits (B, classes, H, W). Regression: (B, H, W) for one output, (B, outputs, H, W) for more.
    Classification: logits (B, classes). Scalar regression: (B,) for one output, (B, outputs) for more.
    """

    output: Tensor
    auxiliary_heads: dict[str, Tensor] = field(default_factory=dict)


torch.export.register_dataclass(ModelOutput)
