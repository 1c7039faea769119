"""Heads: the last layers, from what a decoder returns to a task's output."""

from collections.abc import Mapping

from torch import nn

from geocompose.heads.classification import ClassificationHead
from geocompose.heads.regression import RegressionHead
from geocompose.heads.scalar_regression import ScalarRegressionHead
from geocompose.heads.segmentation import SegmentationHead

# The head that each kind of task has unless another is given; called with the decoder's width and the number of
# outputs.
HEADS: Mapping[str, type[nn.Module]] = {
    "segmentation": SegmentationHead,
    "regression": RegressionHead,
    "classification": ClassificationHead,
    "multilabel": ClassificationHead,
    "scalar_regression": ScalarRegressionHead,
    "reconstruction": RegressionHead,
}

__all__ = ["HEADS", "ClassificationHead", "RegressionHead", "ScalarRegressionHead", "SegmentationHead"]
