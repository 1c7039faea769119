"""Heads: the last layers, from a decoder's map to a task's output."""

from collections.abc import Mapping

from torch import nn

from geocompose.heads.segmentation import SegmentationHead

# The head that each task has unless another is given.
HEADS: Mapping[str, type[nn.Module]] = {"segmentation": SegmentationHead}

__all__ = ["HEADS", "SegmentationHead"]
