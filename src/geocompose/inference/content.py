"""What a prediction can hold, for each kind of task; free of torch, so that what does not fit is refused at once."""

from collections.abc import Mapping
from typing import Literal

from geocompose.errors import UserError, choices
from geocompose.imagery.samples import Kind, Target

Content = Literal["classes", "probabilities", "values"]
# The contents that each kind of task has; the first is the default.
CONTENTS: Mapping[Kind, tuple[Content, ...]] = {
    "segmentation": ("classes", "probabilities"),
    "regression": ("values",),
    "classification": ("classes", "probabilities"),
    "multilabel": ("classes", "probabilities"),
    "scalar_regression": ("values",),
    "reconstruction": (),
}


def choose_content(kind: str | None, target: Target) -> Content:
    """Return the content that `action.kind` names, or the one that fits the task where it is None.

    Raises:
        UserError: the task has no such content, or has none to write.
    """
    fitting = CONTENTS[target.kind]
    if not fitting:
        raise UserError(
            f"A run of the task {target.kind} predicts what is hidden of an image, which is no map to write. Its "
            "figures/samples.png shows that; its weights start other tasks: backbone.ckpt_path=RUN."
        )
    for content in fitting:
        if kind in (None, content):
            return content
    raise UserError(f"action.kind={kind} does not fit a run of the task {target.kind}. {choices(kind, fitting)}")


def check_names(target: Target) -> None:
    """Refuse names that can't be told apart in what is written.

    Raises:
        UserError: fewer than two classes, no variable, more than 65,535 names, or one of them twice.
    """
    what, least = ("classes", 2) if target.of_classes else ("variables", 1)
    if not least <= len(target.names) <= 65_535:
        raise UserError(f"A prediction has {least} to 65535 {what}, got {len(target.names)}: {list(target.names[:6])}.")
    if len(set(target.names)) < len(target.names):
        raise UserError(f"Two {what} have one name: {', '.join(target.names)}. Give each its own.")
