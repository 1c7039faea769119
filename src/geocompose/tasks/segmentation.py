"""Semantic segmentation: one class per pixel."""

from typing import ClassVar

from geocompose.imagery.samples import Kind
from geocompose.tasks.class_losses import segmentation_loss
from geocompose.tasks.of_classes import ClassTask


class SegmentationTask(ClassTask):
    """Learns from tiles: mask (B, H, W) with the target's `ignore_index` where there is no label.

    Losses: ce, dice, focal, sigmoid_focal, jaccard, lovasz, tversky.
    """

    kind: ClassVar[Kind] = "segmentation"
    selection: tuple[str, str] = ("val/mIoU", "max")
    selections: ClassVar[tuple[str, ...]] = ("mIoU", "mIoU_union", "mIoU_all", "F1_macro", "accuracy_micro", "loss")
    make_loss = staticmethod(segmentation_loss)
