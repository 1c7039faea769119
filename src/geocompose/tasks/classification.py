"""Classification: one class per image."""

from typing import ClassVar

from geocompose.imagery.samples import Kind
from geocompose.tasks.class_losses import classification_loss
from geocompose.tasks.of_classes import ClassTask


class ClassificationTask(ClassTask):
    """Learns from images: label (B), the target's `ignore_index` for an image without one.

    Losses: ce, focal, sigmoid_focal, bce (the last two each class against the rest), jaccard (over the batch's images).
    """

    kind: ClassVar[Kind] = "classification"
    selection: tuple[str, str] = ("val/F1_macro", "max")
    selections: ClassVar[tuple[str, ...]] = ("F1_macro", "accuracy_micro", "accuracy_macro", "loss")
    make_loss = staticmethod(classification_loss)
